"""Checks that the learning rates were chosen well: from one question's selected rows to a check each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from analysis.estimator.audit.check import Check, few, is_foreign
from analysis.estimator.rows.selection import Choice, Selection


def learning_rate_varied(selection: Selection, axis: str) -> Check:
    if not selection.choices:
        return Check(
            "learning_rate_varied", "unknown", "no column lr: whether the learning rates were tuned is not known"
        )
    tried: dict[str, set[float]] = {}
    for choice in selection.choices:
        if len(choice.tried) > 1:
            tried.setdefault(choice.model, set()).update(choice.tried)
    never = sorted({c.model for c in selection.choices} - set(tried))
    if never and is_foreign(selection) and not tried:
        text = f"one learning rate for each model: whether it was tuned is not known ({few(never)}); tuned=yes says so"
        return Check("learning_rate_varied", "unknown", text)
    if never:
        return Check(
            "learning_rate_varied", "failed", f"one learning rate only, never varied at any size: {few(never)}"
        )
    text = few(f"{model} {min(rates):g} to {max(rates):g}" for model, rates in sorted(tried.items()))
    return Check("learning_rate_varied", "passed", f"learning rates varied: {text}")


def _grids(choices: Iterable[Choice]) -> list[Choice]:
    """Per model the sizes with at least three rates, or where there are none, those with two."""
    choices = list(choices)
    wide = {c.model for c in choices if len(c.tried) > 2}
    return [c for c in choices if len(c.tried) > 2 or (len(c.tried) == 2 and c.model not in wide)]


def learning_rate_edge(selection: Selection, axis: str) -> Check:
    grids = _grids(selection.choices)
    if not grids:
        return Check("learning_rate_edge", "unknown", "no learning-rate grid")
    at_edge = []
    for choice in grids:
        # The chosen rate's, not the lowest: a rate with fewer seeds may have a lower mean and still not be better.
        best = choice.val_errors[choice.tried.index(choice.lr)]
        winners = [i for i, v in enumerate(choice.val_errors) if v == best]
        if not any(0 < i < len(choice.tried) - 1 for i in winners):
            side = "lowest" if winners[0] == 0 else "highest"
            at_edge.append(
                f"{choice.model} at {choice.train_size:,.0f}: {choice.lr:g} is the {side} of {len(choice.tried)}"
            )
    if at_edge:
        two = all(len(choice.tried) == 2 for choice in grids)
        mend = "of two rates one is always the edge: try a third beyond the best" if two else "try rates beyond it"
        return Check(
            "learning_rate_edge", "failed", f"best learning rate at the edge of its grid: {few(at_edge)}; {mend}"
        )
    return Check("learning_rate_edge", "passed", f"best learning rate inside its grid in all {len(grids)} grids")


def learning_rate_range(selection: Selection, axis: str) -> Check:
    """The rates at sizes without a grid, against what the model's grids cover and found best."""
    grids = _grids(selection.choices)
    bare = [c for c in selection.choices if len(c.tried) == 1 and c.model in {g.model for g in grids}]
    if not grids:
        return Check("learning_rate_range", "unknown", "no learning-rate grid")
    outside, worst = [], 1.0
    for choice in bare:
        own = [g for g in grids if g.model == choice.model]
        covered = [lr for g in own for lr in g.tried]
        if not min(covered) <= choice.lr <= max(covered):
            outside.append(f"{choice.model} at {choice.train_size:,.0f}: {choice.lr:g}")
        nearest = min(own, key=lambda g: (abs(np.log(g.train_size / choice.train_size)), g.train_size))
        worst = max(worst, choice.lr / nearest.lr, nearest.lr / choice.lr)
    if outside:
        return Check("learning_rate_range", "failed", f"learning rate outside what the grids cover: {few(outside)}")
    if not bare:
        return Check("learning_rate_range", "passed", "a grid at every size")
    text = f"sizes without a grid use rates within a factor {worst:.3g} of the best at the nearest grid"
    return Check("learning_rate_range", "passed", text)
