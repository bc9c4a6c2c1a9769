"""Turns one question's answer and a number of images into advice: a family, a model, errors, and what flips it.

Errors are read off the draws of the two families' envelopes; gap, probability and flip off the pairs of draws that the
verdict counts, too. A family is named only at P >= 0.9, within ten times the largest size
measured, and if the audit holds nothing against the runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.arrays import Array
from analysis.estimator.crossover.crossings import HORIZON, SEARCH, Interval
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.verdict import AHEAD

Estimate = tuple[float, float, float]  # median, low, high at the crossover's level


@dataclass(frozen=True)
class Limits:
    """What a run may cost: models that need more are left out of the comparison."""

    train_flops: float | None = None  # of the whole run
    num_params: float | None = None


@dataclass(frozen=True)
class Side:
    """One family at one size."""

    models: tuple[str, ...]  # that the limits allow
    model: str  # the best of them there
    error: Estimate
    run: Mapping[str, object]  # the fitted row of that model at the nearest size: its recipe


@dataclass(frozen=True)
class Flip:
    """Where the lead changes beyond the size asked for."""

    probability: float  # of a change within the horizon
    size: float | None  # median place; None if fewer than half of the draws change at all
    interval: Interval


@dataclass(frozen=True)
class Advice:
    """What is known of both families at one size; `sides` is None where there is nothing to compare."""

    crossover: Crossover
    train_size: int
    limits: Limits
    family: str | None = None  # to be used, or None where nothing can be said
    p_vit_better: float | None = None
    sides: Mapping[str, Side] | None = None
    gap: Estimate | None = None  # worse minus better
    flip: Flip | None = None
    extrapolation_factor: float | None = None  # size / largest measured, > 1 beyond it
    below: float | None = None  # smallest measured size, if the size lies below it
    too_large: str | None = None  # why the limits leave nothing to compare
    level: bool = False  # the verdict calls the families level, and they are so at this size

    @property
    def leader(self) -> str:
        return "vit" if (self.p_vit_better or 0.0) > 0.5 else "cnn"

    @property
    def held_back(self) -> bool:
        """By the audit: then no family is named, however clear the curves are."""
        return self.crossover.audited and bool(self.crossover.failed_checks)

    @property
    def too_far(self) -> bool:
        """Beyond ten times the largest size measured, or below a tenth of the smallest."""
        return (self.extrapolation_factor or 0.0) > HORIZON or self.too_small

    @property
    def too_small(self) -> bool:
        return self.below is not None and self.train_size < self.below / HORIZON


def estimate(draws: Array, level: float) -> Estimate:
    low, middle, high = np.quantile(draws, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return float(middle), float(low), float(high)


def at_size(rows: pd.DataFrame, column: str, axis: str, size: float) -> float | None:
    """The column's value at a size, on the line through its logarithms; None where it cannot be known."""
    if column not in rows.columns or axis not in rows.columns:
        return None
    known = rows[[axis, column]].dropna()
    known = known[(known[axis] > 0) & (known[column] > 0)]
    if known.empty:
        return None
    x, y = np.log(known[axis].to_numpy(float)), np.log(known[column].to_numpy(float))
    if np.ptp(x) == 0:
        return float(np.exp(y.mean())) if np.isclose(np.log(size), x[0]) else None
    slope, level = np.polyfit(x, y, 1)
    return float(np.exp(level + slope * np.log(size)))


def _allowed(crossover: Crossover, family: str, size: float, limits: Limits) -> tuple[tuple[str, ...], str | None]:
    """The family's models within the limits, and a sentence where there are none.

    Raises:
        InputError: the rows lack the column of a limit.
    """
    fitted = crossover.selection.fitted
    models = crossover.families.models[family]
    for column in ("train_flops", "num_params"):
        limit = getattr(limits, column)
        if limit is None:
            continue
        if column not in fitted.columns or fitted[column].isna().all():
            raise InputError(f"{column}={limit:g} cannot be kept: the results have no column {column}")
        needs: dict[str, float] = {}
        for model in models:
            rows = fitted[fitted["model"] == model]
            need = at_size(rows, column, crossover.axis, size) if column == "train_flops" else rows[column].max()
            if need is not None and need == need:
                needs[model] = float(need)
        kept = tuple(m for m in models if needs.get(m, np.inf) <= limit * (1 + 1e-9))
        if models and not kept:
            least = min(needs, key=lambda m: needs[m], default=None)
            known = f"; the smallest, {least}, needs {needs[least]:.3g}" if least else ""
            return (), f"no {family} of these runs keeps within {column}={limit:.3g} there{known}"
        models = kept
    return models, None


def _recipe_row(crossover: Crossover, model: str, size: float) -> dict[str, object]:
    rows = crossover.selection.fitted
    rows = rows[rows["model"] == model]
    return {str(k): v for k, v in rows.loc[np.log(rows[crossover.axis] / size).abs().idxmin()].items()}


def _first_changes(x: Array, behind: Array) -> Array:
    """(draws,) where the leader first falls behind, on the line between two log sizes x; inf where it never does.

    behind: (draws, sizes) log error of the leader minus that of the other family.
    """
    late = behind > 0
    at = late.argmax(axis=1)
    rows, before = np.arange(len(behind)), np.maximum(at - 1, 0)
    left, right = behind[rows, before], behind[rows, at]
    share = np.where(at > 0, left / np.where(left == right, -1.0, left - right), 0.0)
    places = np.exp(x[before] + share * (x[at] - x[before]))
    return np.where(late.any(axis=1), places, np.inf)


def _flip(crossover: Crossover, models: Mapping[str, tuple[str, ...]], size: float, leader: str) -> Flip | None:
    """How much further the lead lasts, from each draw's first place at or beyond `size` where it has changed."""
    assert crossover.verdict.fit_range is not None
    horizon, end = HORIZON * crossover.verdict.fit_range[1], SEARCH * crossover.verdict.fit_range[1]
    if size >= horizon:
        return None
    grid = np.geomspace(size, end, 200)
    pairs = crossover.families.lead(models["vit"], models["cnn"], grid)
    places = _first_changes(np.log(grid), pairs.difference if leader == "vit" else -pairs.difference)
    probability, first = float(np.mean(places <= horizon)), np.sort(places)

    def quantile(share: float) -> float | None:
        value = float(first[min(int(share * len(first)), len(first) - 1)])
        return value if np.isfinite(value) else None

    tail = (1 - crossover.level) / 2
    return Flip(probability, quantile(0.5), (quantile(tail), quantile(1 - tail)))


def advise(crossover: Crossover, train_size: int, *, limits: Limits | None = None) -> Advice:
    """What the families' envelopes say at `train_size`, of the models that the limits allow.

    Raises:
        InputError: a limit is given on a column that the results lack.
    """
    limits = limits or Limits()
    fit_range = crossover.verdict.fit_range
    if fit_range is None:
        return Advice(crossover, train_size, limits)
    at, families = np.array([float(train_size)]), crossover.families
    factor = train_size / fit_range[1]
    found = {f: _allowed(crossover, f, at[0], limits) for f in ("vit", "cnn")}
    short = next((text for _, text in found.values() if text), None)
    below = fit_range[0] if train_size < fit_range[0] else None
    if short:
        return Advice(crossover, train_size, limits, extrapolation_factor=factor, below=below, too_large=short)
    models = {f: kept for f, (kept, _) in found.items()}
    measure = crossover.measure
    draws = {f: measure.value(np.exp(families.envelope(models[f], at)[:, 0])) for f in models}
    pair = families.lead(models["vit"], models["cnn"], at)
    lead, paired = pair.difference[:, 0], {"vit": np.exp(pair.vit[:, 0]), "cnn": np.exp(pair.cnn[:, 0])}
    p_vit = float(pair.p_vit_better()[0])  # the very number that verdicts judge by
    leader, other = ("vit", "cnn") if p_vit > 0.5 else ("cnn", "vit")
    sides = {}
    for family in models:
        best = families.best_model(models[family], at[0])
        error = estimate(draws[family], crossover.level)
        sides[family] = Side(models[family], best, error, _recipe_row(crossover, best, at[0]))
    held_back = crossover.audited and bool(crossover.failed_checks)
    level = crossover.verdict.verdict == "equivalent" and below is None
    level &= bool(np.mean(np.abs(lead) <= np.log1p(crossover.equivalent_within)) >= AHEAD)
    near = factor <= HORIZON and train_size >= fit_range[0] / HORIZON
    sure = max(p_vit, 1 - p_vit) >= AHEAD and not held_back and near and not level
    return Advice(
        crossover,
        train_size,
        limits,
        family=leader if sure else None,
        p_vit_better=p_vit,
        sides=sides,
        gap=estimate(measure.unit * (paired[other] - paired[leader]), crossover.level),
        flip=_flip(crossover, models, at[0], leader),
        extrapolation_factor=factor,
        below=below,
        level=bool(level),
    )
