"""What a picture looks like, in 63 bits: they change little where it is saved again, resized or made brighter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

BITS = 63
_SIDE, _WAVES = 32, 8
_FLAT = 256.0  # a cosine of about one grey level: below it a picture shows nothing that could be compared
_COSINES = np.cos(np.pi * np.arange(_WAVES)[:, None] * (2 * np.arange(_SIDE) + 1) / (2 * _SIDE)).astype(np.float32)


def thumbnail(picture: Image) -> np.ndarray:
    """uint8 (32, 32): the whole picture in grey, stretched."""
    from PIL import Image as PIL

    grey = picture.convert("L")
    if grey.size != (_SIDE, _SIDE):
        grey = grey.resize((_SIDE, _SIDE), PIL.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(grey)


def look_hashes(thumbnails: Sequence[np.ndarray]) -> np.ndarray:
    """uint64 (rows,): which of the 63 lowest cosines of a picture lie above their median; 0 for one of a single grey,
    which has no look. After the `phash` of Zauner (2010), "Implementation and Benchmarking of Perceptual Image Hash
    Functions"."""
    if not len(thumbnails):
        return np.zeros(0, dtype=np.uint64)
    greys = np.stack(thumbnails).astype(np.float32)
    waves = (_COSINES @ greys @ _COSINES.T).reshape(len(greys), -1)[:, 1:]  # the first is the brightness
    above = waves > np.partition(waves, BITS // 2, axis=1)[:, BITS // 2, None]
    above[np.abs(waves).max(1) < _FLAT] = False
    packed = np.packbits(np.pad(above, ((0, 0), (0, 1))), axis=1, bitorder="little")
    return packed.view("<u8")[:, 0].astype(np.uint64)
