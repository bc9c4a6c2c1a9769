"""RandAugment and TrivialAugment on a batch: another operation for every image, chosen by numbers from outside.

The operations, their strengths and their rounding are torchvision's (transforms.v2, nearest pixel, black outside),
which itself applies one operation to a whole batch. On the CPU each operation sees only its own images; on other
devices it sees all of them, so that nothing has to wait for the device to say which.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F

BINS = 31  # steps of strength, as in both papers
ROWS_ARE_KNOWN_ON = ("cpu",)  # devices that need not be waited for to learn which images an operation is for
DRAWN_PER_LAYER = 3  # numbers for each image and layer: operation, strength, sign
Operation = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # images, strength (batch,) -> images


def _affine(images: torch.Tensor, rows: tuple[torch.Tensor | float, ...]) -> torch.Tensor:
    """Moves pixels: `rows` are the six entries that take a place in the output to one in the input, centre (0, 0)."""
    entries = [
        e if isinstance(e, torch.Tensor) else torch.full_like(images[:, 0, 0, 0], e, dtype=torch.float32) for e in rows
    ]
    theta = torch.stack(entries, dim=1).view(-1, 2, 3).float()
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, mode="nearest", align_corners=False).to(images.dtype)


def _blend(images: torch.Tensor, other: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """1 + strength times the image and -strength times another one; torchvision cuts the fraction off."""
    factor = (1 + strength).view(-1, 1, 1, 1)
    return (images * factor + other * (1 - factor)).clamp(0, 255).to(images.dtype)


def _grey(images: torch.Tensor) -> torch.Tensor:
    from torchvision.transforms.v2 import functional

    return functional.rgb_to_grayscale(images) if images.shape[1] == 3 else images


def _rotate(images: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    angle = torch.deg2rad(degrees)
    cosine, sine = angle.cos(), angle.sin()
    return _affine(images, (cosine, -sine, 0.0, sine, cosine, 0.0))


def _posterize(images: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    mask = 256 - 2 ** (8 - bits)
    return images & mask.to(torch.uint8).view(-1, 1, 1, 1)


def _solarize(images: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    return torch.where(images >= threshold.view(-1, 1, 1, 1), 255 - images, images)


def _autocontrast(images: torch.Tensor) -> torch.Tensor:
    """Every channel from its darkest to its brightest value; torchvision's asks the device which ones are flat."""
    x = images.float()
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    flat, scale = low == high, (high - low) * (1 / 255)
    x = (x - low.masked_fill(flat, 0)) / scale.masked_fill(flat, 1)
    return x.clamp(0, 255).to(images.dtype)


@functools.cache
def operations() -> dict[str, Operation]:
    """By torchvision's names. A shift by one pixel is 2 / size in the coordinates of `_affine`."""
    from torchvision.transforms.v2 import functional

    return {
        "Identity": lambda x, s: x,
        "ShearX": lambda x, s: _affine(x, (1.0, s, s, 0.0, 1.0, 0.0)),  # about the upper left corner
        "ShearY": lambda x, s: _affine(x, (1.0, 0.0, 0.0, s, 1.0, s)),
        "TranslateX": lambda x, s: _affine(x, (1.0, 0.0, -2 * s.trunc() / x.shape[3], 0.0, 1.0, 0.0)),
        "TranslateY": lambda x, s: _affine(x, (1.0, 0.0, 0.0, 0.0, 1.0, -2 * s.trunc() / x.shape[2])),
        "Rotate": _rotate,
        "Brightness": lambda x, s: _blend(x, torch.zeros_like(x), s),
        "Color": lambda x, s: _blend(x, _grey(x), s),
        "Contrast": lambda x, s: _blend(x, _grey(x).float().mean((1, 2, 3), keepdim=True), s),
        "Sharpness": lambda x, s: _blend(x, functional.adjust_sharpness(x, 0.0), s),
        "Posterize": _posterize,
        "Solarize": _solarize,
        "AutoContrast": lambda x, s: _autocontrast(x),
        "Equalize": lambda x, s: functional.equalize(x),
    }


@functools.cache
def _strengths_on(device: torch.device, kind: str, image_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`strengths` on a device, sent there once: a host that sends something waits for it."""
    table, signed = strengths(kind, image_size)
    return table.to(device), signed.to(device)


def strengths(kind: str, image_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(operations, BINS) strengths in the order of `operations`, and whether each (operations,) may be negative."""
    wide = kind == "trivial"
    up = torch.linspace(0, 1, BINS)
    zero = torch.zeros(BINS)
    shear, turn, change = (0.99, 135.0, 0.99) if wide else (0.3, 30.0, 0.9)
    shift = 32.0 if wide else 150 / 331 * image_size
    bits = (8 - torch.arange(BINS) / ((BINS - 1) / (6 if wide else 4))).round()
    level = 255 * torch.linspace(1, 0, BINS)  # pixels from here on are inverted
    moves = [up * shear, up * shear, up * shift, up * shift, up * turn]
    rows = [zero, *moves, *[up * change] * 4, bits, level, zero, zero]
    signed = torch.tensor([0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0], dtype=torch.bool)
    return torch.stack(rows), signed


def apply_operations(images: torch.Tensor, operation: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Applies to each of the uint8 images (batch, channels, size, size) the operation of its number (batch,)."""
    result = images.clone()
    for number, apply in enumerate(operations().values()):
        mask = operation == number
        if images.device.type in ROWS_ARE_KNOWN_ON:
            rows = mask.nonzero()[:, 0]
            if len(rows):
                result[rows] = apply(images[rows], strength[rows])
        else:
            result = torch.where(mask.view(-1, 1, 1, 1), apply(images, strength), result)
    return result


def auto_augment(
    images: torch.Tensor, uniform: torch.Tensor, *, kind: str, magnitude: int | None = None
) -> torch.Tensor:
    """One layer of TrivialAugment (kind "trivial": any strength) or RandAugment ("rand": strength `magnitude`).

    Args:
        images: uint8 (batch, 1 or 3, size, size).
        uniform: (3, batch) numbers in [0, 1).
    """
    table, signed = _strengths_on(images.device, kind, images.shape[-1])
    operation = (uniform[0] * len(table)).long()
    step = torch.full_like(operation, magnitude) if magnitude is not None else (uniform[1] * BINS).long()
    strength = table[operation, step]
    strength = torch.where(signed[operation] & (uniform[2] < 0.5), -strength, strength)
    return apply_operations(images, operation, strength)
