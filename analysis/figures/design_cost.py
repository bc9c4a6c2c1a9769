"""Plots what an adaptive design knew against what it had cost."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from analysis.design.history import DesignHistory
from analysis.figures.style import CROSSING, GAP


def plot_cost(ax: Axes, history: DesignHistory) -> Axes:
    """Width of the crossing's interval (left, as a factor; on the upper edge where it is open) and bits of "who
    leads?" that are open (right), against the share of the grid's training time."""
    share = [100 * s.share for s in history.steps]
    closed = [(100 * s.share, 10**s.width) for s in history.steps if s.width is not None]
    if closed:
        ax.plot(*zip(*closed, strict=True), "o-", ms=2.5, lw=1.2, color=GAP, label="interval (times)")
    ax.set_yscale("log")
    top = 2 * max((factor for _, factor in closed), default=50.0)
    ax.set_ylim(1, top)
    still_open = [100 * s.share for s in history.steps if s.width is None]
    ax.plot(still_open, [top] * len(still_open), "^", ms=3, color=GAP, mfc="none", clip_on=False, label="open")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}\N{MULTIPLICATION SIGN}"))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda v, _: ""))
    ax.set_ylabel("upper over lower end of the interval")
    right = ax.twinx()
    right.plot(share, [s.bits for s in history.steps], "s--", ms=2, lw=0.8, color=CROSSING, label="open (bits)")
    right.set_ylim(bottom=0)
    right.set_ylabel('bits of "who leads?" left')
    right.spines["right"].set_visible(True)
    ax.set_xlim(0, max([*share, 1.0]) * 1.05)
    ax.set_xlabel("training time, % of the grid's")
    return ax
