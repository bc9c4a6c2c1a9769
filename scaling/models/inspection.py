"""What a trained model learned, as numbers: filters, position embeddings and attention, in the image's own coordinates.

Attention is read by a pass of its own, so that training stores nothing. Places are (row, column) of each patch in the
original image: where `data.locality` has moved patches, they say where each token's pixels come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from scaling.models.vit import ViT


@dataclass(frozen=True)
class Inspected:
    """What is looked at in a ViT, ours or timm's: `grid` patches a side, `prefix` tokens before the patches' own."""

    model: nn.Module
    grid: int
    prefix: int
    patch_size: int
    projection: np.ndarray  # (width, channels * patch_size**2)
    positions: np.ndarray | None  # (grid**2, width), without those of the prefix
    class_token: bool  # the answer is read from the first token, not from the patches' mean


def inspected(model: nn.Module) -> Inspected | None:
    """What is looked at in a model; None if it is no ViT whose every block attends from all tokens to all."""
    if isinstance(model, ViT):
        weight = model.patch_embed.proj.weight
        known = model.grid, model.prefix, model.patch_embed.patch_size
        positions, class_token = model.pos_embed, model.pool == "cls"
    elif type(model).__name__ == "VisionTransformer" and type(model).__module__.startswith("timm."):
        embed: Any = model.patch_embed
        sides, patches = embed.grid_size, embed.patch_size
        if sides[0] != sides[1] or patches[0] != patches[1] or not hasattr(embed.proj, "weight"):
            return None
        weight = embed.proj.weight.flatten(1)
        known = sides[0], int(model.num_prefix_tokens), patches[0]  # type: ignore[arg-type]
        positions, class_token = getattr(model, "pos_embed", None), model.global_pool == "token"
    else:
        return None
    table = None if positions is None else positions.detach()[0, -(known[0] ** 2) :].double().numpy()
    return Inspected(model, *known, weight.detach().numpy(), table, class_token)


def grid_places(grid: int) -> np.ndarray:
    """(row, column) of every patch of a square grid, row by row: (grid**2, 2)."""
    return np.stack(np.divmod(np.arange(grid**2), grid), axis=1)


def principal_filters(weight: np.ndarray, *, count: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of a patch projection's filters, as in figure 7 of the ViT paper.

    Args:
        weight: (width, inputs), one row for each filter.
        count: how many; 28 are shown in the paper. There are at most min(width, inputs).

    Returns:
        components (k, inputs) of length 1, and the share of the filters' variance that each explains (k,).
    """
    centred = weight - weight.mean(axis=0)
    _, scales, components = np.linalg.svd(centred, full_matrices=False)
    power = scales**2
    share = power / power.sum() if power.sum() > 0 else power
    return components[:count], share[:count]


def cosine_similarity(vectors: np.ndarray) -> np.ndarray:
    """Cosine of every pair of rows: (tokens, tokens) from (tokens, width)."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T


@dataclass(frozen=True, kw_only=True)
class PositionScore:
    """How far position embeddings know their row and column, against embeddings that were dealt out at random."""

    same: float  # mean cosine of different tokens in one row or column
    elsewhere: float
    difference: float  # same - elsewhere
    null_mean: float  # of the difference over the permutations
    null_high: float  # its 95% quantile
    p_value: float  # share of permutations (with the embeddings as they are among them) whose difference is as large
    permutations: int


def position_score(
    similarity: np.ndarray, places: np.ndarray, *, permutations: int = 1000, seed: int = 0
) -> PositionScore | None:
    """The score of a (tokens, tokens) similarity; None where no pair is in different rows and columns (one patch)."""
    together = (places[:, None, :] == places[None, :, :]).any(axis=-1)
    apart = ~together
    np.fill_diagonal(together, False)
    if not apart.any():
        return None

    def difference(order: np.ndarray) -> tuple[float, float]:
        shuffled = similarity[order][:, order]
        return float(shuffled[together].mean()), float(shuffled[apart].mean())

    same, elsewhere = difference(np.arange(len(places)))
    rng = np.random.default_rng(seed)
    pairs = [difference(rng.permutation(len(places))) for _ in range(permutations)]
    null = np.array([inside - outside for inside, outside in pairs])
    reached = int((null >= same - elsewhere - 1e-9).sum())
    return PositionScore(
        same=same,
        elsewhere=elsewhere,
        difference=same - elsewhere,
        null_mean=float(null.mean()),
        null_high=float(np.quantile(null, 0.95)),
        p_value=(1 + reached) / (1 + permutations),
        permutations=permutations,
    )


def attention_distance(attention: np.ndarray, places: np.ndarray, *, patch_size: int) -> np.ndarray:
    """Mean distance in pixels between a query patch and what it attends to (ViT paper, appendix D.7).

    Args:
        attention: (..., tokens, tokens) over patch tokens; each row is scaled to sum 1, since attention to a class
            token has no distance and was left out.
        places: (tokens, 2) in patches; `patch_size` in pixels. Distances are between the patches' centres.

    Returns:
        (...,), the mean over queries.
    """
    offsets = places[:, None, :] - places[None, :, :]
    distance = patch_size * np.sqrt((offsets**2).sum(axis=-1))  # (tokens, tokens)
    weights = attention / attention.sum(axis=-1, keepdims=True)
    return (weights * distance).sum(axis=-1).mean(axis=-1)


def rollout(attention: np.ndarray) -> np.ndarray:
    """Attention rollout (Abnar & Zuidema 2020): heads averaged, half the identity added for the residual, multiplied
    through the layers. (tokens, tokens), rows sum to 1, from (depth, heads, tokens, tokens)."""
    tokens = attention.shape[-1]
    flow = np.eye(tokens)
    for layer in attention.mean(axis=1):
        flow = (0.5 * layer + 0.5 * np.eye(tokens)) @ flow
    return flow


@torch.inference_mode()
def attention_maps(model: nn.Module, images: torch.Tensor) -> np.ndarray:
    """Every block's attention, (depth, batch, heads, tokens, tokens), the class token first where there is one.

    Args:
        model: one of which `inspected` says what it has.
        images: inputs as the model expects them.
    """
    model.eval()
    if not isinstance(model, ViT):
        return _attention_of_timm(model, images)
    x, maps = model.embed(images), []
    for block in model.blocks:
        q, k, _ = block.attn.split(block.norm1(x))  # type: ignore[operator]
        maps.append(((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1).double().numpy())
        x = block(x)
    return np.stack(maps)


def _attention_of_timm(model: nn.Module, images: torch.Tensor) -> np.ndarray:
    """The same of timm's ViTs, whose unfused attention passes its softmax through `attn_drop`."""
    maps: list[np.ndarray] = []
    attentions: list[Any] = [block.attn for block in model.blocks]  # type: ignore[union-attr]
    fused = [attention.fused_attn for attention in attentions]
    hooks = [
        a.attn_drop.register_forward_hook(lambda _, __, out: maps.append(out.double().numpy())) for a in attentions
    ]
    try:
        for attention in attentions:
            attention.fused_attn = False
        model(images)
    finally:
        for attention, hook, was in zip(attentions, hooks, fused, strict=True):
            attention.fused_attn = was
            hook.remove()
    return np.stack(maps)
