"""Drawn images without a download: k classes of polylines with random pose, stroke, contrast and noise, as uint8.

An image depends on (data seed, shapes, stream, index) alone, so a stream can be drawn to any length and its first n
images never change. Labels go round the classes (index modulo k), so that every prefix is balanced to within one.
"""

from __future__ import annotations

import numpy as np

from scaling.config.strokes_config import StrokesConfig

STROKES_VERSION = 1  # part of the data fingerprint: raise it whenever the same settings give other pixels
_CHUNK = 512  # images drawn from one random stream; part of what STROKES_VERSION fixes


def _prototypes(config: StrokesConfig) -> np.ndarray:
    """Vertices of every class and variant: (classes, variants, points, 2) in [-1, 1]."""
    rng = np.random.Generator(np.random.PCG64([config.seed if config.shapes is None else config.shapes, 7]))
    shape = (config.num_classes, config.variants, config.points, 2)
    return rng.uniform(-1.0, 1.0, size=shape)


def _draw_chunk(config: StrokesConfig, image_size: int, stream: int, chunk: int) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64([config.seed, 11, stream, chunk]))
    labels = (np.arange(_CHUNK) + chunk * _CHUNK) % config.num_classes
    variant = rng.integers(config.variants, size=_CHUNK)
    angle = np.deg2rad(rng.uniform(-config.rotation, config.rotation, _CHUNK))
    size = 0.6 * rng.uniform(1 - config.scale, 1 + config.scale, _CHUNK)
    shift = rng.uniform(-config.shift, config.shift, (_CHUNK, 1, 2))
    half_width = rng.uniform(config.thinnest, config.thickest, _CHUNK) / 2
    contrast = rng.uniform(0.5, 1.0, _CHUNK)
    vertices = _prototypes(config)[labels, variant]  # (chunk, points, 2)
    vertices = vertices + config.jitter * rng.standard_normal(vertices.shape)
    turn = np.stack([np.stack([np.cos(angle), -np.sin(angle)], -1), np.stack([np.sin(angle), np.cos(angle)], -1)], -2)
    vertices = size[:, None, None] * (vertices @ turn) + shift

    centres = (np.arange(image_size) + 0.5) / image_size * 2 - 1
    pixels = np.stack(np.meshgrid(centres, centres, indexing="xy"), -1).reshape(-1, 2).astype(np.float32)
    distance = np.full((_CHUNK, len(pixels)), np.inf, dtype=np.float32)  # (chunk, pixels) to the nearest segment
    starts = vertices[:, :-1].astype(np.float32)
    steps = (vertices[:, 1:] - vertices[:, :-1]).astype(np.float32)
    for segment in range(config.points - 1):
        start, step = starts[:, segment], steps[:, segment]
        dx = pixels[None, :, 0] - start[:, None, 0]  # (chunk, pixels)
        dy = pixels[None, :, 1] - start[:, None, 1]
        length2 = np.maximum((step**2).sum(-1), 1e-12)[:, None]
        along = np.clip((dx * step[:, None, 0] + dy * step[:, None, 1]) / length2, 0, 1)
        away2 = (dx - along * step[:, None, 0]) ** 2 + (dy - along * step[:, None, 1]) ** 2
        np.minimum(distance, away2, out=distance)
    # One pixel of ramp at the stroke's edge is the anti-aliasing.
    ink = np.clip((half_width[:, None] - np.sqrt(distance)) * image_size / 2 + 0.5, 0, 1)
    grey = 0.1 + 0.8 * contrast[:, None] * ink + config.noise * rng.standard_normal(ink.shape, dtype=np.float32)
    return np.round(np.clip(grey, 0, 1) * 255).astype(np.uint8).reshape(_CHUNK, 1, image_size, image_size)


def draw(config: StrokesConfig, *, image_size: int, stream: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` images of a stream, uint8 (count, 1, image_size, image_size), and their labels (count,)."""
    chunks = [_draw_chunk(config, image_size, stream, chunk) for chunk in range(-(-count // _CHUNK))]
    return np.concatenate(chunks)[:count], np.arange(count) % config.num_classes
