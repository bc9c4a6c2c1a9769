"""Evaluates the forms that a scaling curve may have: log error and its derivatives, vectorised over problems.

Parameters are unconstrained (logarithms of what must be positive, so E >= 0 and exponents > 0) and have normal priors,
weak but proper: they bound what few points cannot, and make the forms' evidence comparable. u = ln(n / n0), with n0
the geometric mean of the sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.estimator.arrays import Array

NEWTON = 5
_HUGE = 700.0  # whose exponential a float still holds
EXPONENT_PRIOR = (math.log(0.4), 0.7)  # 95% of the prior mass of an exponent lies between 0.10 and 1.6


@dataclass(frozen=True)
class Scale:
    """What the priors and the chance level need to know of a curve."""

    reference: float  # n0
    level: float  # mean log error
    slope: float  # -d log error / d log n of the straight line through the points, at least 0.02
    lowest: float  # lowest log error of a size
    spread: float  # half of ln(n_max / n_min)
    chance: float | None  # error or loss of guessing, None if unknown


Theta = Array | list[Array]  # (p, B), or p arrays that broadcast
Chance = float | Array | None  # of guessing; (B,) where curves differ
# theta (p, B), u (k, B) or (k, 1), chance, jacobian wanted -> log error (k, B), p derivatives (k, B) or nothing
Value = tuple[Array, list[Array]]


@dataclass(frozen=True)
class Form:
    """One form. `value(theta, u, chance, jacobian)`; problems lie along the last axis."""

    name: str
    source: str
    formula: str
    parameters: tuple[str, ...]  # public names
    value: Callable[[Theta, Array, Chance, bool], Value]
    prior: Callable[[Scale], list[tuple[float, float]]]  # mean, standard deviation per parameter
    public: Callable[[Array, Scale], list[float]]  # theta (p,) -> public parameters
    needs_chance: bool = False


def _with_floor(reducible: Array, floor: Array, derivatives: list[Array]) -> Value:
    """ln(exp(reducible) + exp(floor)) and its derivatives by the parameters of both; the floor comes last."""
    total = np.logaddexp(reducible, floor)
    if not derivatives:
        return total, []
    share = np.exp(reducible - total)
    return total, [share * d for d in derivatives] + [1 - share]


def _power(theta: Theta, u: Array, chance: Chance, jacobian: bool) -> Value:
    slope = np.exp(theta[1]) * u
    value = theta[0] - slope
    return value, [np.ones_like(value), -slope] if jacobian else []


def _floor(theta: Theta, u: Array, chance: Chance, jacobian: bool) -> Value:
    reducible, derivatives = _power(theta, u, chance, jacobian)
    return _with_floor(reducible, theta[2], derivatives)


def _shifted(theta: Theta, u: Array, chance: Chance, jacobian: bool) -> Value:
    b = np.exp(theta[1])
    log_sum = np.logaddexp(u, theta[2])  # ln((n + d) / n0)
    reducible = theta[0] - b * log_sum
    if not jacobian:
        return _with_floor(reducible, theta[3], [])
    by_shift = -b * np.exp(theta[2] - log_sum)
    return _with_floor(reducible, theta[3], [np.ones_like(reducible), -b * log_sum, by_shift])


def _saturating(theta: Theta, u: Array, chance: Chance, jacobian: bool) -> Value:
    assert chance is not None
    slope = np.exp(theta[1]) * u
    q = theta[0] - slope  # ln of (y - E) / (chance - y)
    top, bottom = np.logaddexp(theta[2], np.log(chance) + q), np.logaddexp(0, q)
    if not jacobian:
        return top - bottom, []
    by_floor = np.exp(theta[2] - top)
    by_q = 1 - by_floor - np.exp(q - bottom)
    return top - bottom, [by_q, -slope * by_q, by_floor]


def _saturating_free(theta: Theta, u: Array, chance: Chance, jacobian: bool) -> Value:
    """With s = (y - E) / (chance - E), ln s - kappa ln(1 - s) = a - b u, solved by Newton's method for t = logit(s)."""
    assert chance is not None
    slope, kappa = np.exp(theta[1]) * u, np.exp(theta[2])
    below = 0.999 * np.asarray(chance)
    floor = np.minimum(np.exp(theta[3]), below)
    q = theta[0] - slope
    t = np.where(q < 0, q, q / kappa)
    for _ in range(NEWTON):  # the left side rises in t and is nearly straight at both ends: a few steps are exact
        above = np.logaddexp(0, t)
        s = np.exp(t - above)
        t = t - (t - above + kappa * above - q) / (1 - s + kappa * s)
    above = np.logaddexp(0, t)
    s = np.exp(t - above)
    y = floor + (chance - floor) * s
    if not jacobian:
        return np.log(y), []
    by_q = (chance - floor) * s * (1 - s) / (1 - s + kappa * s) / y
    by_floor = np.where(floor < below, floor * (1 - s) / y, 0.0)
    return np.log(y), [by_q, -slope * by_q, -kappa * above * by_q, by_floor]


def _broken(theta: Theta, u: Array, chance: Chance, jacobian: bool) -> Value:
    b0, b1, width = np.exp(theta[1]), np.exp(theta[2]), np.exp(theta[4])
    t = (u - theta[3]) / width
    soft = np.logaddexp(0, t)
    bend = width * soft
    reducible = theta[0] - b0 * u - (b1 - b0) * bend
    if not jacobian:
        return _with_floor(reducible, theta[5], [])
    past = np.exp(t - soft)
    derivatives = [
        np.ones_like(reducible),
        b0 * (bend - u),
        -b1 * bend,
        (b1 - b0) * past,
        -(b1 - b0) * (bend - width * t * past),
    ]
    return _with_floor(reducible, theta[5], derivatives)


def _level(scale: Scale) -> tuple[float, float]:
    return scale.level, 1.5


def _irreducible(scale: Scale) -> tuple[float, float]:
    # Between 1% and all of the lowest error seen; that E is nothing at all is the power law's part.
    return scale.lowest - 1.5, 1.5


def _amplitude(t: Array, s: Scale) -> float:
    """A of A n^-alpha, from its value at the reference size; a steep form of a few sizes can be beyond all floats."""
    return math.exp(min(t[0] + math.exp(min(t[1], _HUGE)) * math.log(s.reference), _HUGE))


FORMS: tuple[Form, ...] = (
    Form(
        "power",
        "Hestness et al. 2017, arXiv 1712.00409",
        "A n^(-alpha)",
        ("A", "alpha"),
        _power,
        lambda s: [_level(s), EXPONENT_PRIOR],
        lambda t, s: [_amplitude(t, s), math.exp(t[1])],
    ),
    Form(
        "power_floor",
        "Rosenfeld et al. 2020, arXiv 1909.12673",
        "E + A n^(-alpha)",
        ("A", "alpha", "E"),
        _floor,
        lambda s: [_level(s), EXPONENT_PRIOR, _irreducible(s)],
        lambda t, s: [_amplitude(t, s), math.exp(t[1]), math.exp(t[2])],
    ),
    Form(
        "shifted",
        "M3 of Alabdulmohsin et al. 2022, arXiv 2209.06640",
        "E + A (n + d)^(-alpha)",
        ("A", "alpha", "d", "E"),
        _shifted,
        lambda s: [_level(s), EXPONENT_PRIOR, (-s.spread, 1.5), _irreducible(s)],
        lambda t, s: [
            _amplitude(t, s),
            math.exp(t[1]),
            s.reference * math.exp(t[2]),
            math.exp(t[3]),
        ],
    ),
    Form(
        "saturating",
        "M4 with unit exponent of Alabdulmohsin et al. 2022, arXiv 2209.06640",
        "(y - E) / (chance - y) = B n^(-alpha)",
        ("B", "alpha", "E", "chance"),
        _saturating,
        lambda s: [(s.level, 2.5), EXPONENT_PRIOR, _irreducible(s)],
        lambda t, s: [
            _amplitude(t, s),
            math.exp(t[1]),
            math.exp(t[2]),
            float(s.chance or math.nan),
        ],
        needs_chance=True,
    ),
    Form(
        "saturating_free",
        "M4 of Alabdulmohsin et al. 2022, arXiv 2209.06640",
        "s / (1 - s)^kappa = B n^(-alpha), s = (y - E) / (chance - E)",
        ("B", "alpha", "kappa", "E", "chance"),
        _saturating_free,
        lambda s: [(s.level, 2.5), EXPONENT_PRIOR, (0.0, 0.7), _irreducible(s)],
        lambda t, s: [
            _amplitude(t, s),
            math.exp(t[1]),
            math.exp(t[2]),
            math.exp(t[3]),
            float(s.chance or math.nan),
        ],
        needs_chance=True,
    ),
    Form(
        "broken",
        "BNSL with one break, Caballero et al. 2023, arXiv 2210.14891",
        "E + A n^(-alpha) (1 + (n/n_break)^(1/f))^(-(alpha_after - alpha) f)",
        ("A", "alpha", "alpha_after", "n_break", "f", "E"),
        _broken,
        lambda s: [_level(s), EXPONENT_PRIOR, EXPONENT_PRIOR, (0.0, s.spread), (-0.7, 0.5), _irreducible(s)],
        lambda t, s: [
            _amplitude(t, s),
            math.exp(t[1]),
            math.exp(t[2]),
            s.reference * math.exp(t[3]),
            math.exp(t[4]),
            math.exp(t[5]),
        ],
    ),
)
