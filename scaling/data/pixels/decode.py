"""One image, whatever its file holds, to the square uint8 pixels that a model is fed: upright, RGB or grey, 8 bits."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from scaling.data.errors import UnreadableImage

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = 2  # part of every cache's key: other pixels (or refusals) from the same file need another number
_LARGE = 1 << 24  # pixels
# What libjpeg says of data that are damaged; its other warnings are of headers, or of files without an end.
_DAMAGE = ("Corrupt JPEG data", "Inconsistent progression", "Invalid SOS")


def _to_8_bits(picture: Image) -> Image:
    """16-bit grey (PIL's I;16 in both byte orders, and I) as 8 bits: 65,535 becomes 255. PIL itself would clip at 255.

    Raises:
        UnreadableImage: numbers without a known white: floating point, or integers beyond 16 bits.
    """
    from PIL import Image as PIL

    if picture.mode == "F":
        raise UnreadableImage("floating-point pixels have no known white; save it with 8 or 16 bits")
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65_535:
        raise UnreadableImage("32-bit pixels have no known white; save it with 8 or 16 bits")
    return PIL.fromarray(np.round(values / 257).astype(np.uint8))


def _upright(picture: Image) -> Image:
    """Turned as its EXIF orientation says, which cameras write instead of turning the pixels."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # EXIF that cannot be read is no reason to refuse the pixels
        return picture


def to_mode(picture: Image, *, channels: int) -> Image:
    """The upright picture as RGB (3 channels) or grey (1), without transparency: that is laid on white."""
    from PIL import Image as PIL

    picture = _upright(picture)
    if picture.mode[0] in "IF":
        picture = _to_8_bits(picture)
    if picture.has_transparency_data:
        seen = picture.convert("RGBA")
        picture = PIL.alpha_composite(PIL.new("RGBA", seen.size, (255, 255, 255, 255)), seen)
    elif channels == 1 and picture.mode not in ("L", "RGB", "1"):
        picture = picture.convert("RGB")  # there is no direct way from CMYK and others to grey
    return picture.convert("RGB" if channels == 3 else "L")


def fit(picture: Image, image_size: int) -> Image:
    """Short side to `image_size` (bilinear, antialiased), then the centre: torchvision's Resize and CenterCrop."""
    from PIL import Image as PIL

    width, height = picture.size
    if (width, height) == (image_size, image_size):
        return picture
    short = min(width, height)
    if max(width, height) / short * image_size**2 > _LARGE:  # a ribbon: most of it would be made only to be cut off
        left, top = max(0, width - 4 * short) // 2, max(0, height - 4 * short) // 2
        picture = picture.crop((left, top, width - left, height - top))
        width, height = picture.size
    size = (int(image_size * width / short), int(image_size * height / short))
    if size != picture.size:
        picture = picture.resize(size, PIL.Resampling.BILINEAR)
    left, top = round((size[0] - image_size) / 2), round((size[1] - image_size) / 2)
    return picture.crop((left, top, left + image_size, top + image_size))


def _decode_jpeg(path: str, header: Image) -> Image | None:
    """A grey or RGB JPEG by libjpeg-turbo itself: PIL's pixels in half the time, and its warnings, which PIL passes
    over: where data are damaged the rest of the picture is grey, or garbage. It sees codes that cannot be and data
    too short or too long for the picture, not every wrong bit.

    Returns:
        None where it is left to PIL: other colours, what this way does not know, or a file without its end.

    Raises:
        UnreadableImage: the data are damaged.
    """
    import simplejpeg
    from PIL import Image as PIL

    if header.format not in ("JPEG", "MPO") or header.mode not in ("L", "RGB"):
        return None
    with open(path, "rb") as file:
        data = file.read()
    space = "GRAY" if header.mode == "L" else "RGB"
    try:
        pixels = simplejpeg.decode_jpeg(data, space, fastdct=False, fastupsample=False, strict=True)
    except ValueError as error:
        if str(error).startswith(_DAMAGE):
            raise UnreadableImage(f"damaged: {error}".splitlines()[0]) from error
        return None
    picture = PIL.fromarray(pixels[..., 0] if header.mode == "L" else pixels)
    picture.info["exif"] = header.info.get("exif", b"")
    return picture


def decode(path: str, *, image_size: int, channels: int) -> np.ndarray:
    """The image in a file as uint8 (channels, image_size, image_size). Of several frames the first is taken.

    Raises:
        UnreadableImage: the file cannot be opened, is no image, is cut off or damaged, or is larger than PIL dares
            to decode.
    """
    from PIL import Image as PIL

    try:
        with warnings.catch_warnings():
            # Below twice PIL's limit a large image only warns, and odd EXIF and palettes warn, too: the pixels decide.
            warnings.simplefilter("ignore")
            with PIL.open(path) as opened:
                picture = _decode_jpeg(path, opened) or opened
                picture.load()
                square = fit(to_mode(picture, channels=channels), image_size)
    except (MemoryError, UnreadableImage):
        raise
    except PIL.DecompressionBombError as error:
        raise UnreadableImage(f"too large: more than {2 * (PIL.MAX_IMAGE_PIXELS or 0):,} pixels") from error
    except PIL.UnidentifiedImageError as error:
        raise UnreadableImage("not an image" if _has_bytes(path) else "an empty file") from error
    except Exception as error:  # PIL's plugins raise whatever the broken bytes lead them into
        raise UnreadableImage(f"{type(error).__name__}: {error}".splitlines()[0]) from error
    pixels = np.asarray(square)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if channels == 3 else pixels[None]


def decode_array(arrays: np.ndarray, *, image_size: int, channels: int) -> np.ndarray:
    """Images that come as uint8 (count, height, width) or (count, height, width, 3), brought to that shape."""
    from PIL import Image as PIL

    grey = arrays.ndim == 3
    if arrays.shape[1:3] == (image_size, image_size) and channels == (1 if grey else 3):
        return np.ascontiguousarray(arrays[:, None] if grey else arrays.transpose(0, 3, 1, 2))
    squares = [fit(to_mode(PIL.fromarray(array), channels=channels), image_size) for array in arrays]
    stacked = np.stack([np.asarray(square) for square in squares])
    return np.ascontiguousarray(stacked[:, None] if channels == 1 else stacked.transpose(0, 3, 1, 2))


def _has_bytes(path: str) -> bool:
    with open(path, "rb") as file:
        return bool(file.read(1))
