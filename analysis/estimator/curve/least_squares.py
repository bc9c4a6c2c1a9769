"""Many small nonlinear least-squares problems at once: Levenberg-Marquardt, vectorised over starts and replicates.

Each problem minimises |W (z - f(theta))|^2 / 2 + |(theta - mean) / sd|^2 / 2, where W whitens the noise. The problems
lie along the last axis of every array, so that each step is a few operations on long rows, however many there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.estimator.arrays import Array

Index = NDArray[np.intp]
# theta (p, B) and which problems these are (B,) -> values (k, B) and p derivatives (k, B)
Model = Callable[[Array, Index], tuple[Array, list[Array]]]


@dataclass(frozen=True)
class Solution:
    theta: Array  # (p, B)
    objective: Array  # (B,)
    curvature: Array  # (p, p, B): Gauss-Newton Hessian at theta, the prior's included


def _runs(group: Index) -> Iterator[tuple[int, slice]]:
    """The stretches of equal numbers in a sorted array."""
    edges = np.flatnonzero(np.diff(group)) + 1
    bounds = [0, *edges.tolist(), len(group)]
    for left, right in itertools.pairwise(bounds):
        if right > left:
            yield int(group[left]), slice(left, right)


def apply(whiten: Array, group: Index, values: Array) -> Array:
    """W times the columns of (..., k, B), each with the matrix of its group."""
    out = np.empty_like(values)
    for g, part in _runs(group):
        out[..., part] = whiten[g] @ values[..., part]
    return out


def solve_positive(matrix: Array, right: Array) -> Array:
    """x with matrix x = right for B positive definite matrices: (p, p, B), (p, B) -> (p, B), by Cholesky."""
    p = len(right)
    lower = np.empty_like(matrix)
    y = np.empty_like(right)
    for i in range(p):
        for j in range(i):
            total = matrix[i, j].copy()
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            lower[i, j] = total / lower[j, j]
        total, value = matrix[i, i].copy(), right[i].copy()
        for k in range(i):
            total -= lower[i, k] ** 2
            value -= lower[i, k] * y[k]
        lower[i, i] = np.sqrt(np.maximum(total, 1e-300))
        y[i] = value / lower[i, i]
    for i in reversed(range(p)):
        for k in range(i + 1, p):
            y[i] -= lower[k, i] * y[k]
        y[i] /= lower[i, i]
    return y


def minimise(
    model: Model,
    start: Array,
    *,
    z: Array,
    whiten: Array,
    group: Index,
    mean: Array,
    sd: Array,
    tolerance: float = 1e-8,
    rounds: int = 100,
) -> Solution:
    """Solves B problems of p parameters on k points.

    Args:
        model: values and derivatives, of whichever of the B problems are still open.
        start: (p, B).
        z: (k, B).
        whiten: (G, k, k), and group: (B,) which of them is whose; sorted.
        mean, sd: (p, B) or (p, 1) centres and standard deviations of the prior.
        tolerance: a problem is solved when a step lowers its objective (a log likelihood, whose natural unit is 1) by
            less than this, or by less than this share of it.
    """
    p, count = start.shape
    precision, mean = np.broadcast_to(1 / sd**2, start.shape), np.broadcast_to(mean, start.shape)

    def evaluate(theta: Array, which: Index) -> tuple[Array, Array, Array]:
        with np.errstate(over="ignore", invalid="ignore"):
            value, derivatives = model(theta, which)
            own, tight = group[which], precision[:, which]
            residual, *jacobian = apply(whiten, own, np.stack([z[:, which] - value, *derivatives]))
            away = theta - mean[:, which]
            objective = 0.5 * (np.einsum("kb,kb->b", residual, residual) + (tight * away**2).sum(0))
            gradient = np.empty_like(theta)
            hessian = np.empty((p, *theta.shape))
            for i in range(p):
                gradient[i] = np.einsum("kb,kb->b", jacobian[i], residual) - tight[i] * away[i]
                for j in range(i + 1):
                    hessian[i, j] = hessian[j, i] = np.einsum("kb,kb->b", jacobian[i], jacobian[j])
                hessian[i, i] += tight[i]
            return np.where(np.isfinite(objective), objective, np.inf), gradient, hessian

    theta, damping = start.copy(), np.full(count, 1e-2)
    active = np.arange(count)
    objective, gradient, hessian = evaluate(theta, active)
    for _ in range(rounds):
        if not len(active):
            break
        damped = hessian[:, :, active]
        for i in range(p):
            damped[i, i] *= 1 + damping[active]
        trial = theta[:, active] + solve_positive(damped, gradient[:, active])
        new, g, h = evaluate(trial, active)
        gained = objective[active] - new
        better = gained > 0
        taken = active[better]
        theta[:, taken], objective[taken] = trial[:, better], new[better]
        gradient[:, taken], hessian[:, :, taken] = g[:, better], h[:, :, better]
        damping[active] = np.where(better, damping[active] / 8, damping[active] * 6)
        done = better & (gained <= tolerance * (1 + new))
        stuck = ~better & (damping[active] > 1e9)  # no step helps any more: at the minimum to rounding
        active = active[~(done | stuck)]
    return Solution(theta, objective, hessian)
