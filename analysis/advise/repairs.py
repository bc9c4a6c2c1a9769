"""Finds the cells to run that would fix a failed check of the audit.

A check without an entry in REPAIRS (unequal test sets, subsets that do not nest) cannot be fixed by further runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.advise.train_commands import Cells
from analysis.estimator.audit.of_runs import MIN_SIZES
from analysis.estimator.rows.selection import Selection
from scaling.records.words import round_setting


def nice(size: float) -> int:
    """Two significant digits: a size that people would choose."""
    unit = 10 ** max(0, math.floor(math.log10(size)) - 1)
    return round(size / unit) * unit


def seeds_of(rows: pd.DataFrame) -> tuple[int, ...]:
    if "seed" not in rows.columns or rows["seed"].isna().all():
        return (0,)
    return tuple(sorted({int(s) for s in rows["seed"].dropna()}))


def _new_sizes(known: list[float], missing: int, target: float) -> tuple[int, ...]:
    """Sizes to fill up with: towards the size asked for where it lies beyond, else in the widest gaps."""
    sizes = sorted(known)
    added: list[int] = []
    while len(added) < missing and sizes:
        gaps = [b / a for a, b in itertools.pairwise(sizes)]
        if sizes[-1] * 2 <= target or not gaps:
            new = nice(sizes[-1] * 2)
        else:
            i = int(np.argmax(gaps))
            new = nice(math.sqrt(sizes[i] * sizes[i + 1])) if gaps[i] > 1.3 else nice(sizes[-1] * 2)
        if new in sizes:
            break
        added.append(new)
        sizes = sorted([*sizes, float(new)])
    return tuple(sorted(added))


def _mend_sizes(selection: Selection, target: float) -> list[Cells]:
    cells = []
    for model, rows in selection.fitted.groupby("model"):
        known = sorted(set(rows["train_size"]))
        missing = MIN_SIZES - len(known)
        others = tuple(round(n) for n in sorted(set(selection.fitted["train_size"]) - set(known)))
        sizes = others if len(others) >= missing > 0 else _new_sizes(known, missing, target)
        if sizes:
            cells.append(Cells(str(model), sizes, seeds_of(rows)))
    return cells


def _mend_grid(selection: Selection, target: float) -> list[Cells]:
    """A grid of five rates at the size in the middle, for models whose rate was never varied."""
    cells = []
    varied = {c.model for c in selection.choices if len(c.tried) > 1}
    for model in sorted({c.model for c in selection.choices} - varied):
        own = sorted((c for c in selection.choices if c.model == model), key=lambda c: c.train_size)
        middle = own[len(own) // 2]
        rates = tuple(round_setting(middle.lr * f) for f in (1 / 16, 1 / 4, 4, 16))
        cells.append(Cells(model, (int(middle.train_size),), (_first_seed(selection, model),), rates))
    return cells


def _mend_edge(selection: Selection, target: float) -> list[Cells]:
    """Two rates beyond the edge that won."""
    cells = []
    for choice in selection.choices:
        if len(choice.tried) < 2:
            continue
        best = choice.tried.index(choice.lr)
        step = max(2.0, choice.tried[-1] / choice.tried[-2])
        if best == 0:
            rates: tuple[float, ...] = (round_setting(choice.lr / step), round_setting(choice.lr / step**2))
        elif best == len(choice.tried) - 1:
            rates = (round_setting(choice.lr * step), round_setting(choice.lr * step**2))
        else:
            continue
        cells.append(
            Cells(
                choice.model, (int(choice.train_size),), (_first_seed(selection, choice.model),), tuple(sorted(rates))
            )
        )
    return cells


def _first_seed(selection: Selection, model: str) -> int:
    return seeds_of(selection.finished[selection.finished["model"] == model])[0]


def _mend_fit(selection: Selection, target: float) -> list[Cells]:
    """Everything again with twice the steps, apart from the rest: budgets do not share a curve."""
    row = selection.fitted.iloc[0]
    sweep = f"{row['sweep']}_2x" if isinstance(row.get("sweep"), str) else "longer"
    extra = (f"budget.factor={2 * selection.budget_factor:g}", f"sweep={sweep}")
    cells = []
    for model, rows in selection.fitted.groupby("model"):
        for size, at in rows.groupby("train_size"):
            rates = sorted(set(at["lr"])) if "lr" in at.columns else []
            cells.append(Cells(str(model), (round(float(str(size))),), seeds_of(at), tuple(rates), extra))
    return cells


def _mend_missing(selection: Selection, target: float) -> list[Cells]:
    """Cells that failed, again; cells that nobody ran. One that diverged would diverge again."""
    done, cells = selection.finished, []
    failed = selection.left_out[selection.left_out["status"] == "failed"]
    for row in failed.to_dict("records"):
        rates = (float(row["lr"]),) if row.get("lr") == row.get("lr") and row.get("lr") else ()
        cells.append(
            Cells(str(row["model"]), (int(row["train_size"]),), (int(row.get("seed") or 0),), rates, ("retry=failed",))
        )
    for model in sorted(set(done["model"])):
        for size in sorted(set(done["train_size"])):
            there = done[done["train_size"] == size]
            have = there[there["model"] == model]
            absent = set(seeds_of(there)) - (set(seeds_of(have)) if len(have) else set())
            if absent:
                cells.append(Cells(model, (int(size),), tuple(sorted(absent))))
    return cells


REPAIRS: dict[str, Callable[[Selection, float], list[Cells]]] = {
    "sizes": _mend_sizes,
    "learning_rate_varied": _mend_grid,
    "learning_rate_edge": _mend_edge,
    "train_fit": _mend_fit,
    "cells_complete": _mend_missing,
}
