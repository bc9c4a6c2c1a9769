"""The settings of drawn images: `data.strokes`."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.config.setting import declare


@dataclass(frozen=True, kw_only=True)
class StrokesConfig:
    """What the drawings look like. Lengths are in half image widths, angles in degrees."""

    seed: int = 0  # of the images and, unless `shapes` says otherwise, of the classes' shapes
    # Seed of the shapes alone: with one value of it and several seeds, other pictures of the same classes.
    shapes: int | None = declare(None, at_least=0, later=True)
    num_classes: int = 10
    variants: int = 1  # different polylines of one class
    points: int = 5  # vertices of a polyline
    rotation: float = 20.0  # largest turn to either side
    shift: float = 0.25  # largest shift along each axis
    scale: float = 0.25  # the size is drawn from 1 - scale to 1 + scale, times .6
    jitter: float = 0.08  # standard deviation of each vertex about its place
    noise: float = 0.2  # standard deviation of the pixel noise; the contrast is .5 to 1
    thinnest: float = 0.15  # stroke width from
    thickest: float = 0.3  # to
