"""Decides the verdict on draws of two curves' difference, by the table in docs/contracts.md.

A family's lead is *clear* at a size where P(it is better there) is 0.9 or more. A crossing is claimed where a clear
lead has changed hands, or where a clear leader will probably be overtaken; whatever cannot be claimed is still told:
where one family is known to be ahead (`Known`), and where it may lose its lead (`Lean`).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.estimator.arrays import Array
from analysis.estimator.crossover.crossings import (
    HORIZON,
    Changes,
    Crossing,
    Direction,
    Interval,
    crossing_places,
    describe_crossing,
    find_crossings,
    sign_changes,
)

Turn = tuple[int, int]  # places on the grid: where one family's lead is clearest, and then the other's

AHEAD = 0.9  # probability from which on a lead is clear, and a family is called ahead
BOTH = 0.95  # P(one family led, then the other): many sizes give a chance lead many chances to look clear
COMES = 0.8  # P(crossing up to the horizon) from which on one is claimed beyond the data
LEANS = 0.5  # the same, from which on it is leaned to
EQUIVALENT = 0.05  # ratio of the errors, less 1, up to which two families are called level


@dataclass(frozen=True)
class Known:
    """The stretch of measured sizes, longest in ln n, over which one family is ahead all along."""

    family: str
    first: float
    last: float
    probability: float

    def to_dict(self) -> dict[str, Any]:
        return {"family": self.family, "from": self.first, "to": self.last, "p": self.probability}


@dataclass(frozen=True)
class Lean:
    """A crossing beyond the data that is more likely than not, and not likely enough to be claimed."""

    direction: Direction
    size: float
    interval: Interval
    probability: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "direction": self.direction,
            "size": self.size,
            "interval": list(self.interval),
            "p": self.probability,
        }


@dataclass(frozen=True)
class Verdict:
    """`claimed` are the crossings that the verdict claims, `probability` is that of what it claims."""

    verdict: str
    direction: Direction | None = None
    crossover_size: float | None = None
    interval: Interval | None = None
    p_crossing: float | None = None
    fit_range: tuple[float, float] | None = None
    extrapolation_factor: float | None = None
    crossings: tuple[Crossing, ...] = ()
    lean: Lean | None = None
    known: Known | None = None
    claimed: tuple[Crossing, ...] = ()
    probability: float | None = None

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
            "lean": None if self.lean is None else self.lean.to_dict(),
            "known": None if self.known is None else self.known.to_dict(),
        }


NO_VERDICT = Verdict("not_identifiable")


@dataclass(frozen=True)
class MeasuredSizes:
    """The range that is spoken of, and within it the sizes that a family measured where both did (empty: nowhere)."""

    low: float
    high: float
    common: Array


@dataclass(frozen=True)
class _Question:
    """The draws to the end of the search, and what is asked of all of them."""

    grid: Array  # (G,)
    difference: Array  # (draws, G) log error of the ViT minus that of the CNN
    level: float
    near: int  # so many sizes of the grid lie up to the horizon
    at: NDArray[np.intp]  # places of the common measured sizes on the grid
    changes: Changes

    @property
    def end(self) -> float:
        """ln of the horizon."""
        return float(np.log(self.grid[self.near - 1])) + 1e-9

    def leads(self) -> tuple[Array, Array]:
        """(near,) P(the CNN is ahead) and P(the ViT is) up to the horizon."""
        near = self.difference[:, : self.near]
        return (near > 0).mean(axis=0), (near < 0).mean(axis=0)

    def changes_hands(self, turn: Turn) -> float:
        """P(one family is ahead at the first size, the other at the second)."""
        first, second = (self.difference[:, i] > 0 for i in turn)
        cnn_first = bool(np.median(self.difference[:, turn[0]]) > 0)
        return float(np.mean(first & ~second if cnn_first else ~first & second))


def turns(cnn: Array, vit: Array, at: NDArray[np.intp]) -> list[Turn]:
    """Where the clear lead changes hands at the places `at`; sizes at which nobody's is clear are passed over."""
    leader = (cnn[at] >= AHEAD).astype(np.int64) - (vit[at] >= AHEAD)
    clear = at[leader != 0]
    runs = np.split(clear, np.flatnonzero(np.diff(leader[leader != 0])) + 1) if len(clear) else []
    clearest = [int(run[np.argmax(np.maximum(cnn, vit)[run])]) for run in runs]
    return list(itertools.pairwise(clearest))


def _known(question: _Question) -> Known | None:
    sizes, best = question.grid[question.at], None
    for family, ahead in (("vit", question.difference < 0), ("cnn", question.difference > 0)):
        own = ahead[:, question.at]
        for i in range(len(sizes)):
            jointly = np.logical_and.accumulate(own[:, i:], axis=1)
            p = jointly.mean(axis=0)
            if not len(p) or p[0] < AHEAD:
                continue
            j = int(np.flatnonzero(p >= AHEAD)[-1])
            found = Known(family, float(sizes[i]), float(sizes[i + j]), float(p[j]))
            if best is None or (found.last / found.first, found.probability) > (
                best.last / best.first,
                best.probability,
            ):
                best = found
    return best


def _between(question: _Question, turn: Turn) -> Crossing | None:
    """The one crossing where a clear lead changes hands; None where that may be luck, or the curves are level."""
    if (p := question.changes_hands(turn)) < BOTH:
        return None
    x, falls = np.log(question.grid), bool(np.median(question.difference[:, turn[0]]) > 0)
    middle = np.median(question.difference, axis=0)[None, turn[0] : turn[1] + 1]
    _, roots, falling = sign_changes(x[turn[0] : turn[1] + 1], middle)
    if not (falling == falls).any():
        return None
    root = roots[falling == falls][:1]
    place = crossing_places(root, falls, x, question.difference, question.changes)[0]
    found = describe_crossing(place, float(root[0]), falls, question.end, question.level)
    return dataclasses.replace(found, probability=min(p, found.probability))


def _beyond(question: _Question, leader: int) -> Crossing | None:
    """How a clear leader at the largest size that both measured may lose the lead up to the horizon."""
    start, falls = float(np.log(question.grid[question.at[-1]])), leader > 0
    draw, where, falling = question.changes
    own = (falling == falls) & (where > start) & (where <= question.end)
    comes = np.isin(np.arange(len(question.difference)), draw[own])
    p = float(comes.mean())
    if p < LEANS:
        return None
    x = np.log(question.grid)
    _, roots, turned = sign_changes(x, np.median(question.difference, axis=0)[None])
    beyond = roots[(turned == falls) & (roots > start)]
    root = beyond[:1] if len(beyond) else np.array([np.median(where[own])])
    place = crossing_places(root, falls, x, question.difference, question.changes)[0]
    found = describe_crossing(place, float(root[0]), falls, question.end, question.level)
    if not start < math.log(found.size) <= question.end:  # the median pair crossed before, or crosses beyond or never
        found = dataclasses.replace(found, size=float(np.exp(np.median(where[own]))))
    return dataclasses.replace(found, probability=p)


def _bound(grid: Array, difference: Array, *, level: float) -> Interval | None:
    """Where a crossing could lie although the median curves never cross; None if it could be anywhere."""
    x = np.log(grid)
    falls = bool(np.median(difference[:, -1]) > 0)
    place = crossing_places(x[-1:], falls, x, difference, sign_changes(x, difference))[0]
    return describe_crossing(place, float(x[-1]), falls, np.inf, level).interval


def _share(holds: NDArray[np.bool_]) -> float:
    """The share of the draws (rows) for which it holds at all sizes."""
    return float(holds.all(axis=1).mean())


def _claim(question: _Question, within: float) -> tuple[str, list[Crossing], float | None, Lean | None]:
    """The first row of the contract's table that holds: verdict, crossings claimed, P of the claim, and a lean."""
    near, at = question.difference[:, : question.near], question.at
    if len(at) and (p := _share(np.abs(near[:, at]) <= math.log1p(within))) >= AHEAD:
        return "equivalent", [], p, None
    for name, ahead in (("cnn_ahead", near > 0), ("vit_ahead", near < 0)):
        if (p := _share(ahead)) >= AHEAD:
            return name, [], p, None
    cnn, vit = question.leads()
    several = [c for turn in turns(cnn, vit, np.arange(len(cnn))) if (c := _between(question, turn)) is not None]
    if len(several) > 1:
        return "multiple", several, min(c.probability for c in several), None
    if not len(at):
        return "not_identifiable", [], None, None
    inside = [c for turn in turns(cnn, vit, at) if (c := _between(question, turn)) is not None]
    if len(inside) == 1:
        return "observed", inside, inside[0].probability, None
    leader = int(cnn[at[-1]] >= AHEAD) - int(vit[at[-1]] >= AHEAD)
    if leader and (comes := _beyond(question, leader)) is not None:
        if comes.probability >= COMES:
            return "extrapolated", [comes], comes.probability, None
        return "not_identifiable", [], None, Lean(comes.direction, comes.size, comes.interval, comes.probability)
    return "not_identifiable", [], None, None


def _listed(found: list[Crossing], claimed: list[Crossing]) -> list[Crossing]:
    """All crossings, ascending: a claimed one stands for the median curves' nearest of its direction."""
    rest = list(found)
    for one in claimed:
        own = [c for c in rest if c.direction == one.direction]
        if own:
            rest.remove(min(own, key=lambda c, one=one: abs(math.log(c.size / one.size))))  # type: ignore[misc]
    return sorted([*rest, *claimed], key=lambda c: c.size)


def decide(
    grid: Array,
    difference: Array,
    *,
    sizes: MeasuredSizes,
    level: float,
    within: float = EQUIVALENT,
) -> Verdict:
    """The verdict of the curves alone.

    The interval is that of the one crossing; where none is claimed, of the place where it could be, if there is one.

    Args:
        grid: (G,) sizes, ascending, those of `sizes.common` among them.
        difference: (draws, G) log error of the ViT minus that of the CNN.
        sizes: what was measured.
        level: of the intervals.
        within: how far the ratio of the errors may be from 1 where the families are called level.
    """
    horizon = HORIZON * sizes.high * (1 + 1e-9)
    near, at = int((grid <= horizon).sum()), np.searchsorted(grid, sizes.common)
    question = _Question(grid, difference, level, near, at, sign_changes(np.log(grid), difference))
    draw, where, _ = question.changes
    crosses = np.isin(np.arange(len(difference)), draw[where <= question.end])
    verdict, claimed, p, lean = _claim(question, within)
    found = find_crossings(grid, difference, horizon=horizon, level=level)
    one = claimed[0] if verdict in ("observed", "extrapolated") else None
    interval = one.interval if one else _possible(found, grid, difference, level=level)
    return Verdict(
        verdict,
        one.direction if one else None,
        one.size if one else None,
        None if interval == (None, None) or verdict in ("equivalent", "multiple") else interval,
        float(crosses.mean()),
        (sizes.low, sizes.high),
        one.size / sizes.high if one else None,
        tuple(_listed(found, claimed)),
        lean,
        _known(question),
        tuple(claimed),
        p,
    )


def _possible(found: list[Crossing], grid: Array, difference: Array, *, level: float) -> Interval | None:
    """Where the one crossing could lie that is not claimed; None where there are several, or it may be anywhere."""
    likely = [c for c in found if c.probability >= LEANS]
    if len(likely or found) == 1:
        return (likely or found)[0].interval
    return None if found else _bound(grid, difference, level=level)
