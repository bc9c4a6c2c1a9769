"""Batched augmentation on the device: one random draw per image, a handful of kernels per batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

AUGMENTATIONS = ("none", "flip_crop")


def flip_crop(images: torch.Tensor, uniform: torch.Tensor, *, padding: int) -> torch.Tensor:
    """Random horizontal flip and random crop after reflection padding.

    Args:
        images: (batch, channels, height, width), any dtype.
        uniform: (3, batch) numbers in [0, 1), drawn on the CPU so that they are the same on every device.
    """
    batch, _, height, width = images.shape
    top, left = (uniform[:2] * (2 * padding + 1)).long()
    columns = torch.arange(width, device=images.device)
    columns = torch.where(uniform[2, :, None] < 0.5, columns, columns.flip(0))  # (batch, width)
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + columns
    padded = F.pad(images.float(), (padding,) * 4, mode="reflect").to(images.dtype)
    index = torch.arange(batch, device=images.device)[:, None, None]
    channels_last = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return channels_last.permute(0, 3, 1, 2)


def augment(images: torch.Tensor, uniform: torch.Tensor, *, name: str) -> torch.Tensor:
    """The augmentation of that name; `uniform` (3, batch) is all the chance that goes in."""
    if name == "none":
        return images
    return flip_crop(images, uniform, padding=max(1, images.shape[-1] // 8))
