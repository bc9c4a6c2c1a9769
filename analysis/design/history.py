"""Reads back how a design came to its end, from the plan beside the runs: what was known at which cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.estimator.rows.sources import PROVENANCE
from scaling.records.design_plan import DESIGN, PLAN_FILE, PlanError, read_plan


@dataclass(frozen=True)
class Step:
    """What was known when a decision was taken."""

    share: float  # of the training time that all cells of the question would take
    bits: float  # of "who leads?" that were open
    width: float | None  # of the crossing's interval, in decades; None where it is open or there is none
    verdict: str | None


@dataclass(frozen=True)
class DesignHistory:
    """One question's design. `reason` and `text` say why it ended; empty as long as it has not."""

    steps: tuple[Step, ...]
    runs: int  # that were chosen
    cells: int  # that there were to choose from
    reason: str
    text: str

    @property
    def sentence(self) -> str:
        spent = f"{self.runs} of {self.cells} cells were run"
        if self.steps:
            spent += f", {self.steps[-1].share:.0%} of the training time that all would take"
        if not self.reason:
            return f"An adaptive design, not at its end yet: so far {spent}."
        return f"An adaptive design: {spent}. It ended because it is {self.reason}: {self.text}."


def history_of(rows: pd.DataFrame) -> DesignHistory | None:
    """The design of one question's rows; None where no plan lies beside them, or it cannot be read."""
    if DESIGN not in rows.columns or PROVENANCE not in rows.columns or not rows[DESIGN].notna().any():
        return None
    own = rows[rows[DESIGN].notna()]
    try:
        plan = read_plan(Path(str(own[PROVENANCE].iloc[0])).parent.parent / PLAN_FILE)
    except (PlanError, OSError):
        return None
    cells: dict[str, Mapping[str, Any]] = {name: c for e in plan for name, c in e.get("cells", {}).items()}
    question = cells.get(str(own["name"].iloc[0]), {}).get("question")
    mine = {name for name, cell in cells.items() if cell["question"] == question}
    if not mine:
        return None
    whole = sum(float(cells[name]["seconds"]) for name in mine)
    entries = [e for e in plan if e.get("question") == question]
    steps = tuple(
        Step(float(e["spent"]) / whole, float(e["bits"]), e.get("width"), e.get("verdict"))
        for e in entries
        if "bits" in e and "spent" in e
    )
    chosen = {name for e in plan for name in e.get("choose", ())} & mine
    if not chosen:
        return None
    ends = [e for e in entries if "end" in e]
    reason, text = (str(ends[-1]["end"]), str(ends[-1]["line"])) if ends else ("", "")
    return DesignHistory(steps, len(chosen), len(mine), reason, text)
