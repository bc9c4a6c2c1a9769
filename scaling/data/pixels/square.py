"""The square that every picture is brought to: its size and channels, what is cut off for it, and what is white."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

_LARGE = 1 << 24  # pixels


@dataclass(frozen=True)
class Square:
    """The shape that every image is brought to, and how.

    `white` is what the user calls white in pictures with more than 8 bits; None: the largest value that the data
    set has at a depth, which stands in `found` once all files were looked at. `resize` is the filter, and `crop_share`
    the share of the short side that a centre crop keeps.
    """

    image_size: int
    channels: int
    fit: str = "crop"
    white: float | None = None
    found: tuple[tuple[int, float], ...] = ()  # white by depth in bits
    resize: str = "bilinear"
    crop_share: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.image_size, self.image_size)

    def white_of(self, depth: int) -> float | None:
        """What is white in pictures of a depth (16 or 32 bits); None where nothing says so yet."""
        return self.white if self.white is not None else dict(self.found).get(depth)

    def words(self) -> list[Any]:
        """What of it makes other pixels from the same file. Settings that came later count where they are set."""
        later = [self.fit, self.white] if (self.fit, self.white) != ("crop", None) else []
        made = [self.resize, self.crop_share] if (self.resize, self.crop_share) != ("bilinear", 1.0) else []
        return [self.image_size, self.channels, *later, *made]


def fit_square(picture: Image, square: Square) -> Image:
    """A picture at the square's size.

    crop: short side to the size (antialiased), then the centre: torchvision's Resize and CenterCrop; with a crop share
    below 1 to the size / share, as timm does it. pad: long side to the size, the rest black. stretch: both sides.
    """
    from PIL import Image as PIL

    size = square.image_size
    if picture.size == (size, size) and (square.fit != "crop" or square.crop_share == 1):
        return picture
    how = PIL.Resampling[square.resize.upper()]
    if square.fit == "stretch":
        return picture.resize((size, size), how)
    if square.fit == "pad":
        return _padded(picture, size, how)
    return _cropped(picture, size, math.floor(size / square.crop_share + 1e-6), how)


def _cropped(picture: Image, image_size: int, to: int, how: Resampling) -> Image:
    """The centre of a picture whose short side is brought to `to` first."""
    width, height = picture.size
    short = min(width, height)
    if max(width, height) / short * to**2 > _LARGE:  # a ribbon: most of it would be made only to be cut off
        left, top = max(0, width - 4 * short) // 2, max(0, height - 4 * short) // 2
        picture = picture.crop((left, top, width - left, height - top))
        width, height = picture.size
    size = (int(to * width / short), int(to * height / short))
    if size != picture.size:
        picture = picture.resize(size, how)
    left, top = round((size[0] - image_size) / 2), round((size[1] - image_size) / 2)
    return picture.crop((left, top, left + image_size, top + image_size))


def _padded(picture: Image, image_size: int, how: Resampling) -> Image:
    from PIL import Image as PIL

    width, height = picture.size
    share = image_size / max(width, height)
    size = (max(1, round(share * width)), max(1, round(share * height)))
    whole = PIL.new(picture.mode, (image_size, image_size))
    corner = ((image_size - size[0]) // 2, (image_size - size[1]) // 2)
    whole.paste(picture.resize(size, how), corner)
    return whole
