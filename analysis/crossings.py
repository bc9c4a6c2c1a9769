"""Draws of two curves' difference in, crossings with intervals and probabilities and the verdict out.

A crossing's place is a distribution over sizes with mass at both ends: in the draws that have not crossed, the crossing
lies beyond the end (or never comes), or lies before the smallest size. An interval that reaches such mass is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Direction = Literal["vit_overtakes", "cnn_overtakes"]
Interval = tuple[float | None, float | None]

HORIZON = 10.0  # times the largest measured size: how far a verdict speaks
SEARCH = 100.0  # how far crossings are looked for, so that intervals that end beyond the horizon have an end
AHEAD = 0.9  # probability at which one family is called ahead
GRID = 360


@dataclass(frozen=True)
class Crossing:
    """One place where the curves cross. `probability`: of a crossing in this direction here within the horizon."""

    size: float
    direction: Direction
    interval: Interval
    probability: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "size": self.size,
            "direction": self.direction,
            "interval": list(self.interval),
            "probability": self.probability,
        }


@dataclass(frozen=True)
class Verdict:
    verdict: str
    direction: Direction | None
    crossover_size: float | None
    interval: Interval | None
    p_crossing: float | None
    fit_range: tuple[float, float] | None
    extrapolation_factor: float | None
    crossings: tuple[Crossing, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "direction": self.direction,
            "crossover_size": self.crossover_size,
            "interval": None if self.interval is None else list(self.interval),
            "p_crossing": self.p_crossing,
            "fit_range": None if self.fit_range is None else list(self.fit_range),
            "extrapolation_factor": self.extrapolation_factor,
            "crossings": [c.to_dict() for c in self.crossings],
        }


NO_VERDICT = Verdict("not_identifiable", None, None, None, None, None, None, ())


def make_grid(low: float, high: float) -> Array:
    """(G,) sizes from the smallest measured one to the end of the search, the horizon among them."""
    inside = np.geomspace(low, HORIZON * high, GRID - 60)
    return np.concatenate([inside, np.geomspace(HORIZON * high, SEARCH * high, 61)[1:]])


def _sign_changes(x: Array, difference: Array) -> tuple[NDArray[np.intp], Array, NDArray[np.bool_]]:
    """All roots of all draws: which draw, where (linear interpolation), and whether the difference falls there."""
    positive = difference > 0
    draw, left = np.nonzero(positive[:, 1:] != positive[:, :-1])
    before, after = difference[draw, left], difference[draw, left + 1]
    where = x[left] + (x[left + 1] - x[left]) * before / (before - after)
    return draw, where, before > 0


def _locate(
    root: float, falls: bool, x: Array, difference: Array, changes: tuple[NDArray[np.intp], Array, NDArray[np.bool_]]
) -> Array:
    """(draws,) place of the crossing near `root`: that of this direction nearest to it, or -inf or +inf."""
    draw, where, falling = changes
    mine = falling == falls
    draw, where = draw[mine], where[mine]
    at_root = difference[:, int(np.argmin(np.abs(x - root)))]
    place = np.where((at_root > 0) == falls, np.inf, -np.inf)
    order = np.argsort(-np.abs(where - root), kind="stable")  # the nearest is written last, and stays
    place[draw[order]] = where[order]
    return place


def _quantile(place: Array, share: float) -> float:
    # An order statistic: interpolation between a number and infinity would be neither.
    return float(np.sort(place)[min(int(share * len(place)), len(place) - 1)])


def _end(log_size: float) -> float | None:
    return float(np.exp(log_size)) if np.isfinite(log_size) else None


def find_crossings(grid: Array, difference: Array, *, horizon: float, level: float) -> tuple[list[Crossing], float]:
    """The roots of the median difference, each with what the draws say of it, and P(any crossing up to the horizon).

    Args:
        grid: (G,) sizes, ascending.
        difference: (draws, G) log error of the ViT minus that of the CNN.
    """
    x, end = np.log(grid), np.log(horizon) + 1e-9
    changes = _sign_changes(x, difference)
    draw, where, _ = changes
    p_any = float(len(np.unique(draw[where <= end])) / len(difference))
    median = np.median(difference, axis=0)[None]
    crossings = []
    for _, root, falls in zip(*_sign_changes(x, median), strict=True):
        place = _locate(float(root), bool(falls), x, difference, changes)
        low, high = (_quantile(place, q) for q in ((1 - level) / 2, (1 + level) / 2))
        middle = _quantile(place, 0.5)
        size = float(np.exp(middle if np.isfinite(middle) else root))
        probability = float((np.isfinite(place) & (place <= end)).mean())
        direction: Direction = "vit_overtakes" if falls else "cnn_overtakes"
        crossings.append(Crossing(size, direction, (_end(low), _end(high)), probability))
    return sorted(crossings, key=lambda c: c.size), p_any


def decide(grid: Array, difference: Array, *, low: float, high: float, level: float) -> Verdict:
    """The verdict of the curves alone, by the table in docs/contracts.md; [low, high] are the measured sizes."""
    horizon = HORIZON * high
    crossings, p_crossing = find_crossings(grid, difference, horizon=horizon, level=level)
    near = difference[:, grid <= horizon * (1 + 1e-9)]
    likely = [c for c in crossings if c.probability >= 0.5]
    verdict, one = "not_identifiable", None
    if float((near > 0).all(axis=1).mean()) >= AHEAD:
        verdict = "cnn_ahead"
    elif float((near < 0).all(axis=1).mean()) >= AHEAD:
        verdict = "vit_ahead"
    elif len(likely) > 1:
        verdict = "multiple"
    elif len(likely) == 1 and likely[0].interval != (None, None):  # open on both sides: it could be anywhere
        one = likely[0]
        verdict = "observed" if one.size <= high else "extrapolated"
        if verdict == "extrapolated" and one.interval[0] is None:
            verdict, one = "not_identifiable", None
    return Verdict(
        verdict,
        one.direction if one else None,
        one.size if one else None,
        one.interval if one else None,
        p_crossing,
        (low, high),
        one.size / high if one else None,
        tuple(crossings),
    )
