"""Many small nonlinear least-squares problems at once: Levenberg-Marquardt, vectorised over starts and replicates.

Each problem minimises |W (z - f(theta))|^2 / 2 + |(theta - mean) / sd|^2 / 2, where W whitens the noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Model = Callable[[Array], tuple[Array, Array | None]]  # theta (B, p) -> value (B, k), derivatives (B, k, p)


@dataclass(frozen=True)
class Solution:
    theta: Array  # (B, p)
    objective: Array  # (B,)
    curvature: Array  # (B, p, p): Gauss-Newton Hessian at theta, the prior's included


def _evaluate(model: Model, theta: Array, z: Array, whiten: Array, mean: Array, sd: Array) -> tuple[Array, ...]:
    with np.errstate(over="ignore", invalid="ignore"):
        value, jacobian = model(theta)
        assert jacobian is not None
        residual = np.matmul(whiten, (z - value)[..., None])[..., 0]
        away = (theta - mean) / sd
        objective = 0.5 * ((residual**2).sum(-1) + (away**2).sum(-1))
        return np.where(np.isfinite(objective), objective, np.inf), residual, np.matmul(whiten, jacobian), away


def minimise(
    model: Model,
    start: Array,
    *,
    z: Array,
    whiten: Array,
    mean: Array,
    sd: Array,
    tolerance: float = 1e-10,
    rounds: int = 100,
) -> Solution:
    """Solves B problems of p parameters on k points.

    Args:
        model: values and derivatives at (B', p) parameters, whichever of the B problems are still open.
        start: (B, p).
        z: (B, k).
        whiten: (B, k, k), or (k, k) for all.
        mean: (B, p) centres of the prior; sd: (p,) its standard deviations.
        tolerance: decrease of the objective, relative to itself, below which a problem is solved.
    """
    count, p = start.shape
    whiten = np.broadcast_to(whiten, (count, *whiten.shape[-2:]))
    theta, damping = start.copy(), np.full(count, 1e-2)
    objective, residual, jacobian, away = _evaluate(model, theta, z, whiten, mean, sd)
    active = np.arange(count)
    for _ in range(rounds):
        if not len(active):
            break
        j = jacobian[active]
        hessian = np.matmul(j.transpose(0, 2, 1), j)
        hessian[:, np.arange(p), np.arange(p)] += 1 / sd**2
        gradient = np.matmul(j.transpose(0, 2, 1), residual[active][..., None])[..., 0] - away[active] / sd
        damped = hessian.copy()
        damped[:, np.arange(p), np.arange(p)] *= 1 + damping[active, None]
        step = np.linalg.solve(damped, gradient[..., None])[..., 0]
        trial = theta[active] + step
        new, r, jac, d = _evaluate(model, trial, z[active], whiten[active], mean[active], sd)
        better = new < objective[active]
        gained = objective[active] - new
        done = better & (gained <= tolerance * (new + tolerance))
        taken = active[better]
        theta[taken], objective[taken] = trial[better], new[better]
        residual[taken], jacobian[taken], away[taken] = r[better], jac[better], d[better]
        damping[active] = np.where(better, damping[active] / 5, damping[active] * 6)
        stuck = ~better & (damping[active] > 1e9)  # no step helps any more: at the minimum to rounding
        active = active[~(done | stuck)]
    hessian = np.matmul(jacobian.transpose(0, 2, 1), jacobian)
    hessian[:, np.arange(p), np.arange(p)] += 1 / sd**2
    return Solution(theta, objective, hessian)
