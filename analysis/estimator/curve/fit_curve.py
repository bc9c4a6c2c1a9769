"""Fits a scaling curve with its uncertainty to errors at several sizes, averaged over all forms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.estimator.arrays import Array
from analysis.estimator.curve.average import DRAWS, Average, average_forms
from analysis.estimator.curve.discrepancy import SETTINGS, Settings
from analysis.estimator.curve.forms import Scale
from analysis.estimator.curve.noise import Points, summarise
from analysis.estimator.rows.metric import Metric, check_values, metric_of


@dataclass(frozen=True)
class Curve:
    """A fitted scaling curve: the error expected of a new run at n, as far as it is known.

    `forms` lists the forms with their most probable parameters and weights; `lack_of_fit` is the p-value of the
    F test of the most probable form without discrepancy (None where no degree of freedom is left).
    """

    points: Points
    metric: str
    warnings: list[dict[str, str]]
    _average: Average = field(repr=False)
    measure: Metric | None = None  # the user's metric, in which predictions are given; None: as it was fitted

    @property
    def forms(self) -> list[dict[str, Any]]:
        return self._average.forms

    @property
    def lack_of_fit(self) -> float | None:
        return self._average.lack_of_fit

    @property
    def fit_range(self) -> tuple[float, float]:
        return float(self.points.sizes[0]), float(self.points.sizes[-1])

    def log_draws(self, n: ArrayLike) -> Array:
        """(draws, len(n)) equally probable log errors, in an order that carries no meaning."""
        draws = self._average.log_draws(np.ravel(np.asarray(n, dtype=float)))
        return np.minimum(draws, 0.0) if self.metric == "error" else draws

    def predict(self, n: ArrayLike) -> Array:
        """Array like n: the median of the expected error, or of the metric that was given."""
        return self._shown(np.exp(np.median(self.log_draws(n), axis=0))).reshape(np.shape(n))

    def interval(self, n: ArrayLike, level: float = 0.9) -> Array:
        """(len(n), 2): the central interval of the expected error that holds `level` of the probability."""
        tail = (1 - level) / 2
        ends = self._shown(np.exp(np.quantile(self.log_draws(n), [tail, 1 - tail], axis=0).T))
        return ends[:, ::-1] if self.measure is not None and self.measure.higher else ends

    def _shown(self, cost: Array) -> Array:
        return cost if self.measure is None else self.measure.value(cost)


def chance_level(metric: str, num_classes: float | None) -> float | None:
    if num_classes is None:
        return None
    return 1 - 1 / num_classes if metric == "error" else math.log(num_classes)


def scale_of(points: Points, chance: float | None) -> Scale:
    x = np.log(points.sizes)
    slope = -float(np.polyfit(x, points.log_error, 1)[0])
    lowest = float(points.log_error.min())
    usable = chance if chance is not None and lowest < math.log(chance) else None
    return Scale(
        reference=float(np.exp(x.mean())),
        level=float(points.log_error.mean()),
        slope=max(slope, 0.02),
        lowest=lowest,
        spread=float(x[-1] - x[0]) / 2,
        chance=usable,
    )


def _shapes(points: Points) -> list[dict[str, str]]:
    """A plateau that the curve falls from, or a corner: local slopes that steepen by far more than noise allows."""
    x, z = np.log(points.sizes), points.log_error
    if len(x) < 5:
        return []
    slope, spread = [], []
    for i in range(len(x) - 2):  # over three neighbours each
        part, weight = x[i : i + 3], 1 / points.own_variance[i : i + 3]
        centre = part - (weight * part).sum() / weight.sum()
        squares = (weight * centre**2).sum()
        slope.append(-(weight * centre * z[i : i + 3]).sum() / squares)
        spread.append(1 / np.sqrt(squares))
    steep, sd = np.array(slope), np.array(spread)
    found = []
    for i in range(len(steep) - 1):
        later = steep[i + 1 :]
        j = i + 1 + int(np.argmax(later))
        change = (steep[j] - steep[i]) / np.hypot(sd[i], sd[j])
        if change > 4 and steep[j] > 2 * max(steep[i], 0.05):
            flat = steep[i] < 0.25 * steep[j]
            at, what = points.sizes[i + 1], "hardly falls near" if flat else "falls twice as fast after"
            code = "plateau" if flat else "broken"
            text = f"the error {what} {at:,.0f}: no power law; what comes after the data is less certain"
            found.append({"code": code, "message": text})
            break
    return found


def _warnings(points: Points, lack_of_fit: float | None) -> list[dict[str, str]]:
    found = []
    if len(points.sizes) < 5:
        found.append({"code": "few_sizes", "message": f"only {len(points.sizes)} sizes"})
    if (points.runs == 1).all():
        found.append({"code": "single_seed", "message": "one run per size: the noise between seeds is a guess"})
    if (points.rises > 3).any():
        at = points.sizes[1:][points.rises > 3]
        found.append({"code": "not_monotone", "message": f"the error rises at {', '.join(f'{n:,.0f}' for n in at)}"})
    found += _shapes(points)
    if lack_of_fit is not None and lack_of_fit < 0.01:
        found.append(
            {"code": "lack_of_fit", "message": f"the best form does not fit the points (p = {lack_of_fit:.2g})"}
        )
    if points.outliers:
        text = f"{points.outliers} runs lie far from the others of their size or their neighbours, and count less"
        found.append({"code": "outliers", "message": text})
    if points.zeros:
        found.append({"code": "zero_error", "message": f"{points.zeros} runs without an error count as half an image"})
    return found


def fit_points(
    points: Sequence[Points],
    *,
    metric: str,
    num_classes: float | None,
    streams: Sequence[list[int]],
    draws: int = DRAWS,
    settings: Settings = SETTINGS,
) -> list[Curve]:
    """`fit_curve` for several curves at once, whose points are summarised and checked, at least 3 each."""
    scales = [scale_of(p, chance_level(metric, num_classes)) for p in points]
    averages = average_forms(points, scales, streams, draws=draws, settings=settings)
    return [Curve(p, metric, _warnings(p, a.lack_of_fit), a) for p, a in zip(points, averages, strict=True)]


def fit_curve(
    train_size: ArrayLike,
    error: ArrayLike,
    *,
    metric: str = "error",
    better: str | None = None,
    range: str | None = None,
    test_examples: ArrayLike | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> Curve:
    """Fits a scaling curve; the order of the rows never matters, and the same input gives the same bits.

    Args:
        train_size: (r,) sizes > 0, repeats (seeds) allowed.
        error: (r,) errors in [0, 1], losses in nats > 0, or values of the metric that is named.
        metric: "error", "loss", "accuracy", "auroc" or any other of rows/metric.py; predictions are in this metric.
        better: "higher" or "lower", for a metric that is not in the list.
        range: "0..1", "0..100" or "unbounded", where it is not the list's.
        test_examples: (r,) or one number: images in the test set, for the binomial noise of errors and accuracies.
        num_classes: gives the chance level, 1 - 1/classes or ln(classes); unknown if None.
        seed: of the replicates.

    Raises:
        ValueError: arrays of unequal length, values out of range, or fewer than 3 distinct sizes.
    """
    measure = metric_of(metric, better=better, range=range)
    sizes, values = _floats("train_size", train_size), _floats("error", error)
    if sizes.ndim != 1 or sizes.shape != values.shape:
        raise ValueError(f"train_size and error must be 1-D and of one length, not {sizes.shape} and {values.shape}")
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise ValueError("train_size must be finite and > 0")
    if not np.isfinite(values).all():
        raise ValueError(f"{metric} must be finite")
    check_values(measure, pd.Series(values), told=range is not None)
    images = None
    if test_examples is not None:
        images = _floats("test_examples", test_examples)
        if images.shape not in ((), sizes.shape) or not (np.isfinite(images).all() and (images >= 1).all()):
            raise ValueError("test_examples must be one number of at least 1, or one per row")
    if num_classes is not None and num_classes < 2:
        raise ValueError(f"num_classes={num_classes} must be at least 2")
    if len(np.unique(sizes)) < 3:
        raise ValueError(f"{len(np.unique(sizes))} distinct sizes: a curve needs at least 3")
    points = summarise(
        sizes,
        measure.cost(values),
        test_examples=images if measure.rate else None,
        is_error=measure.kind == "error",
    )
    classes = measure.classes(num_classes)
    [curve] = fit_points([points], metric=measure.kind, num_classes=classes, streams=[[seed]])
    return dataclasses.replace(curve, measure=measure)


def _floats(name: str, values: ArrayLike) -> Array:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers") from None
