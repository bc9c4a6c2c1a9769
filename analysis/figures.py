"""One question's answer in, whole figures and their files' bytes out: the panels of `plot` in one style."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.crossover import Crossover
from analysis.plot import INK, models_with_grids, plot_curves, plot_gap, plot_learning_rates
from analysis.words import title

STYLE: Any = {
    "font.size": 10,
    "text.parse_math": False,  # a name with a dollar sign is a name
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def draw_curves(crossover: Crossover) -> Figure:
    return _draw(plot_curves, crossover)


def draw_gap(crossover: Crossover) -> Figure:
    return _draw(plot_gap, crossover)


def _draw(plot: Callable[[Axes, Crossover], Axes], crossover: Crossover) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.3), layout="constrained")
        plot(figure.subplots(), crossover)
        figure.suptitle(title(crossover.key), fontsize=10.5)
        return figure


def draw_learning_rates(crossover: Crossover) -> Figure | None:
    """One panel per model that has a grid; None if no model has one."""
    models = models_with_grids(crossover)
    if not models:
        return None
    columns = min(3, len(models))
    rows = -(-len(models) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(4.2, 3.6 * columns), 3.3 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, model in zip(axes, models, strict=False):
            plot_learning_rates(ax, crossover, model)
        for ax in axes[len(models) :]:
            ax.set_axis_off()
        figure.suptitle(title(crossover.key), fontsize=10.5)
        return figure


FIGURES: Mapping[str, Callable[[Crossover], Figure | None]] = {
    "curves": draw_curves,
    "gap": draw_gap,
    "learning_rates": draw_learning_rates,
}


def render(figure: Figure, kind: str, *, salt: str, transparent: bool = False) -> bytes:
    """The figure as png, svg or pdf; the same figure and salt give the same bytes."""
    buffer = io.BytesIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}):
        metadata = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=160, transparent=transparent, metadata=metadata)
    return buffer.getvalue()
