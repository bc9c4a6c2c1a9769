"""Two fitted curves in, the probability that they never meet out, with draws of their difference in that case.

Two curves fitted on their own always differ a little in slope and floor, and so meet somewhere, also where the truth is
one curve and a constant factor between the families. That hypothesis is therefore weighed against the two separate
curves: one form with the same exponents and floor for both, and a factor between their errors above the
floor (between their odds, where they saturate; for a power law it is as well one between the images that they need).
Its evidence is on the same scale, so Bayes' rule gives its probability (Jeffreys 1961, on tests of a common value). The
data may only lower that probability: what speaks *for* an exact hypothesis rests on the forms being exactly right, and
in the open curves it speaks for factors between curves that cross soon after.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.average import log_evidence, share_out, weigh
from analysis.discrepancy import SETTINGS, Problem, Settings, make_problem
from analysis.forms import FORMS, Chance, Form, Scale, Theta, Value
from analysis.modes import Batch, Mode, find_modes
from analysis.noise import Points
from analysis.power_law import Curve, scale_of

Array = NDArray[np.float64]

PRIOR = 0.4  # that two curves never meet, before their data are seen
FACTOR = 0.5  # standard deviation of the prior of ln of the factor
EXACT = 0.01  # log error: with larger deviations of their own the curves would be free to meet
BASE = ("power", "power_floor", "shifted", "saturating")  # what both have in common; the discrepancy does the rest


@dataclass(frozen=True)
class NeverMeet:
    """`probability` that two curves never meet, and what they would be then: modes and their weights."""

    probability: float
    problem: Problem
    modes: tuple[Mode, ...]
    weights: Array

    def difference(self, n: Array, *, draws: int, stream: list[int]) -> Array:
        """(draws, len(n)) log error of the first curve minus that of the second."""
        rng = np.random.default_rng(stream)
        u, chance = np.log(n / self.problem.scale.reference)[:, None], self.problem.scale.chance
        found = []
        for mode, count in zip(self.modes, share_out(self.weights, draws), strict=True):
            noise = np.linalg.cholesky(mode.covariance) @ rng.standard_normal((len(mode.theta), count))
            theta = mode.theta[:, None] + noise
            sides = (theta[0] + 0.5 * theta[-1], theta[0] - 0.5 * theta[-1])
            first, second = (mode.form.value([a, *theta[1:-1]], u, chance, False)[0] for a in sides)
            found.append((first - second).T)
        return np.concatenate(found)


def _by_a_factor(form: Form, side: Array) -> Form:
    """The form with one parameter more, ln of the factor, half of which goes to either side (k, 1) of the points."""

    def value(theta: Theta, u: Array, chance: Chance, jacobian: bool) -> Value:
        own, derivatives = form.value([theta[0] + side * theta[-1], *theta[1:-1]], u, chance, jacobian)
        return own, [*derivatives, side * derivatives[0]] if jacobian else []

    return replace(form, value=value, prior=lambda scale: [*form.prior(scale), (0.0, FACTOR)])


def _pool(first: Points, second: Points) -> tuple[Points, Array]:
    """Both curves' points as one's, sizes ascending, and (k, 1) the side of each: +1/2 or -1/2."""
    side = np.repeat([0.5, -0.5], [len(first.sizes), len(second.sizes)])
    order = np.lexsort((side, np.concatenate([first.sizes, second.sizes])))
    sizes, error, variance, runs = (
        np.concatenate([getattr(p, column) for p in (first, second)])[order]
        for column in ("sizes", "log_error", "variance", "runs")
    )
    pooled = Points(sizes, error, variance, runs, max(first.tau, second.tau), first.dof + second.dof, 0)
    return pooled, side[order][:, None]


def never_meet(first: Curve, second: Curve, settings: Settings = SETTINGS) -> NeverMeet:
    """The probability that two curves, of one metric and number of classes, never meet."""
    points, side = _pool(first.points, second.points)
    settings = settings.for_sizes([first.points.sizes, second.points.sizes]).up_to(EXACT)
    scale: Scale = scale_of(points, first.chance if first.chance == second.chance else None)
    problem = make_problem(points, scale, settings, curve=side[:, 0])
    batch = Batch.of([problem])
    forms = [f for f in FORMS if f.name in BASE and (not f.needs_chance or scale.chance is not None)]
    modes = [find_modes(_by_a_factor(form, side), batch)[0] for form in forms]
    joint = log_evidence(modes, settings)
    odds = np.exp(np.clip(joint - first.log_evidence - second.log_evidence, -50, 50)) * PRIOR / (1 - PRIOR)
    probability = min(float(odds / (1 + odds)), PRIOR)
    plain = tuple(replace(m, form=form) for form, own in zip(forms, modes, strict=True) for m in own)
    return NeverMeet(probability, problem, plain, weigh(modes, settings).ravel())
