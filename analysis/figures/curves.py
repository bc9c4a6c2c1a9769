"""Draws the two main panels of one question: error against size, and the ratio of the families' errors.

The other panels are in `diagnostics` and `across_questions`; `render` puts them on pages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.estimator.crossover.crossings import HORIZON, LIKELY, Interval
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.wording import FAMILY, percent
from analysis.figures.style import (
    CROSSING,
    GAP,
    INK,
    axis_label,
    colours,
    lines,
    log_x,
    log_y,
    looks,
    metric_y,
    show_legend,
)


def claimed(crossover: Crossover) -> list[tuple[float, Interval]]:
    """The crossings that the verdict claims, each with its interval: none if the audit holds it back."""
    verdict = crossover.verdict
    if verdict.crossover_size is not None and verdict.interval is not None:
        return [(verdict.crossover_size, verdict.interval)]
    if verdict.verdict == "multiple":
        return [(c.size, c.interval) for c in verdict.crossings if c.probability >= LIKELY]
    return []


def untrained(crossover: Crossover) -> dict[str, float]:
    """Per model the mean of runs from untrained starts, which have no place on a logarithmic axis."""
    rows = crossover.selection.left_out
    rows = rows[(rows["status"] == "finished") & (rows[crossover.axis] == 0)]
    return {str(model): float(own[crossover.metric].mean()) for model, own in rows.groupby("model")}


def reach(crossover: Crossover) -> tuple[float, float]:
    """From the smallest measured size to where the verdict speaks."""
    sizes = crossover.selection.fitted[crossover.axis]
    fit_range = crossover.verdict.fit_range
    if fit_range is not None:
        return float(min(sizes.min(), fit_range[0])), HORIZON * fit_range[1]
    return (float(sizes.min()), float(sizes.max())) if len(sizes) else (1.0, 10.0)


def _mark_crossing(ax: Axes, crossover: Crossover, low: float, high: float) -> None:
    """Shades the crossing's interval and marks off the range that nothing was measured in."""
    verdict = crossover.verdict
    if verdict.fit_range is None:
        return
    last = verdict.fit_range[1]
    ax.axvspan(last, high, color="#8a8f98", alpha=0.08, lw=0)
    ax.axvline(last, color=INK, lw=0.7, ls=(0, (2, 3)), alpha=0.7)
    for text, side, shift in (("measured", "right", -3), ("extrapolated", "left", 3)):
        options: Any = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "va": "bottom"}
        options["annotation_clip"] = True  # not beside the axes, where they show less than was measured
        ax.annotate(text, (last, 0.999), (shift, 1), ha=side, fontsize="small", **options)
    for size, interval in claimed(crossover):
        left, right = interval[0] or low, interval[1] or high
        ax.axvspan(max(left, low), min(right, high), color=CROSSING, alpha=0.25, lw=0)
        if low <= size <= high:
            ax.axvline(size, color=CROSSING, lw=1.2)


def _limits(ax: Axes, crossover: Crossover) -> None:
    low, high = reach(crossover)
    ax.set_xlim(low / 1.15, high * (1.0 if crossover.verdict.fit_range else 1.15))


def plot_curves(ax: Axes, crossover: Crossover, *, legend: bool = True) -> Axes:
    """Error against size: every fitted run a point, each model's curve with its band, dashed beyond its data."""
    low, high = reach(crossover)
    colour_of, line_of = colours(crossover), lines(crossover)
    fitted = crossover.selection.fitted
    for model, (family, _, marker) in looks(crossover).items():
        runs, colour = fitted[fitted["model"] == model], colour_of[model]
        curve = crossover.families.curves.get(model)
        label = f"{model} ({FAMILY[family]})"
        if len(runs):
            name = "_" if curve is not None else label
            x, y = runs[crossover.axis], runs[crossover.metric]
            ax.plot(x, y, marker, ms=3, mew=0, color=colour, alpha=0.75, label=name, ls="none")
        if curve is None:
            continue
        inside = np.geomspace(*curve.fit_range, 80)
        look: Any = {"label": label, "marker": marker, "ms": 3, "markevery": [], "ls": line_of[model]}
        ax.plot(inside, curve.predict(inside), color=colour, lw=1.3, **look)
        grid = np.geomspace(curve.fit_range[0], max(high, curve.fit_range[1]), 120)
        band = curve.interval(grid, crossover.level)
        ax.fill_between(grid, band[:, 0], band[:, 1], color=colour, alpha=0.16, lw=0)
        beyond = grid[grid >= curve.fit_range[1] * 0.999]
        if len(beyond) > 1:
            ax.plot(beyond, curve.predict(beyond), color=colour, lw=1.0, ls=(0, (4, 3)))
    for model, value in untrained(crossover).items():
        ax.axhline(value, color=colour_of[model], lw=0.9, ls=(0, (1, 2)), label=f"{model}, untrained")
    metric_y(ax, crossover)
    _limits(ax, crossover)
    log_x(ax, axis_label(crossover))
    _mark_crossing(ax, crossover, low, high)
    if not crossover.measure.higher:
        values = fitted[crossover.metric]
        floor = values[values > 0].min() if (values > 0).any() else 1e-4
        ax.set_ylim(bottom=max(ax.get_ylim()[0], floor / 6))
    if legend:
        show_legend(ax)
    return ax


def gap_quantiles(crossover: Crossover, grid: np.ndarray) -> np.ndarray:
    """(3, len(grid)): low end, median and high end of the ratio of the families' errors, ViT over CNN."""
    models = crossover.families.models
    lead = crossover.families.lead(models["vit"], models["cnn"], grid)  # as the verdict has it
    tail = (1 - crossover.level) / 2
    return np.quantile(np.exp(lead.difference), [tail, 0.5, 1 - tail], axis=0)


def plot_gap(ax: Axes, crossover: Crossover) -> Axes:
    """ViT error over CNN error, of the families' envelopes, with its band: below 1 the ViT is ahead."""
    low, high = reach(crossover)
    fit_range = crossover.verdict.fit_range
    if fit_range is not None:
        grid = np.geomspace(fit_range[0], high, 160)
        lower, middle, upper = gap_quantiles(crossover, grid)
        ax.fill_between(grid, lower, upper, color=GAP, alpha=0.18, lw=0, label=f"{percent(crossover.level)} band")
        inside = grid <= fit_range[1] * 1.001
        ax.plot(grid[inside], middle[inside], color=GAP, lw=1.3, label="fitted ratio")
        ax.plot(grid[~inside], middle[~inside], color=GAP, lw=1.0, ls=(0, (4, 3)))
        if all(len(models) == 1 for models in crossover.families.models.values()):
            means = crossover.selection.fitted.groupby(["family", crossover.axis])[crossover.measure.column].mean()
            both = (means["vit"] / means["cnn"]).replace([0, np.inf], np.nan).dropna()
            if len(both):
                ax.plot(both.index, both, "o", ms=3, mew=0, color=GAP, label="ratio of the runs' means")
        ax.legend(loc="best")
    ax.axhline(1.0, color=INK, lw=0.7)
    kind = crossover.measure.fitted_noun
    log_y(ax, f"ViT {kind} / CNN {kind}", subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
    _limits(ax, crossover)
    log_x(ax, axis_label(crossover))
    _mark_crossing(ax, crossover, low, high)
    return ax
