"""Parts of a batch's images cut out, or mixed with other images of the batch, by numbers that come from outside."""

from __future__ import annotations

import functools
import math

import torch


def _box(size: int, top: torch.Tensor, left: torch.Tensor, height: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """Whether a pixel lies in each image's box, (batch, 1, size, size); the box may reach over the edge."""
    at = torch.arange(size, device=top.device)
    rows = (at >= top[:, None]) & (at < (top + height)[:, None])
    columns = (at >= left[:, None]) & (at < (left + width)[:, None])
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def erase(images: torch.Tensor, uniform: torch.Tensor, *, share: float, fill: torch.Tensor) -> torch.Tensor:
    """Random erasing (Zhong et al. 2017) of 2 to 33% of the area in a share of the images.

    Args:
        uniform: (5, batch): whether, area, ratio, top, left.
        fill: (1, channels, 1, 1) in [0, 255].
    """
    size = images.shape[-1]
    area = (0.02 + 0.31 * uniform[1]) * size**2
    ratio = torch.exp(math.log(0.3) * (1 - 2 * uniform[2]))
    height, width = (torch.sqrt(x).round().clamp(1, size) for x in (area * ratio, area / ratio))
    top, left = ((u * (size - side + 1)).floor() for u, side in ((uniform[3], height), (uniform[4], width)))
    gone = _box(size, top, left, height, width) & (uniform[0] < share).view(-1, 1, 1, 1)
    return torch.where(gone, fill.to(images.dtype), images)


def cutout(images: torch.Tensor, uniform: torch.Tensor, *, side: float, fill: torch.Tensor) -> torch.Tensor:
    """A square around a random pixel (DeVries and Taylor 2017), `side` of the image's, cut where it leaves the image.

    Args:
        uniform: (2, batch): the centre.
    """
    size = images.shape[-1]
    length = torch.full_like(uniform[0], max(1, round(side * size)))
    top, left = (torch.floor(u * size) - torch.div(length, 2, rounding_mode="floor") for u in uniform)
    return torch.where(_box(size, top, left, length, length), fill.to(images.dtype), images)


@functools.cache
def _beta_quantiles(alpha: float, device: torch.device) -> torch.Tensor:
    """Of the symmetric Beta distribution at 4,097 equal steps of probability; sent to the device once."""
    import numpy as np
    from scipy.special import betaincinv

    return torch.from_numpy(betaincinv(alpha, alpha, np.linspace(0, 1, 4097))).float().to(device)


def beta(uniform: torch.Tensor, alpha: float) -> torch.Tensor:
    """Numbers in [0, 1) to draws of Beta(alpha, alpha), by its quantiles."""
    table = _beta_quantiles(alpha, uniform.device)
    place = uniform * (len(table) - 1)
    below = place.floor().long().clamp(max=len(table) - 2)
    return torch.lerp(table[below], table[below + 1], place - below)


def mix(
    images: torch.Tensor, labels: torch.Tensor, uniform: torch.Tensor, *, mixup: float, cutmix: float, classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixes each image with the one before it in the batch, and the targets alike.

    mixup (Zhang et al. 2017) takes l of the image and 1 - l of the other with l from Beta(mixup, mixup); cutmix (Yun
    et al. 2019) puts a box of 1 - l of the area from the other into it. With both above 0 each image has either.

    Args:
        uniform: (4, batch): which, l, the box's centre.

    Returns:
        images: float32, in [0, 255].
        targets: (batch, classes) shares.
    """
    size = images.shape[-1]
    pixels, other = images.float(), images.roll(1, 0).float()
    one_hot = (labels[:, None] == torch.arange(classes, device=labels.device)).float()
    whole = torch.zeros_like(uniform[0], dtype=torch.bool) if mixup == 0 else uniform[0] < (0.5 if cutmix else 1)
    kept = beta(uniform[1], mixup or 1.0)
    if cutmix:
        half = 0.5 * torch.sqrt(1 - beta(uniform[1], cutmix)) * size
        edges = [((u * size).floor()[:, None] + torch.stack([-half, half], dim=1)).trunc() for u in uniform[2:]]
        (top, bottom), (left, right) = (edge.clamp(0, size).unbind(1) for edge in edges)
        box = _box(size, top, left, bottom - top, right - left)
        kept = torch.where(whole, kept, 1 - (bottom - top) * (right - left) / size**2)
        pasted = torch.where(box, other, pixels)
    result = torch.lerp(other, pixels, kept.view(-1, 1, 1, 1)) if mixup else pasted
    if mixup and cutmix:
        result = torch.where(whole.view(-1, 1, 1, 1), result, pasted)
    return result, kept[:, None] * one_hot + (1 - kept[:, None]) * one_hot.roll(1, 0)
