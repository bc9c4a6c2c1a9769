"""How a curve may deviate from its form: a smooth random function of ln n, in log error, and the noise it adds.

Several sizes of it compete by their evidence (Kennedy and O'Hagan 2001). Each has two lengths: a slow part, and a
local one that changes from one measured size to the next, since real curves wander between sizes a factor of 2 apart
(docs/estimator.md). Where sizes lie closer than that, the points show it themselves: a rough deviation takes its
place, which neighbours share as they share their noise. After the data the slope changes besides, by
a random amount with heavy tails: nothing holds the form there (`Beyond`). Towards chance the deviation shrinks: an
error of nearly 1 - 1/classes has no room to deviate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.estimator.arrays import Array
from analysis.estimator.curve.forms import FORMS, Scale
from analysis.estimator.curve.learned import LEARNED, Beyond
from analysis.estimator.curve.noise import Points

REACH = math.log(1000.0)  # how far beyond the largest size the discrepancy's basis goes


@dataclass(frozen=True)
class Settings:
    """What the fit assumes. The defaults are learned from real curves (learned.py, docs/estimator.md)."""

    forms: tuple[str, ...] = tuple(f.name for f in FORMS)
    form_prior: Mapping[bool, Mapping[str, float]] = field(default_factory=lambda: LEARNED.forms)  # by: chance known?
    discrepancy: tuple[float, ...] = LEARNED.discrepancy  # the sizes that compete, in log error
    local: tuple[float, ...] = LEARNED.local  # the same, of the part that changes from size to size
    local_width: float = LEARNED.local_width  # of its basis functions, and their spacing, in ln n
    rough: tuple[float, ...] = LEARNED.rough  # the same, of a deviation that changes within `length`
    prior: tuple[float, ...] = LEARNED.prior
    beyond: Beyond | None = LEARNED.beyond  # how the slope changes after the data; None: not at all
    width: float = LEARNED.width  # of the basis functions, and their spacing, in ln n
    length: float = 0.12  # in ln n: neighbours on one run's curve share their wobble
    growth: float = 0.0  # of the basis, per unit of ln n beyond the data
    trim: float = 0.0  # per unit of ln n below the largest size: small sizes need not follow the asymptotic form
    squash: bool = True  # shrink with the room that is left below chance

    def smooth(self) -> Settings:
        """Without the rough deviation."""
        wanted = [r == 0 for r in self.rough]
        size, local, rough, prior = (
            tuple(v for v, w in zip(values, wanted, strict=True) if w)
            for values in (self.discrepancy, self.local, self.rough, self.prior)
        )
        beyond = self.beyond and replace(
            self.beyond, factor=tuple(f for f, w in zip(self.beyond.factor, wanted, strict=True) if w)
        )
        return replace(self, discrepancy=size, local=local, rough=rough, prior=prior, beyond=beyond)

    def log_form_prior(self, names: Sequence[str], *, chance_known: bool) -> Array:
        """(len(names),) log probabilities before the data, that add up to one over these forms."""
        share = np.array([self.form_prior[chance_known].get(name, 0.0) for name in names])
        return np.asarray(np.log(share / share.sum()))


SETTINGS = Settings()


@dataclass(frozen=True)
class Bumps:
    """The discrepancy's basis: bumps in u = ln(n / n0), scaled so that inside the data the sum of the slow ones has
    unit variance, and so has that of the local ones."""

    centres: Array  # (M,)
    scale: Array  # (M,)
    width: Array  # (M,)
    slow: int  # how many of them are slow; they come first

    @staticmethod
    def over(u: Array, room: Array, settings: Settings) -> Bumps:
        """`room` (k,): the factor at each of the data's u (k,), held constant beyond them."""
        width = settings.width
        centres = np.arange(u[0] - 2 * width, u[-1] + REACH, width)
        unit = math.sqrt(math.pi) ** -0.5  # sum of squared bumps spaced by their width
        below = settings.trim * np.maximum(u[-1] - centres, 0) if settings.trim else np.maximum(u[0] - centres, 0) * 0.5
        scale = 1 + settings.growth * np.maximum(centres - u[-1], 0) + below
        slow = Bumps(centres, unit * scale * np.interp(centres, u, room), np.full_like(centres, width), len(centres))
        local = settings.local_width
        if not any(settings.local) or float(np.median(np.diff(u))) <= local / 2:
            return slow
        # Not beyond the data: what curves do there was learned as a change of slope.
        between = np.arange(u[0] - 2 * local, u[-1] + 2 * local, local)
        return Bumps(
            np.concatenate([slow.centres, between]),
            np.concatenate([slow.scale, unit * np.interp(between, u, room)]),
            np.concatenate([slow.width, np.full_like(between, local)]),
            slow.slow,
        )

    def at(self, u: Array) -> Array:
        """(len(u), M)"""
        return self.scale * np.exp(-0.5 * ((u[:, None] - self.centres) / self.width) ** 2)

    def sizes(self, settings: Settings) -> Array:
        """(L, M) standard deviations of the bumps' coefficients, per size of discrepancy."""
        slow, local = (np.array(s)[:, None] for s in (settings.discrepancy, settings.local))
        return np.asarray(np.where(np.arange(len(self.centres)) < self.slow, slow, local))


@dataclass(frozen=True)
class Problem:
    """One curve's points, ready to be fitted."""

    points: Points
    scale: Scale
    u: Array  # (k,) ln(n / n0)
    basis: Bumps
    phi: Array  # (k, M) the basis at the points
    sizes: Array  # (L, M) of the basis, per size of discrepancy
    whiten: Array  # (L, k, k) inverse Cholesky factors of the covariance, per size of discrepancy
    logdet: Array  # (L,) of the covariance


def make_problem(points: Points, scale: Scale, settings: Settings = SETTINGS) -> Problem:
    u = np.log(points.sizes / scale.reference)
    room = np.ones_like(u)
    if settings.squash and scale.chance is not None:
        room = np.clip(1 - np.minimum.accumulate(np.exp(points.log_error)) / scale.chance, 0.02, 1.0)
    basis = Bumps.over(u, room, settings)
    phi = basis.at(u)
    near = np.exp(-0.5 * ((u[:, None] - u) / settings.length) ** 2)
    sizes, rough = basis.sizes(settings), np.array(settings.rough)[:, None, None] ** 2
    if basis.slow < len(basis.centres):
        rough = np.zeros_like(rough)
    deviations = (phi * sizes[:, None] ** 2) @ phi.T + rough * near
    covariance = points.covariance + deviations
    factor = np.linalg.cholesky(covariance)
    logdet = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(-1)
    return Problem(points, scale, u, basis, phi, sizes, np.linalg.inv(factor), logdet)
