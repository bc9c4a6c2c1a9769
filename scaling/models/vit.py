"""The Vision Transformer of Dosovitskiy et al. (2021, arXiv 2010.11929): pre-norm, any width, depth and patch size.

Words and weight names as in timm: patch_embed, cls_token, pos_embed, blocks, norm, head. Shapes: (batch, tokens,
width).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from scaling.config.model_config import POOLS, POS_EMBEDS
from scaling.models.devices import plain_attention
from scaling.models.positions import sincos_2d

# The published sizes: B, L, H of the paper's table 1, Ti and S of DeiT (Touvron et al. 2021), mu of big_vision. Patch
# sizes are free; MLPs are four widths wide. conf/model/vit_*.yaml holds the same numbers.
SIZES = {
    "mu": dict(width=32, depth=1, heads=2),
    "ti": dict(width=192, depth=12, heads=3),
    "s": dict(width=384, depth=12, heads=6),
    "b": dict(width=768, depth=12, heads=12),
    "l": dict(width=1024, depth=24, heads=16),
    "h": dict(width=1280, depth=32, heads=16),
}


class PatchEmbed(nn.Module):
    """Cuts an image into P x P patches and projects each linearly: a convolution of stride P, done as one matmul."""

    def __init__(self, *, patch_size: int, channels: int, width: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Linear(patch_size**2 * channels, width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = images.shape
        p = self.patch_size
        x = images.reshape(batch, channels, height // p, p, width // p, p)
        x = x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (batch, tokens, channels * p * p)
        return self.proj(x)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """softmax(q k' / sqrt(d)) v for (batch, heads, tokens, d).

    The fused kernel, except where `devices` says otherwise: in bf16 on a CPU its backward is slow, and two
    matmuls are 2 to 3 times as fast (measured with AVX-512 bf16 and with AMX; in fp32 the fused one is the faster).
    """
    if plain_attention(q.device, q.dtype):
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        return scores.softmax(dim=-1) @ v
    return F.scaled_dot_product_attention(q, k, v)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Queries, keys and values, each (batch, heads, tokens, head width)."""
        batch, tokens, width = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads)
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(attend(*self.split(x)).transpose(1, 2).reshape(x.shape))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()  # identity draws no random numbers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): a branch is left out for whole images, and scaled up where it is kept."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), 1, 1, device=x.device) >= self.rate
        return x * (kept.to(x.dtype) / (1 - self.rate))


class Block(nn.Module):
    def __init__(
        self, width: int, heads: int, mlp_ratio: float, *, dropout: float = 0.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, int(width * mlp_ratio), dropout)
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path(self.drop(self.attn(self.norm1(x))))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class AttentionPool(nn.Module):
    """MAP: one learned query attends to all tokens, then an MLP (Zhai et al. 2022, as in big_vision's ViT)."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.heads = heads
        self.latent = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, int(width * mlp_ratio), 0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q = self.q(self.latent.expand(batch, -1, -1)).view(batch, 1, self.heads, width // self.heads).transpose(1, 2)
        kv = self.kv(x).view(batch, tokens, 2, self.heads, width // self.heads)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)  # (batch, heads, tokens, head width)
        x = self.proj(attend(q, k, v).transpose(1, 2).reshape(batch, width))
        return x + self.mlp(self.norm(x))


class ViT(nn.Module):
    """Logits (batch, num_classes) from images (batch, channels, image_size, image_size).

    `pool`: "cls" (the head reads the class token after the last norm), "mean" (no class token; the head reads the mean
    of the patch tokens) or "map" (no class token; attention pooling). `pos_embed`: "learned" (independent normals of
    deviation `pos_embed_std` at first: .02 is the paper's; small images and short runs want more, LAB.md), "sincos"
    (fixed) or "none". `drop_path` is the rate of the last block, rising linearly from 0 at the first.
    """

    def __init__(
        self,
        *,
        image_size: int,
        channels: int,
        num_classes: int,
        patch_size: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float = 4.0,
        pool: str = "cls",
        pos_embed: str = "learned",
        pos_embed_std: float = 0.02,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"patch_size={patch_size} does not divide image_size={image_size}")
        if width % heads:
            raise ValueError(f"heads={heads} does not divide width={width}")
        if pool not in POOLS:
            raise ValueError(f"pool={pool!r} is not one of {', '.join(POOLS)}")
        if pos_embed not in POS_EMBEDS:
            raise ValueError(f"pos_embed={pos_embed!r} is not one of {', '.join(POS_EMBEDS)}")
        self.grid, self.prefix, self.pool = image_size // patch_size, int(pool == "cls"), pool
        self.patch_embed = PatchEmbed(patch_size=patch_size, channels=channels, width=width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if pool == "cls" else None
        self.pos_embed: torch.Tensor | None
        if pos_embed == "learned":
            self.pos_embed = nn.Parameter(pos_embed_std * torch.randn(1, self.prefix + self.grid**2, width))
        else:
            table = sincos_2d(grid=self.grid, width=width, prefix=self.prefix) if pos_embed == "sincos" else None
            self.register_buffer("pos_embed", table, persistent=False)
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.Sequential(
            *(Block(width, heads, mlp_ratio, dropout=dropout, drop_path=rate) for rate in rates)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.attn_pool = AttentionPool(width, heads, mlp_ratio) if pool == "map" else None
        self.head = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.head.weight)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """What the first block reads: (batch, tokens, width), the class token first where there is one."""
        x = self.patch_embed(images)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        return self.drop(x if self.pos_embed is None else x + self.pos_embed)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.blocks(self.embed(images)))
        if self.attn_pool is not None:
            return self.head(self.attn_pool(x))
        return self.head(x[:, 0] if self.pool == "cls" else x.mean(dim=1))
