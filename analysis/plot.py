"""One question's answer in, figures out: functions that draw on matplotlib axes, and a command for any one figure.

python -m analysis.plot results=runs/quickstart figure=curves out=curves.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from analysis.arguments import TABLE_KEYS, InputError, TableArguments, run_command
from analysis.crossings import HORIZON
from analysis.crossover import Crossover, find_crossovers
from analysis.words import FAMILY, measured, percent

INK = "#30363d"  # text and axes; in pages it becomes the page's own text colour
COLOURS = {"vit": ("#d9480f", "#e8830c", "#b5179e", "#a61e4d"), "cnn": ("#1c6dd0", "#0b9a8d", "#5f3dc4", "#2b8a3e")}
MARKERS = "osD^vP"
AXES = {"train_size": "training images n", "seen_examples": "examples seen", "train_flops": "training FLOPs"}
METRICS = {"test_error": "test error", "test_loss": "test loss (nats)", "val_error": "validation error"}


def _colours(crossover: Crossover) -> dict[str, str]:
    return {
        model: COLOURS[family][i % len(COLOURS[family])]
        for family, models in crossover.families.models.items()
        for i, model in enumerate(models)
    }


def _log_x(ax: Axes, axis: str) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0), numticks=12))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    ax.set_xlabel(AXES.get(axis, axis))


def _tick(value: float) -> str:
    for limit, letter in ((1e12, ""), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value:.0e}" if not letter else f"{value / limit:g}{letter}"
    return f"{value:g}"


def _log_y(ax: Axes) -> None:
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0), numticks=12))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _mark_crossing(ax: Axes, crossover: Crossover, low: float, high: float) -> None:
    """Shades the crossing's interval and the range that nothing was measured in."""
    verdict = crossover.verdict
    if verdict.fit_range is None:
        return
    last = verdict.fit_range[1]
    ax.axvline(last, color=INK, lw=0.8, ls=(0, (2, 3)), alpha=0.7)
    for text, side, shift in (("measured", "right", -4), ("extrapolated", "left", 4)):
        options: Any = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "va": "bottom"}
        ax.annotate(text, (last, 1.0), (shift, 1), ha=side, fontsize=8, **options)
    if verdict.crossover_size is not None and verdict.interval is not None:
        left, right = verdict.interval[0] or low, verdict.interval[1] or high
        ax.axvspan(max(left, low), min(right, high), color="#8a8f98", alpha=0.22, lw=0)
        if low <= verdict.crossover_size <= high:
            ax.axvline(verdict.crossover_size, color="#8a8f98", lw=1.4)


def _reach(crossover: Crossover) -> tuple[float, float]:
    sizes = crossover.selection.fitted[crossover.axis]
    fit_range = crossover.verdict.fit_range
    return float(sizes.min()), HORIZON * fit_range[1] if fit_range else float(sizes.max())


def plot_curves(ax: Axes, crossover: Crossover) -> Axes:
    """Error against size: every run a point, each model's curve with its band, dashed beyond its data."""
    low, high = _reach(crossover)
    colours = _colours(crossover)
    fitted = crossover.selection.fitted
    for family, models in crossover.families.models.items():
        for i, model in enumerate(models):
            curve, colour = crossover.families.curves[model], colours[model]
            runs = fitted[fitted["model"] == model]
            label = f"{model} ({FAMILY[family]})"
            ax.plot(
                runs[crossover.axis], runs[crossover.metric], MARKERS[i % 6], ms=4.5, mew=0, color=colour, alpha=0.75
            )
            inside = np.geomspace(*curve.fit_range, 80)
            ax.plot(inside, curve.predict(inside), color=colour, lw=1.8, label=label)
            grid = np.geomspace(curve.fit_range[0], max(high, curve.fit_range[1]), 120)
            band = curve.interval(grid, crossover.level)
            ax.fill_between(grid, band[:, 0], band[:, 1], color=colour, alpha=0.16, lw=0)
            beyond = grid[grid >= curve.fit_range[1] * 0.999]
            if len(beyond) > 1:
                ax.plot(beyond, curve.predict(beyond), color=colour, lw=1.4, ls=(0, (4, 3)))
    _log_y(ax)
    _log_x(ax, crossover.axis)
    _mark_crossing(ax, crossover, low, high)
    values = fitted[crossover.metric]
    floor = values[values > 0].min() if (values > 0).any() else 1e-4
    ax.set_ylim(bottom=max(ax.get_ylim()[0], floor / 6))
    ax.set_xlim(low / 1.15, high)
    ax.set_ylabel(METRICS.get(crossover.metric, crossover.metric))
    if colours:
        ax.legend(loc="best")
    return ax


def _envelope(crossover: Crossover, family: str, grid: np.ndarray) -> np.ndarray:
    return crossover.families.envelope(crossover.families.models[family], grid)


def plot_gap(ax: Axes, crossover: Crossover) -> Axes:
    """ViT error over CNN error, of the families' envelopes, with its band: below 1 the ViT is ahead."""
    low, high = _reach(crossover)
    fit_range = crossover.verdict.fit_range
    if fit_range is not None:
        grid = np.geomspace(fit_range[0], high, 160)
        draws = np.exp(_envelope(crossover, "vit", grid) - _envelope(crossover, "cnn", grid))
        tail = (1 - crossover.level) / 2
        lower, middle, upper = np.quantile(draws, [tail, 0.5, 1 - tail], axis=0)
        ax.fill_between(grid, lower, upper, color="#7048a8", alpha=0.18, lw=0, label=f"{percent(crossover.level)} band")
        inside = grid <= fit_range[1] * 1.001
        ax.plot(grid[inside], middle[inside], color="#7048a8", lw=1.8, label="fitted ratio")
        ax.plot(grid[~inside], middle[~inside], color="#7048a8", lw=1.4, ls=(0, (4, 3)))
        if all(len(models) == 1 for models in crossover.families.models.values()):
            means = crossover.selection.fitted.groupby(["family", crossover.axis])[crossover.metric].mean()
            both = (means["vit"] / means["cnn"]).dropna()
            ax.plot(both.index, both, "o", ms=4.5, mew=0, color="#7048a8", label="ratio of the runs' means")
        ax.legend(loc="best")
    ax.axhline(1.0, color=INK, lw=0.9)
    _log_y(ax)
    ax.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0), numticks=12))
    _log_x(ax, crossover.axis)
    _mark_crossing(ax, crossover, low, high)
    ax.set_xlim(low / 1.15, high)
    ax.set_ylabel("ViT error / CNN error")
    return ax


def plot_learning_rates(ax: Axes, crossover: Crossover, model: str) -> Axes:
    """Validation error against learning rate, a line per size that has several, the chosen one ringed."""
    grids = [c for c in crossover.selection.choices if c.model == model and len(c.tried) > 1]
    shades = mpl.colormaps["viridis"](np.linspace(0.35, 0.85, max(len(grids), 1)))
    rows = crossover.selection.finished
    for choice, shade in zip(grids, shades, strict=False):
        runs = rows[(rows["model"] == model) & (rows["train_size"] == choice.train_size)]
        ax.plot(runs["lr"], runs["val_error"], ".", ms=4, color=shade, alpha=0.7)
        ax.plot(
            choice.tried, choice.val_errors, "-o", ms=4, lw=1.4, color=shade, label=f"n = {measured(choice.train_size)}"
        )
        best = choice.val_errors[choice.tried.index(choice.lr)]
        ax.plot([choice.lr], [best], "o", ms=11, mfc="none", mec=shade, mew=1.8)
    _log_y(ax)
    ax.set_xscale("log")
    tried = sorted({lr for c in grids for lr in c.tried})
    ax.xaxis.set_major_locator(FixedLocator(tried[:: 1 + len(tried) // 7]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("learning rate")
    ax.set_ylabel("validation error")
    ax.set_title(model)
    ax.legend(loc="best")
    return ax


def models_with_grids(crossover: Crossover) -> list[str]:
    return sorted({c.model for c in crossover.selection.choices if len(c.tried) > 1})


USAGE = f"""usage: python -m analysis.plot results=PATH figure=NAME [out=FILE] [group=0] [key=value ...]

Draws one figure: curves (error against size), gap (ViT error over CNN error) or learning_rates (the grids).
  out=FILE             .png, .svg or .pdf; NAME.png by default
  run=PATH             instead of results=: what `python -m scaling.inspect run=PATH` wrote (analysis.mechanism)
  group=0              which question of the results, in the order of crossover.json
{TABLE_KEYS}"""


def run(arguments: TableArguments, own: dict[str, str]) -> int:
    from analysis.figures import FIGURES, render  # which builds on this module

    name = own.get("figure", "")
    if name not in FIGURES:
        raise InputError(f"figure={name} is not one of {', '.join(FIGURES)}")
    out = Path(own.get("out", f"{name}.png"))
    kind = out.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"out={out}: neither .png, .svg nor .pdf")
    crossovers = find_crossovers(arguments)
    wanted = own.get("group", "0")
    if not wanted.isdecimal() or int(wanted) >= len(crossovers):
        raise InputError(f"group={wanted}: there are groups 0 to {len(crossovers) - 1}")
    figure = FIGURES[name](crossovers[int(wanted)])
    if figure is None:
        raise InputError("no model has several learning rates at one size: there is no grid to draw")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(render(figure, kind, salt=name))
    print(out)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if any(word.startswith("run=") for word in arguments):
        from analysis.mechanism import main as draw_run

        return draw_run(arguments)
    return run_command(USAGE, ("figure", "out", "group"), run, arguments)


if __name__ == "__main__":
    sys.exit(main())
