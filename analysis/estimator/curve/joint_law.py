"""Fits the joint law E + A / N^alpha + B / n^beta to one family's losses over model sizes and data sizes.

As in Hoffmann et al. 2022 (arXiv 2203.15556, approach 3) the sum of Huber losses (delta = 1e-3) of the log residuals is
minimised from many starts. That sum is tiny and nearly an L1 norm: tolerances must be relative to its scale (it is
divided by delta^2 here), or the search stops early (Besiroglu et al. 2024, arXiv 2404.10102).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analysis.estimator.arrays import Array
from analysis.estimator.curve.least_squares import solve_positive

DELTA = 1e-3
_STARTS = 400
POLISHED = 3
LAW_NAMES = ("A", "B", "E", "alpha", "beta")


@dataclass(frozen=True)
class JointLaw:
    """`objective` is the sum of Huber losses at the parameters."""

    A: float
    B: float
    E: float
    alpha: float
    beta: float
    objective: float

    def predict(self, num_params: ArrayLike, train_size: ArrayLike) -> Array:
        size, n = np.asarray(num_params, dtype=float), np.asarray(train_size, dtype=float)
        return np.asarray(self.E + self.A * size**-self.alpha + self.B * n**-self.beta)


@dataclass(frozen=True)
class _Data:
    log_size: Array  # (k,)
    log_n: Array  # (k,)
    log_loss: Array  # (k,)


def _evaluate(theta: Array, data: _Data, weight: Array) -> tuple[Array, Array, Array]:
    """Objective / delta^2 (B,), gradient (5, B) and Gauss-Newton Hessian (5, 5, B); theta is (a, b, e, alpha, beta)."""
    a, b, e, alpha, beta = theta[:, None, :]
    with np.errstate(over="ignore", invalid="ignore"):
        terms = [a - alpha * data.log_size[:, None], b - beta * data.log_n[:, None], e + 0 * data.log_n[:, None]]
        total = np.logaddexp(np.logaddexp(terms[0], terms[1]), terms[2])
        residual = (data.log_loss[:, None] - total) / DELTA
        size = np.abs(residual)
        value = (weight * np.where(size <= 1, 0.5 * residual**2, size - 0.5)).sum(0)
        by_a, by_b, by_e = (np.exp(t - total) for t in terms)
        jacobian = [by_a, by_b, by_e, -data.log_size[:, None] * by_a, -data.log_n[:, None] * by_b]
        pull = weight / np.maximum(size, 1)  # Huber's weights
        gradient = np.stack([np.einsum("kb,kb->b", j, pull * residual) for j in jacobian]) / DELTA
        hessian = np.empty((5, *theta.shape))
        for i in range(5):
            for j in range(i + 1):
                hessian[i, j] = hessian[j, i] = np.einsum("kb,kb->b", jacobian[i] * pull, jacobian[j]) / DELTA**2
    return np.where(np.isfinite(value), value, np.inf), gradient, hessian


def _descend(theta: Array, data: _Data, weight: Array, rounds: int, tolerance: float) -> tuple[Array, Array]:
    """Reweighted Levenberg-Marquardt on all columns at once: parameters (5, B) and objectives / delta^2 (B,)."""
    theta, damping = theta.copy(), np.full(theta.shape[1], 1e-2)
    value, gradient, hessian = _evaluate(theta, data, weight)
    active = np.flatnonzero(np.isfinite(value))
    quiet = np.zeros(theta.shape[1], dtype=int)
    for _ in range(rounds):
        if not len(active):
            break
        damped = hessian[:, :, active]
        for i in range(5):
            damped[i, i] = damped[i, i] * (1 + damping[active]) + 1e-12
        trial = theta[:, active] + solve_positive(damped, gradient[:, active])
        own = weight[:, active] if weight.shape[1] > 1 else weight
        new, g, h = _evaluate(trial, data, own)
        gained = value[active] - new
        better = gained > 0
        taken = active[better]
        theta[:, taken], value[taken], gradient[:, taken], hessian[:, :, taken] = (
            trial[:, better],
            new[better],
            g[:, better],
            h[:, :, better],
        )
        damping[active] = np.where(better, np.maximum(damping[active] / 5, 1e-9), damping[active] * 5)
        quiet[active] = np.where(better & (gained > tolerance * value[active]), 0, quiet[active] + 1)
        active = active[(quiet[active] < 12) & (damping[active] < 1e12)]
    return theta, value


def _polish(theta: Array, data: _Data) -> tuple[Array, float]:
    from scipy.optimize import minimize

    def scaled(x: Array) -> tuple[float, Array]:
        value, gradient, _ = _evaluate(x[:, None], data, np.ones((len(data.log_n), 1)))
        return float(value[0]), -gradient[:, 0]

    found = minimize(scaled, theta, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 3000})
    # Corners of the loss stop a gradient method a little early: finish without one.

    def plain(x: Any) -> float:
        return scaled(x)[0]

    end: Any = found.x
    found = minimize(plain, end, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-9})
    return found.x, float(found.fun)


def _data(num_params: ArrayLike, train_size: ArrayLike, loss: ArrayLike) -> _Data:
    arrays = [np.asarray(v, dtype=float) for v in (num_params, train_size, loss)]
    if len({a.shape for a in arrays}) != 1 or arrays[0].ndim != 1:
        raise ValueError("num_params, train_size and loss must be 1-D and of one length")
    if not all(np.isfinite(a).all() and (a > 0).all() for a in arrays):
        raise ValueError("num_params, train_size and loss must be finite and > 0")
    if len(np.unique(arrays[0])) < 3 or len(np.unique(arrays[1])) < 3:
        raise ValueError("a joint law needs at least 3 model sizes and 3 data sizes")
    order = np.lexsort(arrays)
    return _Data(*(np.log(a[order]) for a in arrays))


def fit_joint(num_params: ArrayLike, train_size: ArrayLike, loss: ArrayLike, *, seed: int = 0) -> JointLaw:
    """Fits the joint law; the order of the rows never matters.

    Args:
        num_params: (r,) trainable parameters N.
        train_size: (r,) training images or tokens n.
        loss: (r,) losses in nats, or errors, > 0.
        seed: of the starts.

    Raises:
        ValueError: unequal lengths, values that are not > 0, fewer than 3 model sizes or 3 data sizes.
    """
    data = _data(num_params, train_size, loss)
    rng = np.random.default_rng(seed)
    low = data.log_loss.min()
    alpha, beta = rng.uniform(0.05, 1.0, (2, _STARTS))
    share = rng.uniform(0.05, 0.95, (3, _STARTS))
    middle = np.median(data.log_loss)
    start = np.stack(
        [
            middle + np.log(share[0]) + alpha * np.median(data.log_size),
            middle + np.log(share[1]) + beta * np.median(data.log_n),
            low + np.log(share[2]),
            alpha,
            beta,
        ]
    )
    theta, value = _descend(start, data, np.ones((len(data.log_n), 1)), rounds=80, tolerance=1e-6)
    best = [_polish(theta[:, i], data) for i in np.argsort(value, kind="stable")[:POLISHED]]
    (a, b, e, alpha_, beta_), objective = min(best, key=lambda found: found[1])
    return JointLaw(
        float(np.exp(a)), float(np.exp(b)), float(np.exp(e)), float(alpha_), float(beta_), objective * DELTA**2
    )


def bootstrap_joint(
    law: JointLaw,
    num_params: ArrayLike,
    train_size: ArrayLike,
    loss: ArrayLike,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Array:
    """(replicates, 5) parameters in the order of LAW_NAMES, refitted to rows drawn with replacement."""
    data = _data(num_params, train_size, loss)
    k = len(data.log_n)
    weight = np.random.default_rng(seed).multinomial(k, np.full(k, 1 / k), size=replicates).T.astype(float)
    centre = np.array([np.log(law.A), np.log(law.B), np.log(max(law.E, 1e-300)), law.alpha, law.beta])
    theta, _ = _descend(np.tile(centre[:, None], (1, replicates)), data, weight, rounds=300, tolerance=1e-9)
    return np.concatenate([np.exp(theta[:3]), theta[3:]]).T
