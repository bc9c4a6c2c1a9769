"""Finds the most probable parameters of one form for several curves, at every size of discrepancy.

All curves are fitted in one batch, from many starts; shorter curves are padded with points of no weight.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.estimator.arrays import Array
from analysis.estimator.curve.discrepancy import Problem
from analysis.estimator.curve.forms import Form
from analysis.estimator.curve.least_squares import Index, Model, Solution, minimise

_STARTS = 10
KEPT = 3  # of the starts' ends are followed at every size of discrepancy


@dataclass(frozen=True)
class Mode:
    """The most probable parameters of one form at one size of discrepancy."""

    form: Form
    level: int  # index into the sizes of discrepancy
    theta: Array  # (p,)
    evidence: float  # log, by Laplace's approximation
    chi2: float
    dof: float


@dataclass(frozen=True)
class Batch:
    """Curves side by side: `whiten[c * levels + l]` is that of curve c at size of discrepancy l."""

    problems: Sequence[Problem]
    u: Array  # (K, C), padded
    z: Array  # (K, C)
    whiten: Array  # (C * L, K, K)
    chance: Array | None  # (C,)
    levels: int

    @staticmethod
    def of(problems: Sequence[Problem]) -> Batch:
        long, levels = max(len(p.u) for p in problems), len(problems[0].logdet)
        u, z = np.empty((long, len(problems))), np.zeros((long, len(problems)))
        whiten = np.zeros((len(problems) * levels, long, long))
        for c, p in enumerate(problems):
            k = len(p.u)
            u[:k, c], u[k:, c], z[:k, c] = p.u, p.u[-1], p.points.log_error
            whiten[c * levels : (c + 1) * levels, :k, :k] = p.whiten
        chances = [p.scale.chance for p in problems]
        known = None if None in chances else np.array(chances, dtype=float)
        return Batch(problems, u, z, whiten, known, levels)

    def model(self, form: Form, curve: Index) -> Model:
        """The form for problems of which `curve` (B,) says whose they are."""
        u, chance = self.u[:, curve], None if self.chance is None else self.chance[curve]
        return lambda theta, which: form.value(theta, u[:, which], None if chance is None else chance[which], True)


def priors(form: Form, problems: Sequence[Problem]) -> tuple[Array, Array]:
    """(p, C) means and standard deviations."""
    both = np.array([form.prior(p.scale) for p in problems])  # (C, p, 2)
    return both[:, :, 0].T, both[:, :, 1].T


@functools.cache
def _spread_of_starts(count: int, p: int) -> Array:
    """(p, count) standard normal numbers, the same ones every time; the first is the prior's centre."""
    numbers = np.random.default_rng(20).standard_normal((count, p))
    numbers[0] = 0
    return numbers.T


def _distinct(objective: Array) -> list[int]:
    """The best few ends, one of each hollow as far as there are several."""
    order = [int(i) for i in np.argsort(objective, kind="stable")]
    first = [
        i for i, j in zip(order, [None, *order[:-1]], strict=True) if j is None or objective[i] > objective[j] + 0.02
    ]
    return (first + [i for i in order if i not in first])[:KEPT]


def _search(form: Form, batch: Batch, mean: Array, sd: Array) -> Solution:
    """Every curve from all starts, at a middling size of discrepancy and without much care."""
    centre = mean.copy()
    centre[1] = [math.log(p.scale.slope) for p in batch.problems]
    curve = np.repeat(np.arange(len(batch.problems)), _STARTS)
    spread = np.tile(_spread_of_starts(_STARTS, len(sd)), len(batch.problems))
    return minimise(
        batch.model(form, curve),
        centre[:, curve] + np.minimum(sd, 1.0)[:, curve] * spread,
        z=batch.z[:, curve],
        whiten=batch.whiten,
        group=curve * batch.levels + min(2, batch.levels - 1),
        mean=mean[:, curve],
        sd=sd[:, curve],
        tolerance=1e-2,
        rounds=16,
    )


def find_modes(form: Form, batch: Batch) -> list[list[Mode]]:
    """Per curve the form's modes, one per size of discrepancy."""
    mean, sd = priors(form, batch.problems)
    found = _search(form, batch, mean, sd)
    ends = found.objective.reshape(len(batch.problems), _STARTS)
    kept = [c * _STARTS + i for c, e in enumerate(ends) for i in _distinct(e) * batch.levels]
    curve = np.repeat(np.arange(len(batch.problems)), batch.levels * KEPT)
    solution = minimise(
        batch.model(form, curve),
        found.theta[:, kept],
        z=batch.z[:, curve],
        whiten=batch.whiten,
        group=np.repeat(np.arange(len(batch.problems) * batch.levels), KEPT),
        mean=mean[:, curve],
        sd=sd[:, curve],
        tolerance=1e-3,
        rounds=40,
    )
    modes = []
    for c, problem in enumerate(batch.problems):
        own = []
        for level in range(batch.levels):
            first = (c * batch.levels + level) * KEPT
            best = first + int(np.argmin(solution.objective[first : first + KEPT]))
            own.append(_describe(form, problem, level, solution, best, sd[:, c]))
        modes.append(own)
    return modes


def _describe(form: Form, problem: Problem, level: int, solution: Solution, best: int, sd: Array) -> Mode:
    theta, hessian = solution.theta[:, best], solution.curvature[:, :, best]
    evidence = -solution.objective[best] - 0.5 * (np.linalg.slogdet(hessian)[1] + problem.logdet[level])
    value = form.value(theta[:, None], problem.u[:, None], problem.scale.chance, False)[0][:, 0]
    residual = problem.whiten[level] @ (problem.points.log_error - value)
    free = float(np.trace(np.linalg.solve(hessian, hessian - np.diag(1 / sd**2))))
    chi2 = float((residual**2).sum())
    return Mode(form, level, theta, float(evidence - np.log(sd).sum()), chi2, len(value) - free)
