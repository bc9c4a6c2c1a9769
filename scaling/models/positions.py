"""Position embeddings of a grid of tokens: the fixed two-dimensional sines, and the resizing of learned ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

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


def _prefix_tokens(old: int, new: int) -> int | None:
    """How many tokens come before two square grids of so many tokens in all; None if no number fits."""
    return next((p for p in range(6) if all(math.isqrt(t - p) ** 2 == t - p for t in (old, new) if t > p)), None)


def resized_tables(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tables of positions in `state` that have another size in a model of timm, brought to that of `own`.

    timm itself resizes those of the models that it has fine-tuned at other sizes; these are the rest: absolute tables
    with whatever tokens come first, maps, and relative ones, whose rows are distances.
    """
    found = {}
    for key, table in state.items():
        to = own[key].shape if key in own else table.shape
        kinds = ("pos_embed", "rel_pos_", "attention_biases", "relative_position_bias_table")
        if table.shape != to and table.ndim == len(to) and any(kind in key for kind in kinds):
            resized = _resized_table(key.rpartition(".")[2], table, to)
            if resized is not None:
                found[key] = resized.to(table.dtype)
    return found


def _resized_table(name: str, table: torch.Tensor, to: torch.Size) -> torch.Tensor | None:
    values, how = table.float(), dict(mode="bicubic", antialias=True)
    if name.endswith(("_rel", "rel_pos_h", "rel_pos_w")):  # (distances along an axis, width)
        return F.interpolate(values.T[None], size=to[0], mode="linear", align_corners=True)[0].T
    if name == "relative_position_bias_table":  # (distances along both axes, heads)
        from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple

        side = (math.isqrt(to[0]) + 1) // 2
        return resize_rel_pos_bias_table_simple(values, (side, side), tuple(to))
    if name == "attention_biases":  # (heads, absolute distances along both axes)
        old, new = math.isqrt(table.shape[1]), math.isqrt(to[1])
        if old**2 != table.shape[1] or new**2 != to[1]:
            return None
        grid = F.interpolate(values.view(1, -1, old, old), size=(new, new), mode="bicubic", align_corners=True)
        return grid.flatten(2)[0]
    if table.ndim == 4 and table.shape[1] == to[1] and table.shape[3] != to[3]:  # (1, width, rows, columns)
        return F.interpolate(values, size=to[2:], **how)  # type: ignore[arg-type]
    if table.ndim == 4 and table.shape[1] == to[1]:  # (1, blocks, tokens, width)
        return torch.stack([_resized_tokens(block, to[2]) for block in values[0]])[None]
    if table.ndim == 4:  # (1, rows, columns, width)
        grid = F.interpolate(values.permute(0, 3, 1, 2), size=to[1:3], **how)  # type: ignore[arg-type]
        return grid.permute(0, 2, 3, 1)
    tokens = to[-2]
    if _prefix_tokens(table.shape[-2], tokens) is None:
        return None
    return _resized_tokens(values, tokens) if table.ndim == 2 else _resized_tokens(values[0], tokens)[None]


def _resized_tokens(table: torch.Tensor, tokens: int) -> torch.Tensor:
    """(tokens, width) from a table of another number of tokens."""
    prefix = _prefix_tokens(len(table), tokens)
    if prefix is None:
        return table
    return resize_pos_embed(table[None], grid=math.isqrt(tokens - prefix), prefix=prefix)[0]
