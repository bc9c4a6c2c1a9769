"""How every figure looks, in print and on the page: colours, markers, type, log axes and their words.

The colours are Okabe and Ito's with two of Tol's, which people of any colour vision tell apart; families differ by
marker as well, so that a print in grey can be read. Sizes are those of a paper: 3.5 inches is one column of two.
"""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.estimator.crossover.find_crossover import Crossover

COLUMN = 3.5  # inches; a whole page's width is twice that
INK = "#30363d"  # text and axes; in pages it becomes the page's own text colour
CROSSING = "#6b7280"
GAP = "#7048a8"
COLOURS = {"vit": ("#d55e00", "#e69f00", "#882255", "#cc79a7"), "cnn": ("#0072b2", "#56b4e9", "#009e73", "#332288")}
# Three markers for four colours: the first twelve models of a family differ.
LINES: Any = ("-", (0, (5, 1, 1, 1)))  # of the first and the next four models of a family
MARKERS = {"vit": "oDv", "cnn": "s^P"}
SHAPES = {"o": "circle", "D": "diamond", "v": "triangle-down", "s": "square", "^": "triangle-up", "P": "cross"}

AXES = {
    "train_size": "training images n",
    "pretrain_size": "pre-training images",
    "seen_examples": "examples seen",
    "train_flops": "training FLOPs",
    "train_seconds": "training seconds",
}
METRIC_LABELS = {
    "test_error": "test error",
    "test_loss": "test loss (nats)",
    "test_balanced_error": "balanced test error",
    "val_error": "validation error",
}

STYLE: Any = {
    "font.size": 8,
    "text.parse_math": False,  # a name with a dollar sign is a name
    "font.family": "sans-serif",
    "svg.fonttype": "none",  # text stays text in SVG,
    "pdf.fonttype": 42,  # and in PDF is TrueType, which publishers ask for
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 8,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "figure.titlesize": 8,
}


def looks(crossover: Crossover) -> dict[str, tuple[str, int, str]]:
    """Per model of the question its family, its place in the family's colours, and its marker.

    Models without a curve come after those with one, so that a thin model does not change the others' colours.
    """
    rows = crossover.selection.rows
    found = {}
    for family in ("vit", "cnn"):
        fitted = list(crossover.families.models.get(family, ()))
        others = sorted({str(m) for m in rows.loc[rows["family"] == family, "model"].drop_duplicates()} - set(fitted))
        for i, model in enumerate(fitted + others):
            found[model] = (family, i % 4, MARKERS[family][i % 3])
    return found


def colours(crossover: Crossover) -> dict[str, str]:
    return {model: COLOURS[family][i] for model, (family, i, _) in looks(crossover).items()}


def lines(crossover: Crossover) -> dict[str, Any]:
    """Per model the line of its curve: solid for a family's first four, whose colours differ, broken for the next."""
    seen = {"vit": 0, "cnn": 0}
    found = {}
    for model, (family, _, _) in looks(crossover).items():
        found[model] = LINES[seen[family] // 4 % len(LINES)]
        seen[family] += 1
    return found


def show_legend(ax: Axes) -> None:
    """The legend in the freest corner, or below a single panel where it is too long to lie beside the points."""
    handles, labels = ax.get_legend_handles_labels()
    figure = ax.get_figure()
    if len(labels) > 4 and isinstance(figure, Figure) and len(figure.axes) == 1:
        figure.set_figheight(figure.get_figheight() + 0.16 * ((len(labels) + 1) // 2))
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    elif labels:
        ax.legend(loc="best")


def tick(value: float) -> str:
    for limit, letter in ((1e12, ""), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value:.0e}" if not letter else f"{value / limit:g}{letter}"
    return f"{value:g}"


def log_x(ax: Axes, label: str, *, dense: bool = True) -> None:
    """A log axis with ticks at 1, 2 and 5, or at powers of ten where three decades or more are shown."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    subs = (1.0, 2.0, 5.0) if dense and high / max(low, 1e-300) < 800 else (1.0,)
    ax.xaxis.set_major_locator(LogLocator(10, subs=subs, numticks=12))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    ax.set_xlabel(label)


def log_y(ax: Axes, label: str, *, subs: tuple[float, ...] = (1.0, 2.0, 5.0)) -> None:
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(10, subs=subs, numticks=12))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    ax.set_ylabel(label)


def axis_label(crossover: Crossover) -> str:
    return AXES.get(crossover.axis, crossover.axis)


def metric_label(crossover: Crossover) -> str:
    percent = " (%)" if crossover.measure.unit == 100 and "percent" not in crossover.metric else ""
    return METRIC_LABELS.get(crossover.metric, crossover.metric) + percent


def metric_y(ax: Axes, crossover: Crossover) -> None:
    """The axis of the user's metric: logarithmic for errors and losses, linear for what is better when higher."""
    if crossover.measure.higher:
        ax.set_ylabel(metric_label(crossover))
    else:
        log_y(ax, metric_label(crossover))
