"""What a check of the audit returns, and what several checks share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from analysis.estimator.rows.selection import Selection
from analysis.estimator.rows.starts import SOURCE_SIZE

COUNTS = ("train_size", SOURCE_SIZE)  # axes whose sizes are planned, in images
CheckStatus = Literal["passed", "failed", "unknown"]


@dataclass(frozen=True)
class Check:
    code: str
    status: CheckStatus
    message: str


def has(rows: pd.DataFrame, *columns: str) -> bool:
    return all(c in rows.columns and rows[c].notna().all() for c in columns) and len(rows) > 0


def few(items: Iterable[str], limit: int = 3) -> str:
    """The first few of many, for a message of one line."""
    listed = list(items)
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def is_foreign(selection: Selection) -> bool:
    """Whether the rows are another program's: then nobody knows here what was planned."""
    return "config_hash" not in selection.rows.columns
