"""Draws a page for each inspected ViT of a sweep: its scaling curves, and beside them attention distance by layer and
what position embeddings know, against the same training sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from analysis.arguments import InputError, TableArguments
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.questions import find_crossovers
from analysis.figures.curves import plot_curves
from analysis.figures.mechanism import read_run
from analysis.figures.style import COLOURS, INK
from scaling.records.question import IN_EVERY_KEY

Numbers = Mapping[str, Any]

KEY = ("model", *IN_EVERY_KEY, "depth")


def _size_axis(ax: Axes, sizes: Sequence[int]) -> None:
    ax.set_xscale("log")
    ticks = sorted(set(sizes))
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(ticks, [f"{size:,}" for size in ticks], rotation=45, ha="right", rotation_mode="anchor")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("training images n")


def draw_errors(ax: Axes, runs: Sequence[Numbers], crossover: Crossover | None) -> Axes:
    """The sweep's scaling curves where it has enough sizes to fit some, else the runs' own test errors."""
    sizes = [run["train_size"] for run in runs]
    if crossover is not None and crossover.families.curves:
        plot_curves(ax, crossover)
        _size_axis(ax, sizes)
        ax.set_xlim(min(sizes) / 1.2, max(sizes) * 1.2)
    else:
        ax.plot(sizes, [run["test_error"] for run in runs], "o", ms=5, mew=0, color=COLOURS["vit"][0])
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter("{x:g}")
        ax.set_ylabel("test error")
        _size_axis(ax, sizes)
    return ax


def draw_distances(ax: Axes, runs: Sequence[Numbers]) -> Axes:
    """Mean attention distance of each layer: a point a run, a line through the means."""
    sizes = np.array([run["train_size"] for run in runs])
    depth = len(runs[0]["attention_distance"])
    for layer, shade in enumerate(mpl.colormaps["viridis"](np.linspace(0.1, 0.85, depth))):
        means = np.array([np.mean(run["attention_distance"][layer]) for run in runs])
        ax.plot(sizes, means, "o", ms=4, mew=0, color=shade, alpha=0.7)
        middle = [means[sizes == size].mean() for size in np.unique(sizes)]
        ax.plot(np.unique(sizes), middle, lw=1.6, color=shade, label=f"layer {layer + 1}")
    ax.axhline(runs[0]["attention_distance_uniform"], color=INK, lw=1, ls=(0, (4, 3)), label="uniform")
    ax.set_ylabel("mean attention distance (pixels)")
    ax.legend(fontsize=8)
    _size_axis(ax, sizes.tolist())
    return ax


def draw_position_scores(ax: Axes, runs: Sequence[Numbers]) -> Axes:
    """What the position embeddings of each run know of rows and columns, and what random orders of them reach."""
    scored = [run for run in runs if run["positions"]]
    if scored:
        at = [run["train_size"] for run in scored]
        ax.plot(at, [run["positions"]["difference"] for run in scored], "o", ms=5, mew=0, color=COLOURS["vit"][0])
        highs = [run["positions"]["null_high"] for run in scored]
        ax.plot(at, highs, "_", ms=12, color=INK, label="95% of random orders are below")
        ax.legend(fontsize=8)
    ax.set_ylabel("cosine, same row or column minus elsewhere")
    _size_axis(ax, [run["train_size"] for run in runs])
    return ax


def draw_sweep(runs: Sequence[Numbers], crossover: Crossover | None = None) -> Figure:
    """The inspected runs of one ViT on one kind of data, beside the curves of the sweep that they are of."""
    runs = sorted(runs, key=lambda run: (run["train_size"], run["seed"]))
    figure = Figure(figsize=(13.5, 4.4), layout="constrained")
    error, distance, positions = figure.subplots(1, 3)
    draw_errors(error, runs, crossover)
    draw_distances(distance, runs)
    draw_position_scores(positions, runs)
    first = runs[0]
    title = f"{first['model']} on {first['data']}, locality {first['locality']:g}, {first['image_size']} pixels: "
    figure.suptitle(f"{title}{len(runs)} inspected runs")
    return figure


def _crossovers(path: Path) -> list[Crossover]:
    """The answers of the sweep's records; none where the folder holds no table of results."""
    try:
        return find_crossovers(TableArguments(results=(path,)))
    except InputError:
        return []


def group_runs(runs: Sequence[Numbers]) -> dict[tuple[Any, ...], list[Numbers]]:
    """By `KEY`, the inspected ViTs that differ in nothing but training set and seed; CNNs are left out."""
    groups: dict[tuple[Any, ...], list[Numbers]] = {}
    for run in runs:
        if "attention_distance" in run and run["train_size"] is not None:
            groups.setdefault(tuple(run[k] for k in KEY), []).append(run)
    return groups


def draw_sweeps(path: Path) -> dict[str, Figure]:
    """A page for every ViT (and data set, locality, image size) of a sweep's folder that was inspected, by file name.

    Raises:
        InputError: there is none.
    """
    groups = group_runs([read_run(file.parent)[0] for file in sorted(path.rglob("inspect.json"))])
    if not groups:
        raise InputError(f"{path}: no inspected ViT in it; run python -m scaling.inspect run={path}")
    found = _crossovers(path)
    figures = {}
    for key, runs in groups.items():
        model, _, locality, image_size, _ = key
        same = [c for c in found if all(c.key.get(k, runs[0][k]) == runs[0][k] for k in IN_EVERY_KEY)]
        figures[f"mechanism-{model}-loc{locality:g}-{image_size}px.png"] = draw_sweep(runs, next(iter(same), None))
    return figures
