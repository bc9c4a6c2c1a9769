"""Batched augmentation on the device: a few random numbers for each image, a handful of kernels for each batch.

The numbers are drawn on the CPU and given in, so that every device sees the same ones. In this order: which window of
the image, RandAugment or TrivialAugment, what is cut out, and which image is mixed in (then the targets are shares).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from scaling.data.batches import auto_augment
from scaling.data.batches.cut_and_mix import cutout, erase, mix

if TYPE_CHECKING:
    from scaling.config import DataConfig


def _reflect(places: torch.Tensor, count: int) -> torch.Tensor:
    """Places beyond an edge of `count` pixels, mirrored at the outermost one (which is not repeated)."""
    return (count - 1) - ((count - 1) - places.abs()).abs()


def flip_crop(images: torch.Tensor, uniform: torch.Tensor, *, padding: int, flip: bool = True) -> torch.Tensor:
    """Random crop after reflection padding, and a random horizontal flip.

    Args:
        images: (batch, channels, height, width), any dtype.
        uniform: (3, batch) numbers in [0, 1), drawn on the CPU so that they are the same on every device.
    """
    batch, channels, height, width = images.shape
    top, left = (uniform[:2] * (2 * padding + 1)).long() - padding
    along, across = (torch.arange(side, device=images.device) for side in (height, width))
    if flip:
        across = torch.where(uniform[2, :, None] < 0.5, across, across.flip(0))  # (batch, width)
    rows, columns = _reflect(top[:, None] + along, height), _reflect(left[:, None] + across, width)
    # Whole lines are taken first, then columns within them: a fifth of the time of padding and taking single pixels.
    planes = torch.arange(batch * channels, device=images.device).view(batch, channels, 1)
    lines = images.reshape(-1, width).index_select(0, (planes * height + rows[:, None, :]).flatten())
    columns = columns[:, None, :].expand(batch, channels * height, width)
    return lines.view(batch, channels * height, width).gather(2, columns).view(images.shape)


def resized_crop(images: torch.Tensor, uniform: torch.Tensor, *, least: float) -> torch.Tensor:
    """A random window of `least` to all of the area and 3/4 to 4/3 of the sides' ratio, brought to full size, flipped.

    As torchvision's RandomResizedCrop with bilinear interpolation (a window of the image itself is only ever enlarged,
    for which antialiasing changes nothing), except that a window that does not fit is cut instead of drawn again.

    Args:
        images: uint8 (batch, channels, size, size).
        uniform: (5, batch): top, left, flip, area, ratio.
    """
    size = images.shape[-1]
    area = least + (1 - least) * uniform[3]
    ratio = torch.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * uniform[4])
    height, width = ((size * torch.sqrt(x)).round().clamp(1, size) for x in (area / ratio, area * ratio))
    top, left = ((u * (size - side + 1)).floor() for u, side in ((uniform[0], height), (uniform[1], width)))
    along = torch.arange(size, device=images.device)
    across = torch.where(uniform[2, :, None] < 0.5, along, along.flip(0))

    def places(start: torch.Tensor, side: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """Where each output pixel lies in the input, (batch, size), in grid_sample's coordinates."""
        inside = ((at + 0.5) * side[:, None] / size - 0.5).clamp(min=0)
        pixel = start[:, None] + torch.minimum(inside, side[:, None] - 1)
        return (2 * pixel + 1) / size - 1

    y, x = places(top, height, along), places(left, width, across)
    grid = torch.stack([x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=3)
    return F.grid_sample(images.float(), grid, align_corners=False).round().clamp(0, 255).to(images.dtype)


@dataclass(frozen=True)
class Augment:
    """What happens to a batch on its way to the model. `draws` numbers are needed for each image."""

    window: str = "none"  # or flip, crop, flip_crop, resized_crop
    crop_area: float = 0.08
    auto: str = "none"  # or trivial, rand
    rand_layers: int = 2
    rand_magnitude: int = 9
    erase: float = 0.0
    cutout: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    num_classes: int = 0
    fill: torch.Tensor | None = None  # (1, channels, 1, 1) in [0, 1]: what is cut out becomes the mean

    @property
    def layers(self) -> int:
        return {"none": 0, "trivial": 1, "rand": self.rand_layers}[self.auto]

    @property
    def draws(self) -> int:
        return sum(self._parts())

    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, uniform: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(images, targets) from uint8 images (batch, channels, size, size), labels (batch,), numbers (draws, batch).

        Targets are the labels, or shares (batch, classes) where images are mixed.
        """
        numbers = iter(uniform.split(self._parts()))
        images = self._look_through(images, next(numbers))
        for _ in range(self.layers):
            magnitude = self.rand_magnitude if self.auto == "rand" else None
            images = auto_augment.auto_augment(images, next(numbers), kind=self.auto, magnitude=magnitude)
        if self.erase > 0:
            images = erase(images, next(numbers), share=self.erase, fill=self._fill())
        if self.cutout > 0:
            images = cutout(images, next(numbers), side=self.cutout, fill=self._fill())
        if self.mixup > 0 or self.cutmix > 0:
            mixed = dict(mixup=self.mixup, cutmix=self.cutmix)
            return mix(images, labels, next(numbers), classes=self.num_classes, **mixed)
        return images, labels

    def _parts(self) -> list[int]:
        """The window has three numbers, used or not: those of runs with nothing else stay what they always were."""
        parts = [5 if self.window == "resized_crop" else 3, *[auto_augment.DRAWN_PER_LAYER] * self.layers]
        parts += [5] * (self.erase > 0) + [2] * (self.cutout > 0)
        return parts + [4] * (self.mixup > 0 or self.cutmix > 0)

    def _fill(self) -> torch.Tensor:
        assert self.fill is not None
        return (255 * self.fill).round()

    def _look_through(self, images: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        if self.window == "none":
            return images
        if self.window == "resized_crop":
            return resized_crop(images, uniform, least=self.crop_area)
        padding = 0 if self.window == "flip" else max(1, images.shape[-1] // 8)
        return flip_crop(images, uniform, padding=padding, flip=self.window != "crop")


def make_augment(config: DataConfig, *, num_classes: int, fill: torch.Tensor) -> Augment:
    """The augmentation of a config; `fill` is the training images' mean, (1, channels, 1, 1) in [0, 1]."""
    return Augment(
        window=config.augment,
        crop_area=config.crop_area,
        auto=config.auto_augment,
        rand_layers=config.rand_layers,
        rand_magnitude=config.rand_magnitude,
        erase=config.erase,
        cutout=config.cutout,
        mixup=config.mixup,
        cutmix=config.cutmix,
        num_classes=num_classes,
        fill=fill,
    )
