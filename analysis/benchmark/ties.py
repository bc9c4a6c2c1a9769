"""Real pairs in, out how well tied and free pairs of draws foretell their leads: what the ties' numbers are chosen by.

Per tie and weight of free pairs the mean log loss of who leads at the end, and of a crossing before it, on LCDB's pairs
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
from analysis.estimator.crossover.paired_draws import share_tied

_TRIED = (0.25, 0.35, 0.5, 0.7, 1.0)
_UNTIED = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 3.0)
_LEAST_P = 0.005  # of 1,000 draws that never do it


def log_loss(p: Array, came: NDArray[np.bool_]) -> float:
    q = np.clip(p, _LEAST_P, 1 - _LEAST_P)
    return float(-np.mean(np.where(came, np.log(q), np.log(1 - q))))


def losses(rows: pd.DataFrame, untied: float) -> tuple[float, float]:
    """Mean log loss of the leader and of a crossing, where a pair weighs `untied` whatever its lead does."""

    def said(of: pd.DataFrame, what: str) -> Array:
        tied, free = (of[f"{kind}_{what}"].fillna(0).to_numpy(float) for kind in ("tied", "free"))
        share = np.array([share_tied(agree, untied) for agree in of.agree])
        return np.asarray(share * tied + (1 - share) * free)

    decided = rows[rows.gap.abs() > LEVEL]
    return log_loss(said(decided, "vit"), decided.gap.to_numpy() < 0), log_loss(
        said(rows, "meets"), rows.crosses.to_numpy(bool)
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
        f"| set | tie | {' | '.join(f'untied {u:g}' for u in _UNTIED)} |",
        f"|---|---|{'---|' * len(_UNTIED)}",
    ]
    for of, rows in sets.items():
        for tie in _TRIED:
            both = [losses(rows[rows.tie == tie], u) for u in _UNTIED]
            lines.append(f"| {of} | {tie:g} | {' | '.join(f'{lead:.3f}, {meet:.3f}' for lead, meet in both)} |")
    return lines
