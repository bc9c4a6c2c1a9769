"""Draws probabilities against what came of them: on the diagonal they are calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import matplotlib as mpl
from matplotlib.figure import Figure

from analysis.figures.style import COLUMN, CROSSING, STYLE

_PANELS = {"leader": "P(the family named leads)", "crossing": "P(crossing)"}
_LOOKS = (("#0072b2", "s"), ("#d55e00", "o"), ("#009e73", "^"))


class _Bin(Protocol):
    @property
    def said(self) -> float: ...
    @property
    def share(self) -> float: ...
    @property
    def of(self) -> int: ...
    @property
    def bounds(self) -> tuple[float, float]: ...


def draw_reliability(found: Mapping[str, Mapping[str, Sequence[_Bin]]], path: Path, *, fewest: int = 10) -> None:
    """A panel per kind of probability, a line per set of curves; bins of fewer than `fewest` cases are left out.

    Bars are binomial 95% intervals.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2 * COLUMN, COLUMN), layout="constrained")
        for ax, (what, label) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
            low = 0.5 if what == "leader" else 0.0
            ax.plot([low, 1], [low, 1], color=CROSSING, linewidth=0.8, zorder=0)
            for (of, bins), (colour, marker) in zip(found.items(), _LOOKS, strict=False):
                own = [b for b in bins[what] if b.of >= fewest]
                said, share = [b.said for b in own], [b.share for b in own]
                bars = [[b.share - b.bounds[0] for b in own], [b.bounds[1] - b.share for b in own]]
                style = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1, "elinewidth": 0.6}
                ax.errorbar(said, share, yerr=bars, label=f"{of} ({sum(b.of for b in own):,})", **style)
            ax.set(xlabel=label, ylabel="share that came", xlim=(low - 0.03, 1.03))
            ax.legend()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=200)
