"""Reads off curves measured to their end what really happened: who leads, and where the curves cross.

Dense curves of single runs are smoothed by a local-linear kernel in ln x before they are compared, and a lead counts
as changed only when it exceeds a hysteresis: a flutter of the noise around a tie is no crossing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.benchmark.smoothing import smooth
from analysis.estimator.crossover.crossings import LEVEL, Direction


@dataclass(frozen=True)
class CurveOutcome:
    """What two curves showed over their common range. `crossings` are (size, direction), ascending."""

    end: float  # the largest size that both reach
    gap: float  # ln(error of the ViT / error of the CNN) there: below 0 the ViT leads
    crossings: tuple[tuple[float, Direction], ...]

    @property
    def leader(self) -> str | None:
        """At the end; None within the hysteresis of a tie."""
        return None if abs(self.gap) <= LEVEL else ("vit" if self.gap < 0 else "cnn")


def outcome(vit: tuple[ArrayLike, ArrayLike], cnn: tuple[ArrayLike, ArrayLike]) -> CurveOutcome:
    """What (sizes, errors) of a ViT and of a CNN showed where both were measured."""
    ends = [(float(np.min(s)), float(np.max(s))) for s in (np.asarray(vit[0]), np.asarray(cnn[0]))]
    low, end = max(e[0] for e in ends), min(e[1] for e in ends)
    grid = np.geomspace(low, end, 600)
    gap = smooth(*vit, grid) - smooth(*cnn, grid)
    crossings: list[tuple[float, Direction]] = []
    sign, last = 0, 0
    for i in np.flatnonzero(np.abs(gap) > LEVEL):
        now = int(np.sign(gap[i]))
        if sign and now != sign:
            zero = last + int(np.argmax(np.sign(gap[last : i + 1]) == now))
            crossings.append((float(grid[zero]), "vit_overtakes" if now < 0 else "cnn_overtakes"))
        sign, last = now, int(i)
    return CurveOutcome(end, float(gap[-1]), tuple(crossings))
