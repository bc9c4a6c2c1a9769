"""The square that every picture is brought to: its size and channels, what is cut off for it, and what is white."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_LARGE = 1 << 24  # pixels


@dataclass(frozen=True)
class Square:
    """The shape that every image is brought to, and how.

    `white` is what the user calls white in pictures with more than 8 bits; None: the largest value that the data
    set has at a depth, which stands in `found` once all files were looked at.
    """

    image_size: int
    channels: int
    fit: str = "crop"
    white: float | None = None
    found: tuple[tuple[int, float], ...] = ()  # white by depth in bits

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.image_size, self.image_size)

    def white_of(self, depth: int) -> float | None:
        """What is white in pictures of a depth (16 or 32 bits); None where nothing says so yet."""
        return self.white if self.white is not None else dict(self.found).get(depth)

    def words(self) -> list[Any]:
        """What of it makes other pixels from the same file. Settings that came later count where they are set."""
        later = [self.fit, self.white] if (self.fit, self.white) != ("crop", None) else []
        return [self.image_size, self.channels, *later]


def fit_square(picture: Image, square: Square) -> Image:
    """A picture at the square's size.

    crop: short side to the size (bilinear, antialiased), then the centre: torchvision's Resize and CenterCrop.
    pad: long side to the size, the rest black. stretch: both sides to the size.
    """
    from PIL import Image as PIL

    size = square.image_size
    if picture.size == (size, size):
        return picture
    if square.fit == "stretch":
        return picture.resize((size, size), PIL.Resampling.BILINEAR)
    return _padded(picture, size) if square.fit == "pad" else _cropped(picture, size)


def _cropped(picture: Image, image_size: int) -> Image:
    from PIL import Image as PIL

    width, height = picture.size
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


def _padded(picture: Image, image_size: int) -> Image:
    from PIL import Image as PIL

    width, height = picture.size
    share = image_size / max(width, height)
    size = (max(1, round(share * width)), max(1, round(share * height)))
    whole = PIL.new(picture.mode, (image_size, image_size))
    corner = ((image_size - size[0]) // 2, (image_size - size[1]) // 2)
    whole.paste(picture.resize(size, PIL.Resampling.BILINEAR), corner)
    return whole
