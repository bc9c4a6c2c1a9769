"""Finds crossings, with intervals and probabilities, in draws of two curves' difference.

A crossing's place is a distribution over sizes with mass at both ends: in the draws that have not crossed, the crossing
lies beyond the end (or never comes), or lies before the smallest size. An interval that reaches such mass is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.estimator.arrays import Array

Direction = Literal["vit_overtakes", "cnn_overtakes"]
Interval = tuple[float | None, float | None]
Changes = tuple[NDArray[np.intp], Array, NDArray[np.bool_]]  # of all draws: which draw, where, whether it falls

HORIZON = 10.0  # times the largest measured size: how far a verdict speaks
SEARCH = 100.0  # how far crossings are looked for, so that intervals that end beyond the horizon have an end
GRID = 220
LEVEL = 0.005  # of log error: closer curves are level
LIKELY = 0.5  # probability from which on a crossing or a flip is named


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


def make_grid(low: float, high: float, measured: Array | None = None) -> Array:
    """(G,) sizes from the smallest one to the end of the search, the horizon and the `measured` ones among them."""
    inside = np.geomspace(low, HORIZON * high, GRID - 60)
    grid = np.concatenate([inside, np.geomspace(HORIZON * high, SEARCH * high, 61)[1:]])
    if measured is None or not len(measured):
        return grid
    apart = np.abs(np.log(grid[:, None] / measured)).min(axis=1) > 1e-9
    return np.union1d(grid[apart], measured)


def sign_changes(x: Array, difference: Array) -> Changes:
    """All crossings of all draws: which draw, where (linear interpolation), and whether the difference falls there.

    A family counts as ahead from LEVEL on, so that curves which touch, or run together for a while, do not cross there.
    """
    positive = difference > 0
    draw, left = np.nonzero(positive[:, 1:] != positive[:, :-1])
    if not len(draw):
        return draw, np.empty(0), np.empty(0, dtype=bool)
    before, after = difference[draw, left], difference[draw, left + 1]
    where = x[left] + (x[left + 1] - x[left]) * before / (before - after)
    count = difference.shape[1]
    at = np.where(np.abs(difference) > LEVEL, np.arange(count), -1)
    leader_at = np.maximum.accumulate(at, axis=1)  # the last size at which somebody was ahead
    known = leader_at >= 0
    leads = np.take_along_axis(positive, np.maximum(leader_at, 0), axis=1)
    turned, size = np.nonzero(known[:, :-1] & (leads[:, 1:] != leads[:, :-1]))
    last = np.searchsorted(draw * count + left, turned * count + size, side="right") - 1  # the zero just before
    return turned, where[last], ~leads[turned, size + 1]


def p_meets(sizes: Array, difference: Array) -> float:
    """The share of the draws (draws, G) that change hands between the first of the sizes (G,) and the last."""
    return len(np.unique(sign_changes(np.log(sizes), difference)[0])) / len(difference)


def crossing_places(roots: Array, falls: bool, x: Array, difference: Array, changes: Changes) -> list[Array]:
    """Per root (draws,) places of the crossing there; each draw's crossings go to the nearest root of their direction.

    A draw without one has its crossing at -inf or +inf, by the sign that it has at the root.
    """
    if not len(roots):
        return []
    draw, where, falling = changes
    draw, where = draw[falling == falls], where[falling == falls]
    nearest = np.abs(where[:, None] - roots).argmin(axis=1)
    places = []
    for i, root in enumerate(roots):
        at_root = difference[:, int(np.argmin(np.abs(x - root)))]
        place = np.where((at_root > 0) == falls, np.inf, -np.inf)
        mine = np.flatnonzero(nearest == i)
        order = mine[np.argsort(-np.abs(where[mine] - root), kind="stable")]  # the nearest is written last, and stays
        place[draw[order]] = where[order]
        places.append(place)
    return places


def _quantile(place: Array, share: float) -> float:
    # An order statistic: interpolation between a number and infinity would be neither.
    return float(np.sort(place)[min(int(share * len(place)), len(place) - 1)])


def _end(log_size: float) -> float | None:
    return float(np.exp(log_size)) if np.isfinite(log_size) else None


def describe_crossing(place: Array, root: float, falls: bool, end: float, level: float) -> Crossing:
    low, middle, high = (_quantile(place, q) for q in ((1 - level) / 2, 0.5, (1 + level) / 2))
    return Crossing(
        size=float(np.exp(middle if np.isfinite(middle) else root)),
        direction="vit_overtakes" if falls else "cnn_overtakes",
        interval=(_end(low), _end(high)),
        probability=float(np.mean(np.isfinite(place) & (place <= end))),
    )


def find_crossings(grid: Array, difference: Array, *, horizon: float, level: float) -> list[Crossing]:
    """The roots of the median difference in ascending order, each with what the draws say of it.

    Args:
        grid: (G,) sizes, ascending.
        difference: (draws, G) log error of the ViT minus that of the CNN.
    """
    x, end = np.log(grid), np.log(horizon) + 1e-9
    changes = sign_changes(x, difference)
    _, roots, falling = sign_changes(x, np.median(difference, axis=0)[None])
    crossings = []
    for falls in (True, False):
        own = roots[falling == falls]
        for root, place in zip(own, crossing_places(own, falls, x, difference, changes), strict=True):
            crossings.append(describe_crossing(place, float(root), falls, end, level))
    return sorted(crossings, key=lambda c: c.size)
