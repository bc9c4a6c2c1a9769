"""Draws who leads at how many images, a strip per question: the stronger the colour, the surer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.estimator.crossover.crossings import HORIZON
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.figures.style import COLOURS, COLUMN, INK, STYLE, log_x

_STEPS = 120
_GREY = "#e4e6ea"  # nobody is clearly ahead
_BLENDS = {f: LinearSegmentedColormap.from_list(f, [_GREY, COLOURS[f][0]]) for f in ("vit", "cnn")}
_HELD = " *"  # behind the label: the audit holds the verdict back


@dataclass(frozen=True)
class Strip:
    """One question's answer under the words of a figure; strips of one `group` stand together."""

    group: str
    label: str
    crossover: Crossover


def _colour(p_vit: float) -> tuple[float, float, float, float]:
    """Grey where neither family has a probability of .75, full at 1."""
    family, sure = ("vit", p_vit) if p_vit > 0.5 else ("cnn", 1 - p_vit)
    return _BLENDS[family](min(1.0, max(0.0, (sure - 0.75) / 0.25)))


def _plot_strip(ax: Axes, y: float, crossover: Crossover) -> None:
    verdict, models = crossover.verdict, crossover.families.models
    if not models["vit"] or not models["cnn"]:
        return
    sizes = crossover.families.sizes(models["vit"], models["cnn"])
    for low, high, height in ((sizes.low, sizes.high, 0.62), (sizes.high, HORIZON * sizes.high, 0.2)):
        edges = np.geomspace(low, high, _STEPS + 1)
        middle = np.sqrt(edges[:-1] * edges[1:])
        colours = [_colour(float(p)) for p in crossover.p_vit_better(middle)]
        ax.barh(y, np.diff(edges), left=edges[:-1], height=height, color=colours, lw=0)
    for crossing in verdict.claimed:
        start, end = (
            np.clip(x if x is not None else fill, sizes.low, HORIZON * sizes.high)
            for x, fill in zip(crossing.interval, (sizes.low, HORIZON * sizes.high), strict=True)
        )
        ax.plot([start, end], [y, y], color=INK, lw=1.2, solid_capstyle="butt")
        ax.plot(crossing.size, y, "D", color=INK, ms=4)


def draw_leaders(strips: Sequence[Strip], path: Path) -> None:
    """Writes a PNG: thick where it was measured, thin up to ten times beyond; diamonds are claimed crossings."""
    groups = list(dict.fromkeys(s.group for s in strips))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2 * COLUMN, 0.24 * (len(strips) + 1.3 * len(groups)) + 1.1), layout="constrained")
        ax = figure.subplots()
        y, ticks = 0.0, []
        for group in groups:
            ax.text(0.0, y, group, transform=ax.get_yaxis_transform(), weight="bold", va="center")
            for strip in (s for s in strips if s.group == group):
                y += 1
                held = strip.crossover.audited and bool(strip.crossover.failed_checks)
                ticks.append((y, strip.label + _HELD * held))
                _plot_strip(ax, y, strip.crossover)
            y += 1.3
        ax.set_yticks([t for t, _ in ticks], [name for _, name in ticks])
        ax.set_ylim(y - 0.6, -0.7)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        log_x(ax, "training images n", dense=False)
        shown = [
            ("CNN better, P = 1", COLOURS["cnn"][0]),
            ("not clear", _GREY),
            ("ViT better, P = 1", COLOURS["vit"][0]),
        ]
        handles = [Patch(color=colour, label=name) for name, colour in shown]
        diamond = mpl.lines.Line2D([], [], marker="D", color=INK, ms=4, lw=1.2, label="crossing, 90% interval")
        words = "thick: measured; thin: predicted, to ten times the data; * the audit holds the verdict back"
        figure.legend(handles=[*handles, diamond], loc="outside lower center", ncols=4, title=words, title_fontsize=7)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=160, metadata={"Software": None})
