"""Draws what was said of LCDB's pairs by what came, and where crossings were claimed against where they were."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis.figures.style import COLUMN, CROSSING, STYLE
from analysis.public_curves.lcdb import SAID, counts, said

_SHADES = ("#0072b2", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#c8ccd2")  # of SAID
_NAMES = {"never": "never", "inside": "among the\nsizes shown", "later": "later", "both": "both"}


def draw_lcdb(rows: pd.DataFrame) -> bytes:
    """A PNG of two panels: shares of the verdicts, and places of the claimed crossings with their 90% intervals."""
    table = counts(rows)
    shares = table.div(table.sum(axis=1).clip(lower=1), axis=0)
    claims = rows[
        rows["verdict"].isin(["observed", "extrapolated"]) & rows["nearest_crossing"].notna() & rows["size"].notna()
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2 * COLUMN, COLUMN), layout="constrained")
        left, right = figure.subplots(1, 2)
        below = np.zeros(len(shares))
        names = [f"{_NAMES[k]}\n({table.loc[k].sum():,})" for k in table.index]
        for what, colour in zip(SAID, _SHADES, strict=True):
            left.bar(names, shares[what], bottom=below, color=colour, label=what, width=0.7)
            below += shares[what].to_numpy()
        left.set(xlabel="when the learners change places (pairs)", ylabel="share of pairs", ylim=(0, 1))
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3)
        unit = claims["shown_to"]
        for what, colour in (("observed", _SHADES[0]), ("extrapolated", _SHADES[2])):
            own = claims["verdict"].map(said) == what
            x, y = (claims["nearest_crossing"] / unit)[own], (claims["size"] / unit)[own]
            low, high = (
                (claims["low"].fillna(claims["shown_from"]) / unit)[own],
                (claims["high"].fillna(np.inf) / unit)[own],
            )
            right.vlines(x, low, high.clip(upper=10), color=colour, lw=0.4, alpha=0.35)
            right.plot(x, y, "o", ms=2.5, mew=0, color=colour, label=f"{what} ({int(own.sum())})")
        right.plot([1e-3, 10], [1e-3, 10], color=CROSSING, lw=0.8, zorder=0)
        right.axvline(1, color=CROSSING, lw=0.8, ls=(0, (1, 2)), zorder=0)
        ends = (float((claims["shown_from"] / unit).min()) if len(claims) else 0.01, 5.0)
        right.set(xscale="log", yscale="log", xlim=ends, ylim=(ends[0], 10.0))
        right.set(xlabel="real crossing / largest size shown", ylabel="claimed crossing / largest size shown")
        for axis in (right.xaxis, right.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        right.legend()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
        return buffer.getvalue()
