"""Plots scratch, frozen and fine-tuned on one panel per family, for images that several modes were tried on."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from analysis.estimator.crossover.modes import ModeContest
from analysis.estimator.crossover.wording import FAMILY
from analysis.figures.style import COLOURS, axis_label, log_x, metric_y

LOOKS = {"scratch": (0, ":", "o"), "probe": (1, "-", "s"), "full": (2, "--", "^")}  # colour, line, marker
NAMED = {"scratch": "from scratch", "probe": "frozen features", "full": "fine-tuned"}


def plot_modes(ax: Axes, contest: ModeContest, family: str) -> Axes:
    """Error against size of one family: every mode's runs, its envelope and the band of that."""
    entrants = [e for e in contest.entrants if e.family == family]
    for entrant in entrants:
        crossover = entrant.crossover
        index, line, marker = LOOKS[entrant.mode]
        colour = COLOURS[family][index]
        rows = crossover.selection.fitted
        rows = rows[rows["family"] == family]
        x, y = rows[crossover.axis], rows[crossover.metric]
        ax.plot(x, y, marker, ms=2.5, mew=0, color=colour, alpha=0.5, ls="none")
        grid = np.geomspace(*entrant.measured, 80)
        tail = (1 - crossover.level) / 2
        draws = crossover.measure.value(np.exp(entrant.log_draws(grid)))
        low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail], axis=0)
        ax.fill_between(grid, low, high, color=colour, alpha=0.16, lw=0)
        models = crossover.families.models[family]
        name = models[0] if len(models) == 1 else f"{len(models)} models"
        ax.plot(grid, middle, color=colour, lw=1.3, ls=line, label=f"{NAMED[entrant.mode]} ({name})")
    ax.set_title(FAMILY[family])
    if entrants:
        metric_y(ax, entrants[0].crossover)
        log_x(ax, axis_label(entrants[0].crossover))
        ax.legend(loc="best")
    return ax
