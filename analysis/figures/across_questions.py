"""Plots the crossover size of several questions against what differs between them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.estimator.crossover.crossings import HORIZON, Interval
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.wording import LABELS, title
from analysis.figures.curves import claimed
from analysis.figures.style import COLOURS, CROSSING, axis_label, log_y

KNOBS = {
    "locality": "locality",
    "image_size": "image size (pixels)",
    "num_classes": "classes",
    "data": "data set",
}


def knobs(crossovers: Sequence[Crossover]) -> list[str]:
    """What differs between the questions: keys that are known everywhere and have several values."""
    found = []
    for name in KNOBS:
        values = [c.key.get(name) for c in crossovers]
        if None not in values and len(set(values)) > 1:
            found.append(name)
    return found


def knob_table(crossovers: Sequence[Crossover], knob: str) -> pd.DataFrame:
    """A row per question, or per crossing where several are claimed.

    Columns: the knob, `rest` (the other things that the question is about), `verdict`, `crossover_size`,
    `interval_low` and `interval_high` (empty: open, or no crossing), and `fit_low`, `fit_high` (measured sizes).
    """
    rows = []
    for crossover in crossovers:
        fit_range = crossover.verdict.fit_range or (None, None)
        base = {
            knob: crossover.key[knob],
            "rest": title({k: v for k, v in crossover.key.items() if k != knob} | {knob: None}),
            "verdict": crossover.verdict.verdict,
            "fit_low": fit_range[0],
            "fit_high": fit_range[1],
        }
        found: list[tuple[float | None, Interval]] = [*claimed(crossover)] or [(None, (None, None))]
        rows += [base | {"crossover_size": n, "interval_low": low, "interval_high": high} for n, (low, high) in found]
    return pd.DataFrame(rows).sort_values([knob, "rest"], kind="stable").reset_index(drop=True)


def plot_knob(ax: Axes, crossovers: Sequence[Crossover], knob: str) -> Axes:
    """Crossover size with its interval against one knob; the measured sizes as a grey bar behind.

    Where one family is ahead throughout there is no crossing: a hollow triangle says on which side it could be at all.
    """
    table = knob_table(crossovers, knob)
    values = sorted(set(table[knob]))
    place = {value: float(i) for i, value in enumerate(values)}
    rests = sorted(set(table["rest"]))
    shades = COLOURS["cnn"][2:] + COLOURS["vit"][2:]
    for row in table.to_dict("records"):
        index = rests.index(row["rest"])
        x = place[row[knob]] + 0.12 * (index - (len(rests) - 1) / 2)
        if pd.isna(row["fit_high"]):
            continue
        low, high = row["fit_low"], HORIZON * row["fit_high"]
        ax.plot([x, x], [low, row["fit_high"]], color="#8a8f98", lw=6, alpha=0.22, solid_capstyle="butt")
        ax.plot([x, x], [row["fit_high"], high], color="#8a8f98", lw=6, alpha=0.09, solid_capstyle="butt")
        shade = shades[index % len(shades)] if len(rests) > 1 else CROSSING
        if pd.isna(row["crossover_size"]):
            places = {"cnn_ahead": ("^", high), "vit_ahead": ("v", low)}
            marker, y = places.get(row["verdict"], ("x", (low * high) ** 0.5))
            ax.plot([x], [y], marker, ms=5, mfc="none", mec=shade, mew=0.9)
            ax.annotate(LABELS[row["verdict"]], (x, y), (6, 0), textcoords="offset points", va="center", fontsize=6.5)
            continue
        left, right = row["interval_low"], row["interval_high"]
        ends = [low if pd.isna(left) else left, high if pd.isna(right) else right]
        ax.plot([x, x], ends, color=shade, lw=1.4)
        for end, is_open, marker in ((ends[0], pd.isna(left), "v"), (ends[1], pd.isna(right), "^")):
            ax.plot([x], [end], marker if is_open else "_", ms=5, mew=0 if is_open else 1.4, color=shade)
        ax.plot([x], [row["crossover_size"]], "o", ms=4.5, mew=0, color=shade)
    ax.xaxis.set_major_locator(FixedLocator(list(place.values())))
    ax.xaxis.set_minor_locator(NullLocator())
    names = {i: f"{v:g}" if isinstance(v, (int, float)) else str(v) for v, i in place.items()}
    ax.xaxis.set_major_formatter(FuncFormatter(lambda i, _: names.get(i, "")))
    ax.set_xlim(-0.5, len(values) - 0.3)
    log_y(ax, f"crossover size ({axis_label(crossovers[0])})", subs=(1.0,))
    ax.set_xlabel(KNOBS[knob])
    if len(rests) > 1:
        for i, rest in enumerate(rests):
            ax.plot([], [], "o-", ms=4, color=shades[i % len(shades)], label=rest)
        ax.legend(loc="best")
    return ax
