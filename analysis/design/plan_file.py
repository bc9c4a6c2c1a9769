"""The design's memory: `plan.jsonl` in the sweep's folder, a line per decision.

The first line (and one more whenever the space has changed) holds the space with the costs that decisions go by: they
are fixed when the design begins, so that the same results lead to the same decisions whatever machine goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.arguments import InputError
from analysis.design.space import Candidate, Space
from scaling.records.design_plan import PLAN_FILE, PlanError, read_plan

PLAN_SCHEMA = 1


@dataclass
class Plan:
    """The plan of one sweep folder; `entries` are its lines."""

    folder: Path
    entries: list[dict[str, Any]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / PLAN_FILE

    def refresh(self) -> None:
        """Reads what another command has added."""
        try:
            self.entries = read_plan(self.path) if self.path.is_file() else []
        except PlanError as error:
            raise InputError(str(error)) from error

    def append(self, entry: Mapping[str, Any]) -> None:
        """Adds a line and sees to it that it is on disk before anything is done by it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)  # a line that its writer was killed in
            file.write(json.dumps(entry, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(dict(entry))

    @property
    def chosen(self) -> list[str]:
        """The names of all cells that were chosen, in that order."""
        return list(dict.fromkeys(name for e in self.entries for name in e.get("choose", ())))

    @property
    def costs(self) -> dict[str, float]:
        return {name: float(c["seconds"]) for e in self.entries for name, c in e.get("cells", {}).items()}

    @property
    def elapsed(self) -> float:
        """Wall time that earlier commands have spent, seconds."""
        return max((float(e["elapsed"]) for e in self.entries if "elapsed" in e), default=0.0)

    def fixed(self, candidates: Sequence[Candidate]) -> Space:
        """The space, with the costs of the plan; cells that it does not know yet are added to it at their own."""
        self.learn(candidates)
        known = self.costs
        return Space(tuple(c.at_cost(known[c.name]) for c in candidates))

    def learn(self, candidates: Sequence[Candidate]) -> None:
        """Adds the cells that it does not know yet."""
        known = self.costs
        new = [c for c in candidates if c.name not in known]
        if new:
            cells = {c.name: {"question": c.question, "size": c.size, "seconds": round(c.seconds, 3)} for c in new}
            self.append({"plan": PLAN_SCHEMA, "cells": cells})
