"""Batched augmentation on the device: one random draw per image, a handful of kernels per batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

AUGMENTATIONS = ("none", "flip_crop")


def flip_crop(images: torch.Tensor, generator: torch.Generator, *, padding: int) -> torch.Tensor:
    """Random horizontal flip and random crop after reflection padding.

    Args:
        images: (batch, channels, height, width), any dtype.
        generator: lives on the CPU, so that the draws are the same on every device.
    """
    batch, _, height, width = images.shape
    draws = torch.rand((3, batch), generator=generator)
    top, left = (draws[:2] * (2 * padding + 1)).long()
    columns = torch.arange(width)
    columns = torch.where(draws[2, :, None] < 0.5, columns, columns.flip(0))  # (batch, width)
    rows = (top[:, None] + torch.arange(height)).to(images.device)
    columns = (left[:, None] + columns).to(images.device)
    padded = F.pad(images.float(), (padding,) * 4, mode="reflect").to(images.dtype)
    index = torch.arange(batch, device=images.device)[:, None, None]
    channels_last = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return channels_last.permute(0, 3, 1, 2)


def augment(images: torch.Tensor, generator: torch.Generator, *, name: str) -> torch.Tensor:
    if name == "none":
        return images
    return flip_crop(images, generator, padding=max(1, images.shape[-1] // 8))
