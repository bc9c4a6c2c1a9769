"""Draws one task of the public benchmark: what was fitted, what was predicted and what came later."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis.figures.style import COLOURS, INK
from analysis.public_curves.case import Case


def draw_task(table: pd.DataFrame, cases: Sequence[Case], name: str) -> bytes:
    """A PNG: fitted points filled, held-out ones as rings, each curve with its 90% band, dashed beyond its fit."""
    curves = {m: c.crossover.families.curves[m] for c in cases for m in (c.vit, c.cnn)}
    families = {c.vit: "vit" for c in cases} | {c.cnn: "cnn" for c in cases}
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        ax = figure.subplots()
        drawn = {"vit": 0, "cnn": 0}
        for model, curve in curves.items():
            family = families[model]
            colour = COLOURS[family][drawn[family]]
            drawn[family] += 1
            rows = table[(table["Task"] == cases[0].task) & (table["model"] == model)]
            fitted, rest = rows[rows["Training"] == 1], rows[rows["Training"] == 0]
            ax.plot(fitted["seen_examples"], fitted["test_error"], "o", ms=3, mew=0, color=colour)
            ax.plot(rest["seen_examples"], rest["test_error"], "o", ms=3, mew=0.5, mfc="none", color=colour, alpha=0.4)
            low, high = curve.fit_range
            inside, beyond = np.geomspace(low, high, 60), np.geomspace(high, rows["seen_examples"].max(), 40)
            ax.plot(inside, curve.predict(inside), color=colour, lw=1.4, label=model)
            ax.plot(beyond, curve.predict(beyond), color=INK, lw=1.2, ls=(0, (4, 2)), zorder=5)
            band = curve.interval(beyond)
            ax.fill_between(beyond, band[:, 0], band[:, 1], color=colour, alpha=0.25, lw=0)
        for case in cases:
            for size, _ in case.truth.crossings:
                ax.axvline(size, color="#8a8f98", lw=0.8, ls=(0, (1, 2)))
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_yticks([0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0])
        ax.set_xlabel("JFT-300M examples seen")
        ax.set_ylabel(f"{name} error")
        ax.legend(frameon=False)
        words = "filled: fitted; rings: came later; dashed: predicted, with 90% band; dotted: real crossings"
        ax.set_title(words, fontsize=8)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        return buffer.getvalue()
