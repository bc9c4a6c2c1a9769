"""Smooths a dense measured curve, to know what really happened: who leads, and where curves cross."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

WIDTH = 0.10  # of the kernel, in ln x


def smooth(sizes: ArrayLike, error: ArrayLike, at: ArrayLike, *, width: float = WIDTH) -> NDArray[np.float64]:
    """(k,) log errors at `at`: the local-linear estimate with a Gaussian kernel in ln x (Fan, 1992)."""
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(error, float))
    shift = x - np.log(np.asarray(at, float))[:, None]  # (k, points)
    weight = np.exp(-0.5 * (shift / width) ** 2)
    s0, s1, s2 = (np.sum(weight * shift**p, axis=1) for p in range(3))
    kernel = weight * (s2[:, None] - shift * s1[:, None])
    return (kernel @ y) / (s0 * s2 - s1**2)
