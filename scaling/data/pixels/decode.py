"""One image, whatever its file holds, to the square uint8 pixels that a model is fed: upright, RGB or grey, 8 bits."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling.data.errors import UnreadableImage
from scaling.data.pixels.depth import Wide, is_tiff, is_wide, read_tiff, read_wide, to_8_bits
from scaling.data.pixels.square import Square, fit_square

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

VERSION = 4  # part of every cache's key: other pixels, refusals or facts from the same file need another number
# What libjpeg says of data that are damaged; its other warnings are of headers, or of files without an end.
_DAMAGE = ("Corrupt JPEG data", "Inconsistent progression", "Invalid SOS")
_ORIENTATION = 0x0112  # of EXIF


@dataclass(frozen=True)
class Seen:
    """What a file holds: its `picture` (RGB, upright, without transparency), the same as an array where that is at
    hand, the depth of its numbers in bits (0: floating point) and the largest of them (0 for 8 bits)."""

    picture: Image
    array: np.ndarray | None
    depth: int = 8
    top: int = 0

    def digest(self) -> np.ndarray:
        """uint64 (2,): equal for equal pixels, whatever file they come from."""
        return pixel_digest(np.asarray(self.picture) if self.array is None else self.array)


def pixel_digest(rgb: np.ndarray) -> np.ndarray:
    """uint64 (2,) of a picture before any resizing: XXH3 (128 bits) over its size and uint8 (height, width, 3)."""
    import xxhash

    state = xxhash.xxh3_128(f"{rgb.shape[1]}x{rgb.shape[0]}".encode())
    state.update(np.ascontiguousarray(rgb).data)
    return np.frombuffer(state.digest(), dtype="<u8")


def _turned(picture: Image, orientation: int | None) -> Image:
    """Turned as its EXIF or XMP says, which cameras and photo managers write instead of turning the pixels."""
    from PIL.Image import Transpose

    turns = (Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM, Transpose.TRANSPOSE)
    turns += (Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90)  # type: ignore[assignment]
    turn = dict(enumerate(turns, 2)).get(orientation or 1)
    return picture if turn is None else picture.transpose(turn)


def _orientation(picture: Image) -> int | None:
    """By EXIF, else by XMP. Metadata that cannot be read are no reason to refuse the pixels."""
    try:
        return picture.getexif().get(_ORIENTATION)
    except Exception:
        return None


def _rgb(picture: Image) -> Image:
    """RGB without transparency: that is laid on white."""
    from PIL import Image as PIL

    if picture.has_transparency_data:
        seen = picture.convert("RGBA")
        picture = PIL.alpha_composite(PIL.new("RGBA", seen.size, (255, 255, 255, 255)), seen)
    return picture.convert("RGB")


def to_square(picture: Image, square: Square) -> np.ndarray:
    """uint8 (channels, size, size) of an RGB picture; grey by its luma."""
    fitted = fit_square(picture if square.channels == 3 else picture.convert("L"), square)
    pixels = np.asarray(fitted)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if square.channels == 3 else pixels[None]


def _decode_jpeg(content: bytes, header: ImageFile) -> np.ndarray | None:
    """A grey or RGB JPEG by libjpeg-turbo's whole decoder, which has PIL's pixels and tells its warnings, which PIL
    passes over: where data are damaged the rest of the picture is grey, or garbage. Detects invalid codes and data
    of the wrong length; a flipped bit may pass.

    Returns:
        uint8 (height, width, 1 or 3), or None where it is left to PIL: other colours, what this way does not know, or
        a file without its end.

    Raises:
        UnreadableImage: the data are damaged.
    """
    import simplejpeg

    if header.format not in ("JPEG", "MPO") or header.mode not in ("L", "RGB"):
        return None
    space = "GRAY" if header.mode == "L" else "RGB"
    try:
        return simplejpeg.decode_jpeg(content, space, fastdct=False, fastupsample=False, strict=True)
    except ValueError as error:
        if str(error).startswith(_DAMAGE):
            raise UnreadableImage(f"damaged: {error}".splitlines()[0]) from error
        return None


def _seen_wide(wide: Wide, square: Square, turn: int | None) -> Seen:
    picture = to_8_bits(wide, square.white_of(wide.depth))
    return Seen(_rgb(_turned(picture, turn)), None, wide.depth, wide.top)


def _see(content: bytes, square: Square) -> Seen:
    from PIL import Image as PIL

    try:
        opened = PIL.open(io.BytesIO(content))
    except PIL.UnidentifiedImageError:
        if not is_tiff(content):
            raise
        wide, stated = read_tiff(content)
        return _seen_wide(wide, square, stated)
    with opened:
        if is_wide(opened):
            wide = read_wide(opened, lambda: PIL.open(io.BytesIO(content)))
            return _seen_wide(wide, square, _orientation(opened))
        array = _decode_jpeg(content, opened)
        if array is None:
            opened.load()
            return Seen(_rgb(_turned(opened, _orientation(opened))), None)
        turn = _orientation(opened)
        picture = _turned(PIL.fromarray(array[..., 0] if opened.mode == "L" else array), turn)
        as_it_is = opened.mode == "RGB" and turn in (None, 1)
        return Seen(picture.convert("RGB"), array if as_it_is else None)


def see(source: str | bytes, square: Square) -> Seen:
    """What the file at a path, or a file's content, holds. Of several frames the first is taken.

    Raises:
        UnreadableImage: the file cannot be opened, is no image, is cut off or damaged, or is larger than PIL dares
            to decode.
    """
    from PIL import Image as PIL

    content = b""
    try:
        content = source if isinstance(source, bytes) else _content(source)
        with warnings.catch_warnings():
            # Below twice PIL's limit a large image only warns, and odd EXIF and palettes warn, too: the pixels decide.
            warnings.simplefilter("ignore")
            return _see(content, square)
    except (MemoryError, UnreadableImage):
        raise
    except FileNotFoundError as error:
        raise UnreadableImage("it is not there") from error
    except PIL.DecompressionBombError as error:
        raise UnreadableImage(f"too large: more than {2 * (PIL.MAX_IMAGE_PIXELS or 0):,} pixels") from error
    except PIL.UnidentifiedImageError as error:
        raise UnreadableImage("not an image" if content else "an empty file") from error
    except Exception as error:  # PIL's plugins raise whatever the broken bytes lead them into
        raise UnreadableImage(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def decode(source: str | bytes, square: Square) -> np.ndarray:
    """uint8 (channels, size, size) of the image in a file.

    Raises:
        UnreadableImage: see `see`.
    """
    return to_square(see(source, square).picture, square)


def decode_array(arrays: np.ndarray, square: Square) -> tuple[np.ndarray, np.ndarray]:
    """Images that come as uint8 (count, height, width) or (count, height, width, 3), brought to the square, and their
    digests, uint64 (count, 2)."""
    from PIL import Image as PIL

    grey = arrays.ndim == 3
    colours = [np.repeat(array[..., None], 3, axis=2) if grey else array for array in arrays]
    digests = np.array([pixel_digest(array) for array in colours], dtype=np.uint64).reshape(-1, 2)
    as_they_are = arrays.shape[1:3] == (square.image_size,) * 2 and square.crop_share == 1
    if as_they_are and square.channels == (1 if grey else 3):
        return np.ascontiguousarray(arrays[:, None] if grey else arrays.transpose(0, 3, 1, 2)), digests
    return np.stack([to_square(PIL.fromarray(array), square) for array in colours]), digests
