"""Real pairs in, out how well tied and free pairs of draws foretell their leads: what TIE and UNTIED are chosen by.

Per tie and share of free pairs the mean log loss of who leads at the end, and of a crossing before it, on LCDB's pairs
and on the vision pairs (estimator/crossover/paired_draws.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.benchmark.pairs import judge_lcdb_pairs
from analysis.benchmark.vision import judge_winners, load_curves
from analysis.estimator.arrays import Array
from analysis.estimator.crossover.crossings import LEVEL

_TRIED = (0.25, 0.35, 0.5, 0.7, 1.0)
_FREE = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75, 1.0)
_LEAST_P = 0.005  # of 1,000 draws that never do it


def log_loss(p: Array, came: NDArray[np.bool_]) -> float:
    q = np.clip(p, _LEAST_P, 1 - _LEAST_P)
    return float(-np.mean(np.where(came, np.log(q), np.log(1 - q))))


def losses(rows: pd.DataFrame, free: float) -> tuple[float, float]:
    """Mean log loss of the leader and of a crossing, `free` of the pairs free."""
    decided = rows[rows.gap.abs() > LEVEL]
    leads, meets = (free * r[f"free_{k}"] + (1 - free) * r[f"tied_{k}"] for r, k in ((decided, "vit"), (rows, "meets")))
    return log_loss(leads.to_numpy(float), decided.gap.to_numpy() < 0), log_loss(
        meets.to_numpy(float), rows.crosses.to_numpy(bool)
    )


def ties_tables(folder: Path, options: dict[str, Any]) -> list[str]:
    seed = options["seed"]
    sets = {
        "LCDB": judge_lcdb_pairs(folder, most=options["pairs"], ties=_TRIED, seed=seed),
        "vision": judge_winners(load_curves(folder), ties=_TRIED, seed=seed),
    }
    counts = ", ".join(f"{len(rows) // len(_TRIED)} of {of}" for of, rows in sets.items())
    lines = [
        f"Mean log loss of who leads at the end, and of a crossing before it; pairs cut at a quarter: {counts}.",
        "",
        f"| set | tie | {' | '.join(f'free {f:g}' for f in _FREE)} |",
        f"|---|---|{'---|' * len(_FREE)}",
    ]
    for of, rows in sets.items():
        for tie in _TRIED:
            both = [losses(rows[rows.tie == tie], f) for f in _FREE]
            lines.append(f"| {of} | {tie:g} | {' | '.join(f'{lead:.3f}, {meet:.3f}' for lead, meet in both)} |")
    return lines
