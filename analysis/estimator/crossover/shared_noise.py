"""Measures how alike two models' noise is on the same seeds and subsets, and what that says of their draws.

A subset that happens to be easy is easy for both families, and a seed may be: such noise moves both curves alike, and
what is known of their difference is more than two curves fitted apart know. Given the draws of both, the likelihood
with correlated noise over that without is a weight for every pair of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.estimator.arrays import Array
from analysis.estimator.curve.noise import Points

MOST = 0.9  # correlation: with more, two curves of equal noise would have a difference without any


@dataclass(frozen=True)
class Alike:
    """At sizes that both models ran, the points of both and the correlation of their noise; (k,) each."""

    sizes: Array
    correlation: Array
    first: tuple[Array, Array]  # log errors and standard deviations, without what all curves have in common
    second: tuple[Array, Array]
    common: tuple[Array, Array]  # (k, q) how the noise that all curves have in common moves the points

    def log_weight(self, first: Array, second: Array) -> Array:
        """(pairs,): log of the likelihood with this correlation over that without, for log errors (pairs, k) each that
        the draws would have without the common noise."""
        a, b = ((m - draws) / s for (m, s), draws in ((self.first, first), (self.second, second)))
        rho = self.correlation
        return np.asarray((rho * (a * b - 0.5 * rho * (a**2 + b**2)) / (1 - rho**2)).sum(axis=1))


def how_alike(
    first: pd.DataFrame, second: pd.DataFrame, points: tuple[Points, Points], *, metric: str, axis: str
) -> Alike | None:
    """From two models' rows and points; None where they share no seeds, or nothing clear.

    The correlation is pooled over sizes and lowered by its standard error: a few seeds show a chance one easily.
    """
    own = [c for c in ("seed", "subset_seed") if all(c in r.columns and r[c].notna().all() for r in (first, second))]
    if "seed" not in own or any(p.outliers or p.zeros for p in points):
        return None  # with outliers or zeros the points are no plain means of the runs
    cells = [
        dict(
            zip(zip(*(r[c].to_numpy(float) for c in (axis, *own)), strict=True), r[metric].to_numpy(float), strict=True)
        )
        for r in (first, second)
    ]
    common = sorted(cells[0].keys() & cells[1].keys())
    if not common:
        return None
    sizes, index, pairs = np.unique([key[0] for key in common], return_inverse=True, return_counts=True)
    away = np.log([[side[key] for key in common] for side in cells])
    away -= np.stack([np.bincount(index, row) / pairs for row in away])[:, index]
    dof, squares = int((pairs - 1).sum()), float((away[0] ** 2).sum() * (away[1] ** 2).sum())
    if dof < 2 or squares == 0:
        return None
    rho = float((away[0] * away[1]).sum()) / np.sqrt(squares) - 1 / np.sqrt(dof)
    if rho <= 0:
        return None
    at = [np.searchsorted(p.sizes, sizes) for p in points]
    runs = np.sqrt(points[0].runs[at[0]] * points[1].runs[at[1]])
    one, other = ((p.log_error[i], np.sqrt(p.own_variance[i])) for p, i in zip(points, at, strict=True))
    loadings = (points[0].common[at[0]], points[1].common[at[1]])
    return Alike(sizes, min(rho, MOST) * pairs / runs, one, other, loadings)
