"""The forms that a scaling curve may have: parameters in, log error and its derivatives out, vectorised over fits.

Parameters are unconstrained (logarithms of what must be positive, so E >= 0 and exponents > 0) and have normal priors,
weak but proper: they bound what few points cannot, and make the forms' evidence comparable. u = ln(n / n0), with n0
the geometric mean of the sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

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


Value = tuple[Array, Array | None]  # log error (..., k), derivatives (..., k, p)


@dataclass(frozen=True)
class Form:
    """One form. `value(theta (..., p), u (k,), scale, jacobian)`; `start` are the priors' means near the data."""

    name: str
    source: str
    formula: str
    parameters: tuple[str, ...]  # public names, in the order of theta
    value: Callable[[Array, Array, Scale, bool], Value]
    prior: Callable[[Scale], list[tuple[float, float]]]  # mean, standard deviation per parameter
    public: Callable[[Array, Scale], list[float]]  # theta (p,) -> public parameters
    needs_chance: bool = False


def _with_floor(reducible: Array, floor: Array, derivatives: list[Array] | None) -> Value:
    """ln(exp(reducible) + exp(floor)) and its derivatives by the parameters of both; the floor comes last."""
    total = np.logaddexp(reducible, floor[..., None])
    if derivatives is None:
        return total, None
    share = np.exp(reducible - total)
    return total, np.stack([share * d for d in derivatives] + [1 - share], axis=-1)


def _power(theta: Array, u: Array, scale: Scale, jacobian: bool) -> Value:
    a, b = theta[..., 0, None], np.exp(theta[..., 1, None])
    value = a - b * u
    return value, np.stack([np.ones_like(value), -b * u], axis=-1) if jacobian else None


def _floor(theta: Array, u: Array, scale: Scale, jacobian: bool) -> Value:
    a, b = theta[..., 0, None], np.exp(theta[..., 1, None])
    reducible = a - b * u
    return _with_floor(reducible, theta[..., 2], [np.ones_like(reducible), -b * u] if jacobian else None)


def _shifted(theta: Array, u: Array, scale: Scale, jacobian: bool) -> Value:
    a, b = theta[..., 0, None], np.exp(theta[..., 1, None])
    log_sum = np.logaddexp(u, theta[..., 2, None])  # ln((n + d) / n0)
    reducible = a - b * log_sum
    if not jacobian:
        return _with_floor(reducible, theta[..., 3], None)
    by_shift = -b * np.exp(theta[..., 2, None] - log_sum)
    return _with_floor(reducible, theta[..., 3], [np.ones_like(reducible), -b * log_sum, by_shift])


def _saturating(theta: Array, u: Array, scale: Scale, jacobian: bool) -> Value:
    assert scale.chance is not None
    a, b, floor = theta[..., 0, None], np.exp(theta[..., 1, None]), theta[..., 2, None]
    q = a - b * u  # ln of (y - E) / (chance - y)
    top = np.logaddexp(floor, math.log(scale.chance) + q)
    value = top - np.logaddexp(0, q)
    if not jacobian:
        return value, None
    by_floor = np.exp(floor - top)
    by_q = 1 - by_floor - np.exp(q - np.logaddexp(0, q))
    return value, np.stack([by_q, -b * u * by_q, by_floor], axis=-1)


def _broken(theta: Array, u: Array, scale: Scale, jacobian: bool) -> Value:
    a, b0, b1 = theta[..., 0, None], np.exp(theta[..., 1, None]), np.exp(theta[..., 2, None])
    width = np.exp(theta[..., 4, None])
    t = (u - theta[..., 3, None]) / width
    bend = width * np.logaddexp(0, t)
    reducible = a - b0 * u - (b1 - b0) * bend
    if not jacobian:
        return _with_floor(reducible, theta[..., 5], None)
    past = np.exp(t - np.logaddexp(0, t))
    derivatives = [
        np.ones_like(reducible),
        b0 * (bend - u),
        -b1 * bend,
        (b1 - b0) * past,
        -(b1 - b0) * (bend - width * t * past),
    ]
    return _with_floor(reducible, theta[..., 5], derivatives)


def _level(scale: Scale) -> tuple[float, float]:
    return scale.level, 1.5


def _irreducible(scale: Scale) -> tuple[float, float]:
    # Between 1% and all of the lowest error seen; that E is nothing at all is the power law's part.
    return scale.lowest - 1.5, 1.5


FORMS: tuple[Form, ...] = (
    Form(
        "power",
        "Hestness et al. 2017, arXiv 1712.00409",
        "A n^(-alpha)",
        ("A", "alpha"),
        _power,
        lambda s: [_level(s), EXPONENT_PRIOR],
        lambda t, s: [math.exp(t[0]) * s.reference ** math.exp(t[1]), math.exp(t[1])],
    ),
    Form(
        "power_floor",
        "Rosenfeld et al. 2020, arXiv 1909.12673",
        "E + A n^(-alpha)",
        ("A", "alpha", "E"),
        _floor,
        lambda s: [_level(s), EXPONENT_PRIOR, _irreducible(s)],
        lambda t, s: [math.exp(t[0]) * s.reference ** math.exp(t[1]), math.exp(t[1]), math.exp(t[2])],
    ),
    Form(
        "shifted",
        "M3 of Alabdulmohsin et al. 2022, arXiv 2209.06640",
        "E + A (n + d)^(-alpha)",
        ("A", "alpha", "d", "E"),
        _shifted,
        lambda s: [_level(s), EXPONENT_PRIOR, (-s.spread, 1.5), _irreducible(s)],
        lambda t, s: [
            math.exp(t[0]) * s.reference ** math.exp(t[1]),
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
            math.exp(t[0]) * s.reference ** math.exp(t[1]),
            math.exp(t[1]),
            math.exp(t[2]),
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
            math.exp(t[0]) * s.reference ** math.exp(t[1]),
            math.exp(t[1]),
            math.exp(t[2]),
            s.reference * math.exp(t[3]),
            math.exp(t[4]),
            math.exp(t[5]),
        ],
    ),
)
