"""Position embeddings of a grid of tokens: the fixed two-dimensional sines, and the resizing of learned ones."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def sincos_2d(*, grid: int, width: int, prefix: int) -> torch.Tensor:
    """Fixed embeddings (1, prefix + grid**2, width) of MoCo v3 (Chen et al. 2021); zeros for the prefix tokens.

    A quarter of the width each for sin(row), sin(column), cos(row), cos(column), with wavelengths from 2 pi to nearly
    10^4 times that.

    Raises:
        ValueError: four does not divide the width.
    """
    if width % 4:
        raise ValueError(f"pos_embed=sincos needs a width that 4 divides, not {width}")
    frequencies = 10_000.0 ** -(torch.arange(width // 4) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).float()  # (tokens, 2)
    angles = (places[:, :, None] * frequencies).flatten(1)  # (tokens, width / 2)
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    return F.pad(table, (0, 0, prefix, 0))[None]


def resize_pos_embed(
    pos_embed: torch.Tensor,
    *,
    grid: int,
    prefix: int,
    mode: str = "bicubic",
    antialias: bool = True,
    align_corners: bool = False,
) -> torch.Tensor:
    """Learned embeddings (1, prefix + old_grid**2, width) interpolated to another grid; prefix tokens are not touched.

    This is how the ViT paper fine-tunes at a higher resolution (section 3.2). The defaults are timm's; torchvision's
    are bicubic, and the original JAX code's bilinear, both with `align_corners=True, antialias=False`. At the same
    grid the embeddings are returned as they are.

    Raises:
        ValueError: the old tokens are no square grid.
    """
    old = math.isqrt(pos_embed.shape[1] - prefix)
    if old**2 != pos_embed.shape[1] - prefix:
        raise ValueError(f"{pos_embed.shape[1] - prefix} position embeddings are no square grid")
    if old == grid:
        return pos_embed
    table = pos_embed[:, prefix:].float().reshape(1, old, old, -1).permute(0, 3, 1, 2)
    corners = True if align_corners else None
    table = F.interpolate(table, size=(grid, grid), mode=mode, align_corners=corners, antialias=antialias)
    table = table.permute(0, 2, 3, 1).flatten(1, 2).to(pos_embed.dtype)
    return torch.cat([pos_embed[:, :prefix], table], dim=1)
