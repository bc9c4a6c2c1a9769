"""Errors at several sizes in, a scaling curve with its uncertainty out: all forms averaged, none believed.

For every form and several sizes of *discrepancy* (a smooth deviation from the form, in log error) the most probable
parameters are found from many starts, and the pair gets the weight of its evidence (Laplace's approximation; Kennedy
and O'Hagan 2001 for the discrepancy). The uncertainty comes from replicates: noise, prior and discrepancy are drawn,
the fit is repeated, and the discrepancy updated ("randomise, then optimise", Bardsley et al. 2014), which for linear
models is exact. One form's parametric bootstrap covers 0-9% instead of 90% as soon as the truth has another form.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.forms import FORMS, Form, Scale
from analysis.noise import Points, summarise
from analysis.solve import minimise

Array = NDArray[np.float64]

DISCREPANCY = (0.0, 0.01, 0.03, 0.1)  # standard deviations of the log error inside the measured sizes
DISCREPANCY_PRIOR = (0.25, 0.35, 0.25, 0.15)
BUMP_WIDTH = 1.0  # of the discrepancy's basis functions, and their spacing, in ln n
GROWTH = 0.5  # beyond the data the discrepancy grows by this share per unit of ln n: nothing holds the form there
REACH = math.log(1000.0)  # how far beyond the largest size the discrepancy's basis goes
STARTS = 16
DRAWS = 1000


@dataclass(frozen=True)
class _Bumps:
    """The discrepancy's basis: bumps in u = ln(n / n0), scaled so that inside the data the sum has unit variance."""

    centres: Array  # (M,)
    scale: Array  # (M,)

    @staticmethod
    def over(u: Array) -> _Bumps:
        centres = np.arange(u[0] - 2 * BUMP_WIDTH, u[-1] + REACH, BUMP_WIDTH)
        unit = (math.sqrt(math.pi) * BUMP_WIDTH / BUMP_WIDTH) ** -0.5  # sum of squared bumps spaced by their width
        beyond = np.maximum(centres - u[-1], 0) + np.maximum(u[0] - centres, 0)
        return _Bumps(centres, unit * (1 + GROWTH * beyond))

    def at(self, u: Array) -> Array:
        """(len(u), M)"""
        return self.scale * np.exp(-0.5 * ((u[:, None] - self.centres) / BUMP_WIDTH) ** 2)


@dataclass(frozen=True)
class _Block:
    """Replicates of one form: parameters (D, p) and discrepancy coefficients (D, M)."""

    form: Form
    theta: Array
    bumps: Array


@dataclass(frozen=True)
class Curve:
    """A fitted scaling curve: the error expected of a new run at n, as far as it is known.

    `forms` lists the forms with their most probable parameters and weights; `lack_of_fit` is the p-value of the
    chi-square test of the most probable form without discrepancy (None where no degree of freedom is left).
    """

    points: Points
    metric: str
    forms: list[dict[str, Any]]
    lack_of_fit: float | None
    warnings: list[dict[str, str]]
    _scale: Scale = field(repr=False)
    _basis: _Bumps = field(repr=False)
    _blocks: tuple[_Block, ...] = field(repr=False)
    _order: NDArray[np.int64] = field(repr=False)

    @property
    def fit_range(self) -> tuple[float, float]:
        return float(self.points.sizes[0]), float(self.points.sizes[-1])

    def log_draws(self, n: ArrayLike) -> Array:
        """(draws, len(n)) equally probable log errors, in an order that carries no meaning."""
        u = np.log(np.atleast_1d(np.asarray(n, dtype=float)) / self._scale.reference)
        basis = self._basis.at(u)
        parts = [b.form.value(b.theta, u, self._scale, False)[0] + b.bumps @ basis.T for b in self._blocks]
        draws = np.concatenate(parts)[self._order]
        return np.minimum(draws, 0.0) if self.metric == "error" else draws

    def predict(self, n: ArrayLike) -> Array:
        """Array like n: the median of the expected error."""
        return np.exp(np.median(self.log_draws(n), axis=0)).reshape(np.shape(n))

    def interval(self, n: ArrayLike, level: float = 0.9) -> Array:
        """(len(n), 2): the central interval of the expected error that holds `level` of the probability."""
        tail = (1 - level) / 2
        return np.exp(np.quantile(self.log_draws(n), [tail, 1 - tail], axis=0).T)


@dataclass(frozen=True)
class _Mode:
    """The most probable parameters of one form at one size of discrepancy."""

    form: Form
    level: int  # index into DISCREPANCY
    theta: Array
    evidence: float
    chi2: float
    dof: float


def _priors(form: Form, scale: Scale) -> tuple[Array, Array]:
    mean, sd = np.array(form.prior(scale)).T
    return mean, sd


def _whitening(points: Points, phi: Array) -> tuple[Array, Array]:
    """(S, k, k) inverse Cholesky factors of the covariance per size of discrepancy, and (S,) log determinants."""
    covariance = np.diag(points.variance) + np.array(DISCREPANCY)[:, None, None] ** 2 * (phi @ phi.T)
    factor = np.linalg.cholesky(covariance)
    return np.linalg.inv(factor), 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(-1)


@functools.cache
def _spread_of_starts(count: int, p: int) -> Array:
    """(count, p) standard normal numbers, the same ones every time; the first is the prior's centre."""
    numbers = np.random.default_rng(20).standard_normal((count, p))
    numbers[0] = 0
    return numbers


def _find_modes(form: Form, points: Points, u: Array, scale: Scale, whiten: Array, logdet: Array) -> list[_Mode]:
    mean, sd = _priors(form, scale)
    levels = len(DISCREPANCY)
    centre = mean.copy()
    centre[1] = math.log(scale.slope)
    starts = centre + np.minimum(sd, 1.0) * _spread_of_starts(STARTS, len(mean))
    solution = minimise(
        lambda t: form.value(t, u, scale, True),
        np.tile(starts, (levels, 1)),
        z=np.broadcast_to(points.log_error, (levels * STARTS, len(u))),
        whiten=np.repeat(whiten, STARTS, axis=0),
        mean=np.broadcast_to(mean, (levels * STARTS, len(mean))),
        sd=sd,
    )
    modes = []
    for level in range(levels):
        best = level * STARTS + int(np.argmin(solution.objective[level * STARTS : (level + 1) * STARTS]))
        theta, hessian = solution.theta[best], solution.curvature[best]
        evidence = -solution.objective[best] - 0.5 * (np.linalg.slogdet(hessian)[1] + logdet[level])
        evidence -= np.log(sd).sum()
        residual = (points.log_error - form.value(theta, u, scale, False)[0]) / np.sqrt(points.variance)
        free = float(np.trace(np.linalg.solve(hessian, hessian - np.diag(1 / sd**2))))
        modes.append(_Mode(form, level, theta, float(evidence), float((residual**2).sum()), len(u) - free))
    return modes


def _share_out(weights: Array, total: int) -> NDArray[np.int64]:
    """`total` draws in proportion to the weights, by largest remainders."""
    exact = weights * total
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(-(exact - counts), kind="stable")[: total - int(counts.sum())]] += 1
    return counts


def _replicate(
    modes: list[_Mode],
    counts: NDArray[np.int64],
    points: Points,
    u: Array,
    scale: Scale,
    phi: Array,
    whiten: Array,
    rng: np.random.Generator,
) -> _Block:
    """Redraws noise, prior and discrepancy for one form and fits it again; `counts` replicates per mode."""
    form = modes[0].form
    mean, sd = _priors(form, scale)
    level = np.repeat([m.level for m in modes], counts)
    start = np.repeat(np.array([m.theta for m in modes]), counts, axis=0)
    size = np.array(DISCREPANCY)[level][:, None]
    drawn = size * rng.standard_normal((len(level), phi.shape[1]))
    # tau is an estimate: replicates with its uncertainty make the noise Student's t, wider with few seeds.
    stretch = np.sqrt(points.dof / rng.chisquare(points.dof, len(level)))[:, None]
    noise = stretch * np.sqrt(points.variance) * rng.standard_normal((len(level), len(u)))
    z = points.log_error + noise - drawn @ phi.T
    solution = minimise(
        lambda t: form.value(t, u, scale, True),
        start,
        z=z,
        whiten=whiten[level],
        mean=mean + sd * rng.standard_normal((len(level), len(mean))),
        sd=sd,
        tolerance=1e-4,
        rounds=40,
    )
    w = whiten[level]
    left = z - form.value(solution.theta, u, scale, False)[0]
    pulled = np.matmul(w.transpose(0, 2, 1), np.matmul(w, left[..., None]))[..., 0]
    return _Block(form, solution.theta, drawn + size**2 * (pulled @ phi))


def _chance(metric: str, num_classes: int | None) -> float | None:
    if num_classes is None:
        return None
    return 1 - 1 / num_classes if metric == "error" else math.log(num_classes)


def _scale_of(points: Points, chance: float | None) -> Scale:
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


def _lack_of_fit(modes: list[_Mode]) -> float | None:
    best = max((m for m in modes if m.level == 0), key=lambda m: m.evidence)
    if best.dof < 0.5:
        return None
    from scipy.special import gammaincc  # 0.2 s to import, and only needed here

    return float(gammaincc(best.dof / 2, best.chi2 / 2))


def _warnings(points: Points, lack_of_fit: float | None) -> list[dict[str, str]]:
    found = []
    if len(points.sizes) < 5:
        found.append({"code": "few_sizes", "message": f"only {len(points.sizes)} sizes"})
    if (points.runs == 1).all():
        found.append({"code": "single_seed", "message": "one run per size: the noise between seeds is a guess"})
    rise = np.diff(points.log_error) / np.sqrt(points.variance[1:] + points.variance[:-1])
    if (rise > 3).any():
        at = points.sizes[1:][rise > 3]
        found.append({"code": "not_monotone", "message": f"the error rises at {', '.join(f'{n:,.0f}' for n in at)}"})
    if lack_of_fit is not None and lack_of_fit < 0.01:
        found.append({"code": "lack_of_fit", "message": f"no form fits the points (p = {lack_of_fit:.2g})"})
    if points.zeros:
        found.append({"code": "zero_error", "message": f"{points.zeros} runs without an error count as half an image"})
    return found


def fit_points(points: Points, *, metric: str, chance: float | None, stream: list[int], draws: int = DRAWS) -> Curve:
    """Fits all forms to one curve's points; `stream` seeds the replicates. At least 3 sizes are needed."""
    scale = _scale_of(points, chance)
    u = np.log(points.sizes / scale.reference)
    basis = _Bumps.over(u)
    phi = basis.at(u)
    whiten, logdet = _whitening(points, phi)
    forms = [f for f in FORMS if not f.needs_chance or scale.chance is not None]
    modes = [_find_modes(form, points, u, scale, whiten, logdet) for form in forms]
    evidence = np.array([[m.evidence for m in per_form] for per_form in modes]) + np.log(DISCREPANCY_PRIOR)
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    counts = _share_out(weights.ravel(), draws).reshape(weights.shape)
    rng = np.random.default_rng(stream)
    blocks = tuple(
        _replicate(per_form, share, points, u, scale, phi, whiten, rng)
        for per_form, share in zip(modes, counts, strict=True)
        if share.sum()
    )
    listed = []
    for per_form, weight in zip(modes, weights, strict=True):
        best = per_form[int(np.argmax(weight))]
        values = best.form.public(best.theta, scale)
        listed.append(
            {
                "name": best.form.name,
                "formula": best.form.formula,
                "parameters": dict(zip(best.form.parameters, values, strict=True)),
                "weight": float(weight.sum()),
            }
        )
    p_value = _lack_of_fit([m for per_form in modes for m in per_form])
    return Curve(
        points, metric, listed, p_value, _warnings(points, p_value), scale, basis, blocks, rng.permutation(draws)
    )


def fit_curve(
    train_size: ArrayLike,
    error: ArrayLike,
    *,
    metric: str = "error",
    test_examples: ArrayLike | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> Curve:
    """Fits a scaling curve; the order of the rows never matters, and the same input gives the same bits.

    Args:
        train_size: (r,) sizes > 0, repeats (seeds) allowed.
        error: (r,) errors in [0, 1], or losses in nats > 0.
        metric: "error" or "loss".
        test_examples: (r,) or one number: images in the test set, for the binomial noise.
        num_classes: gives the chance level, 1 - 1/classes or ln(classes); unknown if None.
        seed: of the replicates.

    Raises:
        ValueError: arrays of unequal length, values out of range, or fewer than 3 distinct sizes.
    """
    if metric not in ("error", "loss"):
        raise ValueError(f"metric={metric!r} is neither 'error' nor 'loss'")
    sizes, values = np.asarray(train_size, dtype=float), np.asarray(error, dtype=float)
    if sizes.ndim != 1 or sizes.shape != values.shape:
        raise ValueError(f"train_size and error must be 1-D and of one length, not {sizes.shape} and {values.shape}")
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise ValueError("train_size must be finite and > 0")
    if not (np.isfinite(values).all() and (values >= 0).all() and (metric == "loss" or (values <= 1).all())):
        raise ValueError(f"{metric} must be finite and {'in [0, 1]' if metric == 'error' else '>= 0'}")
    images = None
    if test_examples is not None:
        images = np.asarray(test_examples, dtype=float)
        if images.shape not in ((), sizes.shape) or not (np.isfinite(images).all() and (images > 0).all()):
            raise ValueError("test_examples must be one number > 0, or one per row")
    if num_classes is not None and num_classes < 2:
        raise ValueError(f"num_classes={num_classes} must be at least 2")
    if len(np.unique(sizes)) < 3:
        raise ValueError(f"{len(np.unique(sizes))} distinct sizes: a curve needs at least 3")
    points = summarise(sizes, values, test_examples=images, is_error=metric == "error")
    return fit_points(points, metric=metric, chance=_chance(metric, num_classes), stream=[seed])
