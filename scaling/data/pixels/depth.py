"""Numbers that 8 bits do not hold (16 and 32 bits, floating point) to 8 bits: from 0 to what is white in the data set.

PIL keeps such greys as they are, and of 16-bit colours only the upper byte; the lower one is read by a second look at
the file with its bytes called the other way round.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.data.errors import UnreadableImage

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF
FLOAT = 0  # the depth of floating-point numbers
# Raw modes of PIL that take the upper byte of 16, and those that take the lower one of the same bytes.
_LOWER = {f"{mode};16{high}": f"{mode};16{low}" for mode in ("RGB", "RGBA") for high, low in ("BL", "LB")}
_LOWER |= {f"{mode};16N": f"{mode};16{'B' if sys.byteorder == 'little' else 'L'}" for mode in ("RGB", "RGBA")}


@dataclass(frozen=True)
class Wide:
    """A picture as its file has it: `colours` int64 or float64 (height, width) or (height, width, 3), `alpha` uint16
    (height, width) or None, `depth` 16, 32 or FLOAT bits, and whether 0 is white (`inverted`)."""

    colours: np.ndarray
    alpha: np.ndarray | None
    depth: int
    inverted: bool = False

    @property
    def top(self) -> int:
        """The largest value; 0 of floating-point numbers, whose white is never looked for."""
        return 0 if self.depth == FLOAT else int(self.colours.max())


def white_of_values(top: int) -> int:
    """What is white where `top` is the largest value of all pictures: values that fit 8 bits are 8-bit values."""
    return max(top, 255)


def is_wide(opened: ImageFile) -> bool:
    """Whether PIL would lose bits of an opened file, or has more than it knows what to do with."""
    return opened.mode[0] in "IF" or _raw_mode(opened) in (*_LOWER, "LA;16B")


def _raw_mode(opened: ImageFile) -> str:
    args = opened.tile[0][3] if opened.tile else ""
    found = args[0] if isinstance(args, tuple) and args else args
    return found if isinstance(found, str) else ""


def read_wide(opened: ImageFile, again: Callable[[], ImageFile]) -> Wide:
    """The numbers of a file for which `is_wide` holds; `opened` is loaded by it.

    Args:
        again: opens the same file once more.

    """
    raw, key = _raw_mode(opened), opened.info.get("transparency")
    inverted = getattr(opened, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # PIL inverts 8 bits, and no more
    if opened.mode[0] in "IF":
        depth = FLOAT if opened.mode == "F" else 32 if "32" in raw else 16
        opened.load()
        colours = np.asarray(opened).astype(np.float64 if depth == FLOAT else np.int64)
        wide = Wide(colours, None, depth, inverted)
    else:
        wide = Wide(*_wide_colours(opened, raw, again), 16)
    if wide.alpha is None and key is not None and not isinstance(key, bytes):  # the colour that a PNG calls transparent
        there = np.atleast_3d(wide.colours) != np.array(key)
        wide = Wide(wide.colours, there.any(2) * np.uint16(65_535), wide.depth, wide.inverted)
    return wide


def _wide_colours(opened: ImageFile, raw: str, again: Callable[[], ImageFile]) -> tuple[np.ndarray, np.ndarray | None]:
    if raw == "LA;16B":  # four bytes a pixel, which is all that RGBA means here
        _say_raw_mode(opened, "RGBA")
        opened._mode = "RGBA"
        opened.info.pop("transparency", None)
        opened.load()
        pairs = np.asarray(opened).astype(np.uint16)
        return (pairs[..., 0] << 8 | pairs[..., 1]).astype(np.int64), pairs[..., 2] << 8 | pairs[..., 3]
    with again() as second:
        _say_raw_mode(second, _LOWER[raw])
        for picture in (opened, second):
            picture.info.pop("transparency", None)
            picture.load()
        both = np.asarray(opened).astype(np.uint16) << 8 | np.asarray(second)
    return both[..., :3].astype(np.int64), both[..., 3] if both.shape[2] == 4 else None


def _say_raw_mode(opened: ImageFile, raw: str) -> None:
    def changed(tile: Any) -> Any:
        args = (raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw
        return tile._replace(args=args)

    opened.tile = [changed(tile) for tile in opened.tile]


def to_8_bits(wide: Wide, white: float | None) -> Image:
    """The picture in 8 bits: 0 is black and `white` is 255, or the other way round.

    Raises:
        UnreadableImage: there are negative integers, numbers that are none, or floating-point numbers whose white
            nobody stated.
    """
    from PIL import Image as PIL

    if not np.isfinite(wide.colours).all():
        raise UnreadableImage("some pixels are not numbers (NaN or infinite)")
    if wide.depth != FLOAT and wide.colours.min() < 0:
        raise UnreadableImage("negative pixels have no known black; save it with 8 or 16 bits without a sign")
    if white is None and wide.depth == FLOAT:
        raise UnreadableImage("floating-point pixels have no known white; data.white=1.0 states it")
    if white is None:  # not known yet: what 16 bits can hold
        white = white_of_values(wide.top) if wide.depth == 32 else 65_535
    shares = np.clip(wide.colours / white, 0, 1)
    values = np.round(255 * (1 - shares if wide.inverted else shares)).astype(np.uint8)
    if wide.alpha is None:
        return PIL.fromarray(values)
    alpha = np.round(wide.alpha / 257).astype(np.uint8)
    return PIL.fromarray(np.dstack([values, alpha]))


def is_tiff(content: bytes) -> bool:
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(content: bytes) -> tuple[Wide, int]:
    """The first picture of a TIFF that PIL does not know (unsigned 32 bits, double precision, 16-bit white is zero in
    the other byte order, ...), and its orientation, 1 to 8.

    Raises:
        ValueError: tifffile does not know it either.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages.first
        values, inverted = page.asarray(), page.photometric == _WHITE_IS_ZERO
        turned = page.tags.get(274)
    if values.ndim == 3 and values.shape[0] < min(5, *values.shape[1:]):  # colour by colour
        values = np.moveaxis(values, 0, 2)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 2, 3, 4)):
        raise ValueError(f"a TIFF of shape {values.shape}")
    depth = FLOAT if values.dtype.kind == "f" else 16 if values.itemsize <= 2 else 32
    values = np.atleast_3d(values).astype(np.float64 if depth == FLOAT else np.int64)
    colours = values[..., :3] if values.shape[2] > 2 else values[..., 0]
    alpha = values[..., -1].astype(np.uint16) if values.shape[2] in (2, 4) and depth == 16 else None
    return Wide(colours, alpha, depth, inverted), int(turned.value) if turned else 1
