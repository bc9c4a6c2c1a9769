"""Draws what one ViT learned, from the numbers and arrays that `scaling.inspect` wrote.

Functions take axes and return them, as in `curves`; `mechanism_sweep` draws the page of a sweep.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.arguments import InputError
from analysis.figures.style import COLOURS, INK

Arrays = Mapping[str, np.ndarray]


def _tile(filters: np.ndarray) -> np.ndarray:
    """Filters (k, channels, height, width), each scaled to [0, 1] about its middle, as one picture seven tiles wide."""
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    scaled = 0.5 + 0.5 * filters / np.maximum(largest, 1e-12)
    count, channels, height, width = scaled.shape
    columns = min(7, count)
    picture = np.ones((channels, math.ceil(count / columns) * (height + 1) - 1, columns * (width + 1) - 1))
    for i, tile in enumerate(scaled):
        row, column = divmod(i, columns)
        top, left = row * (height + 1), column * (width + 1)
        picture[:, top : top + height, left : left + width] = tile
    return picture.transpose(1, 2, 0)


def _picture(ax: Axes, picture: np.ndarray) -> None:
    """Shows (height, width, channels) in grey where there are other than three channels."""
    shown = picture if picture.shape[2] == 3 else picture[:, :, 0]
    ax.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])


def draw_filters(ax: Axes, arrays: Arrays, *, title: str) -> Axes:
    """The embedding's principal components (a ViT) or the first layer's kernels (a CNN), at most 28."""
    _picture(ax, _tile(arrays["filters"][:28]))
    ax.set_title(title)
    return ax


def _by_place(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values by token, (tokens,), laid out where the tokens' pixels come from: (grid, grid)."""
    grid = math.isqrt(len(places))
    laid = np.empty((grid, grid))
    laid[places[:, 0], places[:, 1]] = values
    return laid


def draw_position_similarity(ax: Axes, arrays: Arrays, *, title: str) -> Axes:
    """A map of cosines for every position, each at its own place in the grid."""
    similarity, places = arrays["position_similarity"], arrays["places"]
    grid = math.isqrt(len(places))
    picture = np.full((grid * (grid + 1) - 1,) * 2, np.nan)
    for token, (row, column) in enumerate(places):
        top, left = row * (grid + 1), column * (grid + 1)
        picture[top : top + grid, left : left + grid] = _by_place(similarity[token], places)
    image = ax.imshow(picture, cmap="viridis", vmin=-1, vmax=1, interpolation="nearest")
    ax.set_xticks([i * (grid + 1) + (grid - 1) / 2 for i in range(grid)], [str(i + 1) for i in range(grid)])
    ax.set_yticks([i * (grid + 1) + (grid - 1) / 2 for i in range(grid)], [str(i + 1) for i in range(grid)])
    ax.set_xlabel("column of the patch")
    ax.set_ylabel("row of the patch")
    ax.set_title(title)
    colours = ax.figure.colorbar(image, ax=ax, shrink=0.85)
    colours.set_label("cosine similarity")
    return ax


def draw_attention_distance(ax: Axes, numbers: Mapping[str, Any]) -> Axes:
    """A point for every head, a line through the layers' means, and the distance of uniform attention."""
    layers = np.arange(1, len(numbers["attention_distance"]) + 1)
    for layer, heads in zip(layers, numbers["attention_distance"], strict=True):
        ax.plot([layer] * len(heads), heads, "o", ms=5, mew=0, color=COLOURS["vit"][0], alpha=0.6)
    means = [float(np.mean(heads)) for heads in numbers["attention_distance"]]
    ax.plot(layers, means, "-", lw=1.6, color=COLOURS["vit"][0], label="mean of the heads")
    ax.axhline(numbers["attention_distance_uniform"], color=INK, lw=1, ls=(0, (4, 3)), label="uniform attention")
    ax.set_xticks(layers)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("layer")
    ax.set_ylabel("mean attention distance (pixels)")
    ax.set_title(f"Attention over {numbers['attention_images']} test images, a point a head")
    ax.legend(loc="lower right")
    return ax


def draw_rollout(axes: Sequence[Axes], arrays: Arrays) -> Sequence[Axes]:
    """Example images in the first half of the axes, and where the answer was read from in the second."""
    half = len(axes) // 2
    for above, below, image, flow in zip(axes[:half], axes[half:], arrays["examples"], arrays["rollout"], strict=False):
        picture = image.transpose(1, 2, 0) / 255
        _picture(above, picture)
        laid = _by_place(flow, arrays["places"])
        size = image.shape[-1]
        below.imshow(picture.mean(axis=2), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        extent = (-0.5, size - 0.5, size - 0.5, -0.5)
        below.imshow(laid, cmap="inferno", alpha=0.65, extent=extent, interpolation="nearest")
        below.set_xticks([])
        below.set_yticks([])
    return axes


def draw_run(numbers: Mapping[str, Any], arrays: Arrays, *, cnn: Arrays | None = None) -> Figure:
    """One ViT on one page; with `cnn`, that model's first-layer filters beside the ViT's."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    filters, other, positions, distance = figure.subplots(2, 2).flatten()
    share = sum(numbers["filters_variance"][:28])
    draw_filters(filters, arrays, title=f"{len(arrays['filters'])} principal filters, {share:.0%} of the variance")
    if cnn is not None:
        draw_filters(other, cnn, title="A CNN's first layer")
    else:
        other.set_axis_off()
    if "position_similarity" in arrays:
        score = numbers["positions"]
        said = f"same row or column {score['difference']:+.3f}, p = {score['p_value']:.2g}" if score else ""
        draw_position_similarity(positions, arrays, title=f"Position embeddings: {said}")
    else:
        positions.set_axis_off()
    draw_attention_distance(distance, numbers)
    images, error = numbers["train_size"], numbers["test_error"]
    if images is None:  # a checkpoint: how it was trained is not known
        figure.suptitle(f"{numbers['name']} ({numbers['model']}) on test images of {numbers['data']}")
    else:
        figure.suptitle(f"{numbers['model']} trained on {images:,} images of {numbers['data']}, test error {error:.3f}")
    return figure


def draw_examples(numbers: Mapping[str, Any], arrays: Arrays) -> Figure:
    """Test images above, the attention rollout over them below."""
    count = len(arrays["rollout"])
    figure = Figure(figsize=(1.4 * count, 3.3), layout="constrained")
    draw_rollout(figure.subplots(2, count, squeeze=False).flatten().tolist(), arrays)
    figure.suptitle(f"Test images, and attention rollout ({numbers['rollout_of']}; brighter: more)", fontsize=11)
    return figure


def read_run(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The numbers and arrays of one inspected run.

    Raises:
        InputError: `scaling.inspect` has not been there.
    """
    try:
        numbers = json.loads((folder / "inspect.json").read_text(encoding="utf-8"))
        with np.load(folder / "inspect.npz", allow_pickle=False) as file:
            return numbers, {key: file[key] for key in file.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no inspect.json and .npz; run python -m scaling.inspect run={folder}") from error
