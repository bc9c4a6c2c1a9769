"""Finds runs that lie far off the others of their size, and lone points far off their neighbours' line.

Where there are such runs, the means of the sizes are Student's t's, to which they count less.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.estimator.arrays import Array

STRAY = 5.0  # times the others' largest distance from their neighbours' line make a point of one run stray
CLEAN = 300  # clean curves, of which about one may seem to have an outlier
TAIL = 3.0  # degrees of freedom of Student's t where there are outliers


def _spread_beyond(left: Array, binomial: Array, dof: float) -> float:
    """The variance beyond the binomial one, by which the squared distances sum to their degrees of freedom (Paule and
    Mandel 1982): sizes of little binomial noise count for more."""
    low, high = 0.0, float((left**2).sum()) / dof + 1e-12
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (left**2 / (middle + binomial + 1e-12)).sum() > dof else (low, middle)
    return high


def _outliers(value: Array, index: NDArray[np.intp], runs: NDArray[np.int64], binomial: Array) -> NDArray[np.bool_]:
    """(r,) runs so far off the others of their size that of CLEAN clean curves hardly one would have such a run.

    Runs that lie off their size's median are set aside, and each is compared with the rest by Student's t.
    """
    middle = np.array([np.median(value[index == j]) for j in range(len(runs))])
    away, several = np.abs(value - middle[index]), runs[index] > 2
    counted = several & (away > 0)  # the middle one of three has no distance at all
    scale2 = 1.4826**2 * float(np.median(away[counted])) ** 2 if counted.any() else 0.0
    aside = several & (away > 3 * np.sqrt(np.maximum(scale2, binomial + 1e-4)))
    rest = ~aside
    left = np.bincount(index[rest], minlength=len(runs))
    if not aside.any() or (left < 1).any() or (dof := float((left - 1).sum())) < 3:
        return np.zeros_like(aside)
    mean = np.bincount(index[rest], value[rest], minlength=len(runs)) / left
    spread2 = _spread_beyond((value - mean[index])[rest], binomial[rest], dof)
    sd = np.sqrt(np.maximum(spread2 + binomial, 1e-4) * (1 + 1 / left[index]))
    from scipy.special import stdtr  # 0.2 s to import, and only needed here

    return np.asarray(aside & (2 * stdtr(dof, -np.abs(value - mean[index]) / sd) < 1 / (CLEAN * len(value))))


def robust_means(
    value: Array, index: NDArray[np.intp], runs: NDArray[np.int64], binomial: Array
) -> tuple[Array, float, int] | None:
    """Means, spread and number of outliers under Student's t (Lange, Little and Taylor 1989); None if there are none.

    Where no run lies far from its size's median, Gaussian means are better and are kept.
    """
    outliers = _outliers(value, index, runs, binomial)
    if not outliers.any():
        return None
    mean = np.array([np.median(value[index == j]) for j in range(len(runs))])
    tau2 = max(float(np.median((value - mean[index]) ** 2)) * 1.4826**2, 1e-5)
    for _ in range(30):
        total = tau2 + binomial
        left = (value - mean[index]) ** 2
        weight = (TAIL + 1) / (TAIL + left / total)
        mean = np.bincount(index, weight * value / total) / np.bincount(index, weight / total)
        left = (value - mean[index]) ** 2
        spread = float((weight * left).sum()) / max(float((runs - 1).sum()), 1.0)
        tau2 = max(spread - float(binomial.mean()), 1e-5)
    return mean, tau2, int(outliers.sum())


def off_line(x: Array, mean: Array) -> Array:
    """(k - 2,) how far each inner point lies off the line through its two neighbours."""
    left = (x[2:] - x[1:-1]) / (x[2:] - x[:-2])
    return np.asarray(mean[1:-1] - left * mean[:-2] - (1 - left) * mean[2:])


def stray_points(x: Array, mean: Array) -> Array:
    """(k,) how far a point lies off the line through its neighbours, if absurdly far by what the others show; else 0.

    That is a size whose only run diverged or was misread, and not a bend: its neighbours agree with each other.
    """
    off = np.zeros_like(mean)
    if len(x) < 6:
        return off
    residual = off_line(x, mean)
    worst = int(np.argmax(np.abs(residual)))
    kept = np.arange(len(x)) != worst + 1
    usual = float(np.abs(off_line(x[kept], mean[kept])).max())
    if abs(residual[worst]) > max(STRAY * usual, 0.25):
        off[worst + 1] = residual[worst]
    return off
