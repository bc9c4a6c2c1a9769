"""Draws the panels behind one question's main plot: residuals, learning rates, error by parameters."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.tables import residuals
from analysis.estimator.crossover.wording import FAMILY, measured
from analysis.estimator.rows.selection import Choice
from analysis.figures.style import INK, METRIC_LABELS, axis_label, colours, log_x, log_y, looks, metric_y, show_legend


def plot_residuals(ax: Axes, crossover: Crossover) -> Axes:
    """What was measured over what was fitted: a bar per model and size, the mean of its runs with its noise.

    Bars that leave 1 more often than their level allows mean that the curve does not describe the runs.
    """
    table, colour_of = residuals(crossover), colours(crossover)
    models = [m for m in looks(crossover) if m in set(table["model"])]
    for i, model in enumerate(models):
        rows, marker = table[table["model"] == model], looks(crossover)[model][2]
        # Side by side where several models were measured at one size.
        x = rows[crossover.axis] * np.exp(0.05 * (i - (len(models) - 1) / 2))
        bars = np.array([rows["ratio"] - rows["ratio_low"], rows["ratio_high"] - rows["ratio"]])
        style = {"ms": 3, "mew": 0, "lw": 0.9, "ls": "none", "color": colour_of[model]}
        ax.errorbar(x, rows["ratio"], yerr=bars, fmt=marker, label=model, **style)  # type: ignore[arg-type]
    ax.axhline(1.0, color=INK, lw=0.7)
    log_x(ax, axis_label(crossover))
    ax.set_ylabel("measured / fitted")
    if models:
        columns = 2 if max(map(len, models)) <= 14 else 1
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.1 * (high - low) * (1 + -(-len(models) // columns)))  # room for the legend
        ax.legend(loc="upper left", ncols=columns)
    return ax


def grids(crossover: Crossover, model: str) -> list[Choice]:
    """The sizes at which the model has several learning rates that validation could choose from."""
    return [c for c in crossover.selection.choices if c.model == model and len(c.tried) > 1 and c.val_errors]


def models_with_grids(crossover: Crossover) -> list[str]:
    return sorted({c.model for c in crossover.selection.choices if grids(crossover, c.model)})


def _trials(rows: pd.DataFrame) -> pd.DataFrame:
    """A tuner's, those among them that a sweep holds, too."""
    return rows[(rows["purpose"] == "tune") & (rows["status"] == "finished")] if "purpose" in rows.columns else rows[:0]


def plot_learning_rates(ax: Axes, crossover: Crossover, model: str) -> Axes:
    """Validation error against learning rate, a line per size that has several, the chosen one ringed."""
    found = grids(crossover, model)
    shades = mpl.colormaps["viridis"](np.linspace(0.1, 0.8, max(len(found), 1)))
    rows, trials = crossover.selection.finished, _trials(crossover.selection.rows)
    for choice, shade in zip(found, shades, strict=False):
        runs = rows[(rows["model"] == model) & (rows["train_size"] == choice.train_size)]
        ax.plot(runs["lr"], runs["val_error"], ".", ms=3, mew=0, color=shade, alpha=0.7)
        mine = trials[(trials["model"] == model) & (trials["train_size"] == choice.train_size)]
        if len(mine):
            label = "a tuner's trial" if choice is found[-1] else None
            ax.plot(mine["lr"], mine["val_error"], "D", ms=4, mfc="none", mec=shade, mew=0.6, label=label)
        label = f"n = {measured(choice.train_size)}"
        ax.plot(choice.tried, choice.val_errors, "-o", ms=3, mew=0, lw=1.1, color=shade, label=label)
        best = choice.val_errors[choice.tried.index(choice.lr)]
        ax.plot([choice.lr], [best], "o", ms=8, mfc="none", mec=shade, mew=1.3)
    log_y(ax, METRIC_LABELS["val_error"])
    ax.set_xscale("log")
    tried = sorted({lr for c in found for lr in c.tried})
    ax.xaxis.set_major_locator(FixedLocator(tried[:: 1 + len(tried) // 7]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.tick_params(axis="x", rotation=30)
    ax.set_xlabel("learning rate")
    ax.set_title(model)
    if found:
        ax.legend(loc="best")
    return ax


def has_parameters(crossover: Crossover) -> bool:
    fitted = crossover.selection.fitted
    return "num_params" in fitted.columns and bool(fitted["num_params"].notna().any())


def plot_parameters(ax: Axes, crossover: Crossover) -> Axes:
    """Error against the number of parameters: a colour per size, a line through the models of one family."""
    fitted = crossover.selection.fitted
    rows = fitted.assign(num_params=pd.to_numeric(fitted["num_params"], errors="coerce")).dropna(subset=["num_params"])
    sizes = sorted(set(rows[crossover.axis]))
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.88, max(len(sizes), 1)))
    marker_of = {model: marker for model, (_, _, marker) in looks(crossover).items()}
    for family in ("vit", "cnn"):
        for size, shade in zip(sizes, shades, strict=True):
            own = rows[(rows["family"] == family) & (rows[crossover.axis] == size)]
            if len(own) and len(sizes) <= 24:
                means = own.groupby("num_params")[crossover.metric].mean()
                ax.plot(means.index, means, "-" if family == "vit" else "--", lw=0.8, color=shade)
            for model, runs in own.groupby("model"):
                marker = marker_of[str(model)]
                ax.plot(runs["num_params"], runs[crossover.metric], marker, ms=3.2, mew=0, color=shade, alpha=0.85)
    for model, marker in marker_of.items():
        if (rows["model"] == model).any():
            label = f"{model} ({FAMILY[looks(crossover)[model][0]]})"
            ax.plot([], [], marker, ms=3.2, mew=0, color=INK, label=label)
    low, high = rows["num_params"].min(), rows["num_params"].max()
    ax.set_xlim(low / 1.6, high * 1.6)
    metric_y(ax, crossover)
    log_x(ax, "parameters", dense=high / low < 30)
    ends = {0: sizes[0], len(sizes) - 1: sizes[-1]} if sizes else {}
    for i, size in ends.items():
        ax.plot([], [], "-", lw=2, color=shades[i], label=f"{axis_label(crossover)} = {measured(size)}")
    show_legend(ax)
    return ax
