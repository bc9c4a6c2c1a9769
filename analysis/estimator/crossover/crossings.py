"""Draws of two curves' difference in, crossings with intervals and probabilities and the verdict out.

A crossing's place is a distribution over sizes with mass at both ends: in the draws that have not crossed, the crossing
lies beyond the end (or never comes), or lies before the smallest size. An interval that reaches such mass is open.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Direction = Literal["vit_overtakes", "cnn_overtakes"]
Interval = tuple[float | None, float | None]
Changes = tuple[NDArray[np.intp], Array, NDArray[np.bool_]]  # of all draws: which draw, where, whether it falls

HORIZON = 10.0  # times the largest measured size: how far a verdict speaks
SEARCH = 100.0  # how far crossings are looked for, so that intervals that end beyond the horizon have an end
AHEAD = 0.9  # probability at which one family is called ahead
CLEAR = 0.9  # P(a family is ahead) somewhere beside a crossing that is claimed
GRID = 220
TIE = 0.005  # of log error: closer curves are level


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


def _sign_changes(x: Array, difference: Array) -> Changes:
    """All crossings of all draws: which draw, where (linear interpolation), and whether the difference falls there.

    A family counts as ahead from TIE on, so that curves which touch, or run together for a while, do not cross there.
    """
    positive = difference > 0
    draw, left = np.nonzero(positive[:, 1:] != positive[:, :-1])
    if not len(draw):
        return draw, np.empty(0), np.empty(0, dtype=bool)
    before, after = difference[draw, left], difference[draw, left + 1]
    where = x[left] + (x[left + 1] - x[left]) * before / (before - after)
    count = difference.shape[1]
    at = np.where(np.abs(difference) > TIE, np.arange(count), -1)
    leader_at = np.maximum.accumulate(at, axis=1)  # the last size at which somebody was ahead
    known = leader_at >= 0
    leads = np.take_along_axis(positive, np.maximum(leader_at, 0), axis=1)
    turned, size = np.nonzero(known[:, :-1] & (leads[:, 1:] != leads[:, :-1]))
    last = np.searchsorted(draw * count + left, turned * count + size, side="right") - 1  # the zero just before
    return turned, where[last], ~leads[turned, size + 1]


def _places(roots: Array, falls: bool, x: Array, difference: Array, changes: Changes) -> list[Array]:
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


def share(holds: NDArray[np.bool_], tied: int | None) -> float:
    """Of the draws for which something holds: among all or among the tied ones, whichever is less.

    A claim should rest neither on the tie alone nor on the draws that are free of it alone.
    """
    return float(min(holds.mean(), holds[:tied].mean()))


def _quantile(place: Array, share: float) -> float:
    # An order statistic: interpolation between a number and infinity would be neither.
    return float(np.sort(place)[min(int(share * len(place)), len(place) - 1)])


def _end(log_size: float) -> float | None:
    return float(np.exp(log_size)) if np.isfinite(log_size) else None


def _describe(place: Array, root: float, falls: bool, end: float, level: float, tied: int | None) -> Crossing:
    low, high = (_quantile(place, q) for q in ((1 - level) / 2, (1 + level) / 2))
    middle = _quantile(place[:tied], 0.5)
    return Crossing(
        size=float(np.exp(middle if np.isfinite(middle) else root)),
        direction="vit_overtakes" if falls else "cnn_overtakes",
        interval=(_end(low), _end(high)),
        probability=share(np.isfinite(place) & (place <= end), tied),
    )


def find_crossings(
    grid: Array, difference: Array, *, horizon: float, level: float, tied: int | None = None
) -> list[Crossing]:
    """The roots of the median difference in ascending order, each with what the draws say of it.

    Args:
        grid: (G,) sizes, ascending.
        difference: (draws, G) log error of the ViT minus that of the CNN.
        tied: so many of the first draws know how leads change (paired_draws.py): a crossing's place is that of
            these, its interval that of all draws, its probability the lower of both; None: all do.
    """
    x, end = np.log(grid), np.log(horizon) + 1e-9
    changes = _sign_changes(x, difference)
    _, roots, falling = _sign_changes(x, np.median(difference[:tied], axis=0)[None])
    crossings = []
    for falls in (True, False):
        own = roots[falling == falls]
        for root, place in zip(own, _places(own, falls, x, difference, changes), strict=True):
            crossings.append(_describe(place, float(root), falls, end, level, tied))
    return sorted(crossings, key=lambda c: c.size)


def _bound(grid: Array, difference: Array, *, level: float, tied: int | None) -> Interval | None:
    """Where a crossing could lie although the median curves never cross; None if it could be anywhere."""
    x = np.log(grid)
    falls = bool(np.median(difference[:, -1]) > 0)
    place = _places(x[-1:], falls, x, difference, _sign_changes(x, difference))[0]
    interval = _describe(place, float(x[-1]), falls, np.inf, level, tied).interval
    return None if interval == (None, None) else interval


def _clear_sides(grid: Array, difference: Array, crossings: list[Crossing]) -> list[float]:
    """How clear the leader is before, between and after the crossings: the highest P(that family is ahead) at any n."""
    edges = [0, *np.searchsorted(grid, [c.size for c in crossings]), len(grid)]
    ahead = (difference > 0).mean(axis=0)
    cnn_first = crossings[0].direction == "vit_overtakes"
    clear = []
    for i, (left, right) in enumerate(itertools.pairwise(edges)):
        segment = ahead[left:right] if (i % 2 == 0) == cnn_first else 1 - ahead[left:right]
        clear.append(float(segment.max(initial=0.0)))
    return clear


def _single(grid: Array, difference: Array, crossing: Crossing, high: float) -> str:
    """The verdict on the one likely crossing. Two equal curves cross in most draws, too: that is no crossing."""
    if crossing.interval == (None, None) or (crossing.size > high and crossing.interval[0] is None):
        return "not_identifiable"  # it could be anywhere
    if max(_clear_sides(grid, difference, [crossing])) < CLEAR:
        return "not_identifiable"
    return "observed" if crossing.size <= high else "extrapolated"


def decide(
    grid: Array, difference: Array, *, low: float, high: float, level: float, tied: int | None = None
) -> Verdict:
    """The verdict of the curves alone, by the table in docs/contracts.md; [low, high] are the measured sizes.

    `tied`: see `find_crossings`.

    The interval is that of the one crossing; where none is claimed, of the place where it could be, if there is one.
    """
    horizon = HORIZON * high * (1 + 1e-9)
    crossings = find_crossings(grid, difference, horizon=horizon, level=level, tied=tied)
    near = difference[:, grid <= horizon]
    crosses = np.isin(np.arange(len(near)), _sign_changes(np.log(grid[: near.shape[1]]), near)[0])
    likely = [c for c in crossings if c.probability >= 0.5]
    while len(likely) > 1 and _clear_sides(grid[: near.shape[1]], near, likely)[0] < CLEAR:
        likely = likely[1:]  # nobody leads at the smallest sizes: nothing is overtaken there
    verdict = "not_identifiable"
    if share(np.all(near > 0, axis=1), tied) >= AHEAD:
        verdict = "cnn_ahead"
    elif share(np.all(near < 0, axis=1), tied) >= AHEAD:
        verdict = "vit_ahead"
    elif len(likely) == 1:
        verdict = _single(grid[: near.shape[1]], near, likely[0], high)
    elif likely and sorted(_clear_sides(grid[: near.shape[1]], near, likely))[-2] >= CLEAR:
        verdict = "multiple"  # two equal curves cross often, too, but neither family is ever clearly ahead
    one = likely[0] if verdict in ("observed", "extrapolated") else None
    if len(likely or crossings) == 1:
        interval: Interval | None = (likely or crossings)[0].interval
    else:
        interval = None if crossings else _bound(grid, difference, level=level, tied=tied)
    if interval == (None, None):
        interval = None
    return Verdict(
        verdict,
        one.direction if one else None,
        one.size if one else None,
        interval,
        share(crosses, tied),
        (low, high),
        one.size / high if one else None,
        tuple(crossings),
    )
