"""Plots the crossing of two families' joint laws against arithmetic or parameters."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from analysis.estimator.crossover.verdict import AHEAD
from analysis.estimator.curve.law_contest import Surface
from analysis.figures.style import AXES, COLOURS, CROSSING, INK, log_x, log_y


def plot_surface(ax: Axes, surface: Surface, *, largest: float, level: float) -> Axes:
    """Images against the surface's axis: each family's colour where it leads with P >= .9, the crossing as a line
    with its band, and a dotted line at `largest`, the most images measured."""
    x, n, p = surface.x, surface.n, np.ma.masked_invalid(surface.p.T)
    for family, name, chance in (("cnn", "CNN", 1 - p), ("vit", "ViT", p)):
        ax.contourf(x, n, chance, levels=[AHEAD, 1.01], colors=[COLOURS[family][0]], alpha=0.3)
        ax.plot([], [], "s", color=COLOURS[family][0], alpha=0.3, label=f"{name} ahead")
    tail = (1 - level) / 2
    ax.contourf(x, n, p, levels=[tail, 1 - tail], colors=[CROSSING], alpha=0.35)
    ax.contour(x, n, p, levels=[0.5], colors=[INK], linewidths=1.2)
    ax.plot([], [], color=INK, lw=1.2, label="crossing")
    ax.axhline(largest, ls=":", lw=0.7, color=CROSSING)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(n[0], n[-1])
    log_x(ax, AXES["train_flops"] if surface.axis == "train_flops" else "parameters N")
    log_y(ax, AXES["train_size"])
    return ax
