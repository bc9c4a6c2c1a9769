"""Smooths a dense measured curve, to know what really happened: who leads, and where curves cross."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.estimator.crossover.crossings import LEVEL

WIDTH = 0.10  # of the kernel, in ln x


def smooth(sizes: ArrayLike, error: ArrayLike, at: ArrayLike, *, width: float = WIDTH) -> NDArray[np.float64]:
    """(k,) log errors at `at`: the local-linear estimate with a Gaussian kernel in ln x (Fan, 1992)."""
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(error, float))
    shift = x - np.log(np.asarray(at, float))[:, None]  # (k, points)
    weight = np.exp(-0.5 * (shift / width) ** 2)
    s0, s1, s2 = (np.sum(weight * shift**p, axis=1) for p in range(3))
    kernel = weight * (s2[:, None] - shift * s1[:, None])
    return (kernel @ y) / (s0 * s2 - s1**2)


def what_came(gap: NDArray[np.float64]) -> dict[str, Any]:
    """`gap`: true log error of the first less that of the second, from the cut to the end; less than LEVEL is level."""
    signs = np.sign(gap[np.abs(gap) > LEVEL])
    return {"gap": float(gap[-1]), "crosses": bool((signs != signs[:1]).any())}
