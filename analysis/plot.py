"""One question's answer in, figures out: functions that draw on matplotlib axes, and a command for any one figure.

python -m analysis.plot results=runs/quickstart figure=curves out=curves.pdf

The main panels are here, the others in `panels` and `knob`; `figures` puts them on pages.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.arguments import TABLE_KEYS, InputError, TableArguments, run_command
from analysis.estimator.crossover.crossings import HORIZON, Interval
from analysis.estimator.crossover.find_crossover import Crossover, find_crossovers
from analysis.estimator.crossover.wording import FAMILY, percent
from analysis.figures.style import CROSSING, GAP, INK, axis_label, colours, log_x, log_y, looks, metric_label


def claimed(crossover: Crossover) -> list[tuple[float, Interval]]:
    """The crossings that the verdict claims, each with its interval: none if the audit holds it back."""
    verdict = crossover.verdict
    if verdict.crossover_size is not None and verdict.interval is not None:
        return [(verdict.crossover_size, verdict.interval)]
    if verdict.verdict == "multiple":
        return [(c.size, c.interval) for c in verdict.crossings if c.probability >= 0.5]
    return []


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
    colour_of = colours(crossover)
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
        ax.plot(inside, curve.predict(inside), color=colour, lw=1.3, label=label, marker=marker, ms=3, markevery=[])
        grid = np.geomspace(curve.fit_range[0], max(high, curve.fit_range[1]), 120)
        band = curve.interval(grid, crossover.level)
        ax.fill_between(grid, band[:, 0], band[:, 1], color=colour, alpha=0.16, lw=0)
        beyond = grid[grid >= curve.fit_range[1] * 0.999]
        if len(beyond) > 1:
            ax.plot(beyond, curve.predict(beyond), color=colour, lw=1.0, ls=(0, (4, 3)))
    log_y(ax, metric_label(crossover))
    _limits(ax, crossover)
    log_x(ax, axis_label(crossover))
    _mark_crossing(ax, crossover, low, high)
    values = fitted[crossover.metric]
    floor = values[values > 0].min() if (values > 0).any() else 1e-4
    ax.set_ylim(bottom=max(ax.get_ylim()[0], floor / 6))
    if legend and ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best")
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
            means = crossover.selection.fitted.groupby(["family", crossover.axis])[crossover.metric].mean()
            both = (means["vit"] / means["cnn"]).replace([0, np.inf], np.nan).dropna()
            if len(both):
                ax.plot(both.index, both, "o", ms=3, mew=0, color=GAP, label="ratio of the runs' means")
        ax.legend(loc="best")
    ax.axhline(1.0, color=INK, lw=0.7)
    kind = "loss" if crossover.metric.endswith("loss") else "error"
    log_y(ax, f"ViT {kind} / CNN {kind}", subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
    _limits(ax, crossover)
    log_x(ax, axis_label(crossover))
    _mark_crossing(ax, crossover, low, high)
    return ax


USAGE = f"""usage: python -m analysis.plot results=PATH figure=NAME [out=FILE] [key=value ...]

Draws one figure in a paper's style.
  figure=NAME          of one question: curves (error against size), gap (ViT error over CNN error), residuals,
                       learning_rates (the grids), parameters (error against model size); of all questions: overview
                       (small multiples), knob (crossover size against what was changed)
  out=FILE             .png, .svg or .pdf; NAME.png by default
  group=0              which question of the results, in the order of crossover.json
  width=3.5 height=    inches; 3.5 is a paper's column
  run=PATH             instead of results=: what `python -m scaling.inspect run=PATH` wrote (analysis.figures.mechanism)
{TABLE_KEYS}"""


def _inches(own: dict[str, str], key: str) -> float | None:
    if key not in own:
        return None
    try:
        value = float(own[key])
    except ValueError:
        value = 0.0
    if not 1 <= value <= 40:
        raise InputError(f"{key}={own[key]} is not a number of inches from 1 to 40")
    return value


def run(arguments: TableArguments, own: dict[str, str]) -> int:
    from analysis.figures.render import FIGURES, WHOLE, render  # which builds on this module

    name = own.get("figure", "")
    if name not in FIGURES and name not in WHOLE:
        raise InputError(f"figure={name} is not one of {', '.join([*FIGURES, *WHOLE])}")
    out = Path(own.get("out", f"{name}.png"))
    kind = out.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"out={out}: neither .png, .svg nor .pdf")
    width, height = _inches(own, "width"), _inches(own, "height")
    crossovers = find_crossovers(arguments)
    wanted = own.get("group", "0")
    if not wanted.isdecimal() or int(wanted) >= len(crossovers):
        raise InputError(f"group={wanted}: there are groups 0 to {len(crossovers) - 1}")
    figure = WHOLE[name](crossovers) if name in WHOLE else FIGURES[name](crossovers[int(wanted)])
    if figure is None:
        reasons = {
            "learning_rates": "no model has several learning rates at one size, with val_error: there is no grid",
            "parameters": "no run says its num_params",
            "residuals": "no model has the 3 sizes that a curve needs",
            "gap": "no ViT and CNN with the 3 sizes that a curve needs",
            "knob": "the questions do not differ in locality, image_size or num_classes",
            "overview": "there is one question only",
        }
        raise InputError(f"figure={name}: {reasons[name]}")
    if width or height:
        figure.set_size_inches(width or figure.get_figwidth(), height or figure.get_figheight())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(render(figure, kind, salt=name))
    print(out)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if any(word.startswith("run=") for word in arguments):
        from analysis.figures.mechanism import main as draw_run

        return draw_run(arguments)
    return run_command(USAGE, ("figure", "out", "group", "width", "height"), run, arguments)


if __name__ == "__main__":
    sys.exit(main())
