"""What an adaptive design planned, read from the `plan.jsonl` beside its runs.

Whether a cell is missing, and how far the verdict speaks, is a matter of the space that the design chose from, not of
the runs that it made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PLAN_FILE = "plan.jsonl"
DESIGN = "design"  # column: "adaptive" for runs that a design chose
LARGEST = "design_largest"  # column: the largest size that it might have chosen for their question


class PlanError(ValueError):
    """A file is no plan."""


def read_plan(path: Path) -> list[dict[str, Any]]:
    """The lines of a plan; a last line that was cut off is passed over.

    Raises:
        PlanError: it is no plan.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict):
            found.append(entry)
        elif number < len(lines):
            raise PlanError(f"{path}: line {number} is no plan's; move the file away to begin a new one") from None
    return found


def largest_of(plan: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Per cell of the space the largest size that may be run for its question."""
    cells: dict[str, tuple[str, float]] = {}
    for entry in plan:
        cells |= {name: (str(c["question"]), float(c["size"])) for name, c in entry.get("cells", {}).items()}
    most: dict[str, float] = {}
    for question, size in cells.values():
        most[question] = max(size, most.get(question, 0.0))
    return {name: most[question] for name, (question, _) in cells.items()}
