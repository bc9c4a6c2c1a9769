"""A curve measured to its end in, what really happened out: who leads, and where the curves cross.

Dense curves of single runs are smoothed by a local-linear kernel in ln x before they are compared, and a lead counts
as changed only when it exceeds a hysteresis: a flutter of the noise around a tie is no crossing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.estimator.crossover.crossings import Direction

Array = NDArray[np.float64]

WIDTH = 0.10  # of the kernel, in ln x
HYSTERESIS = 0.005  # of the log ratio of the errors


@dataclass(frozen=True)
class Outcome:
    """What two curves showed over their common range. `crossings` are (size, direction), ascending."""

    end: float  # the largest size that both reach
    gap: float  # ln(error of the ViT / error of the CNN) there: below 0 the ViT leads
    crossings: tuple[tuple[float, Direction], ...]

    @property
    def leader(self) -> str | None:
        """At the end; None within the hysteresis of a tie."""
        return None if abs(self.gap) <= HYSTERESIS else ("vit" if self.gap < 0 else "cnn")


def smooth(sizes: ArrayLike, error: ArrayLike, at: ArrayLike, *, width: float = WIDTH) -> Array:
    """(k,) log errors at `at`: the local-linear estimate with a Gaussian kernel in ln x (Fan, 1992)."""
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(error, float))
    shift = x - np.log(np.asarray(at, float))[:, None]  # (k, points)
    weight = np.exp(-0.5 * (shift / width) ** 2)
    s0, s1, s2 = (np.sum(weight * shift**p, axis=1) for p in range(3))
    kernel = weight * (s2[:, None] - shift * s1[:, None])
    return (kernel @ y) / (s0 * s2 - s1**2)


def outcome(vit: tuple[ArrayLike, ArrayLike], cnn: tuple[ArrayLike, ArrayLike]) -> Outcome:
    """What (sizes, errors) of a ViT and of a CNN showed where both were measured."""
    ends = [(float(np.min(s)), float(np.max(s))) for s in (np.asarray(vit[0]), np.asarray(cnn[0]))]
    low, end = max(e[0] for e in ends), min(e[1] for e in ends)
    grid = np.geomspace(low, end, 600)
    gap = smooth(*vit, grid) - smooth(*cnn, grid)
    crossings: list[tuple[float, Direction]] = []
    sign, last = 0, 0
    for i in np.flatnonzero(np.abs(gap) > HYSTERESIS):
        now = int(np.sign(gap[i]))
        if sign and now != sign:
            zero = last + int(np.argmax(np.sign(gap[last : i + 1]) == now))
            crossings.append((float(grid[zero]), "vit_overtakes" if now < 0 else "cnn_overtakes"))
        sign, last = now, int(i)
    return Outcome(end, float(gap[-1]), tuple(crossings))
