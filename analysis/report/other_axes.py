"""Puts one question's runs on other axes: error or loss, against data, FLOPs or seconds."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from analysis.estimator.crossover.envelope import fit_families
from analysis.estimator.crossover.find_crossover import Crossover, compare
from analysis.estimator.crossover.verdict import NO_VERDICT
from analysis.estimator.rows.metric import metric_of

SHOWN_METRICS = ("test_error", "test_balanced_error", "test_loss")
SHOWN_AXES = ("train_size", "train_flops", "train_seconds")


def _usable(fitted: pd.DataFrame, column: str, *, zero: bool) -> bool:
    if column not in fitted.columns:
        return False
    values = pd.to_numeric(fitted[column], errors="coerce")
    return len(values) > 0 and bool(values.notna().all() and ((values >= 0) if zero else (values > 0)).all())


def _other(crossover: Crossover, metric: str, axis: str) -> Crossover:
    """The same question over other columns. Runs of one cell share their median time: they are one point of a curve."""
    fitted = crossover.selection.fitted.copy()
    if axis == "train_seconds" and crossover.axis in fitted.columns:
        cell = [fitted["model"], fitted[crossover.axis]]
        fitted[axis] = fitted[axis].astype(float).groupby(cell).transform("median")
    measure = crossover.measure if metric == crossover.metric else metric_of(metric)
    families = fit_families(fitted, metric=measure, axis=axis, seed=0)
    vit, cnn = families.models["vit"], families.models["cnn"]
    verdict = compare(families, vit, cnn, level=crossover.level)
    if crossover.audited and crossover.failed_checks:  # held back on one axis, held back on all
        verdict = replace(NO_VERDICT, fit_range=verdict.fit_range, crossings=verdict.crossings)
    selection = replace(crossover.selection, fitted=fitted)
    return replace(
        crossover, measure=measure, axis=axis, verdict=verdict, pairs=(), selection=selection, families=families
    )


def views(crossover: Crossover) -> list[Crossover]:
    """The answer itself first, then every other pair of metric and axis that all fitted runs have."""
    fitted = crossover.selection.fitted
    metrics = [
        m
        for m in dict.fromkeys((crossover.metric, *SHOWN_METRICS))
        if m == crossover.metric or _usable(fitted, m, zero=True)
    ]
    axes = [
        a
        for a in dict.fromkeys((crossover.axis, *SHOWN_AXES))
        if a == crossover.axis or (_usable(fitted, a, zero=False) and fitted[a].nunique() > 1)
    ]
    return [
        crossover if (metric, axis) == (crossover.metric, crossover.axis) else _other(crossover, metric, axis)
        for metric in metrics
        for axis in axes
    ]
