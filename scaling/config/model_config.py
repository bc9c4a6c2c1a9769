"""What describes a model: the settings under `model`, and which of them count for a cell's identity. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scaling.config.setting import declare, hashed

POOLS = ("cls", "mean", "map")
SOURCES = ("scaling", "bit", "torchvision", "timm")
POS_EMBEDS = ("learned", "sincos", "none")
ARCHITECTURE = ("width", "depth", "patch_size", "heads", "mlp_ratio", "pool", "pos_embed")  # the rest is recipe


class ModelError(ValueError):
    """A model that cannot be; the message says in one line why, and what could be."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    name: str
    family: str = declare(choices=("vit", "cnn"))
    width: int | None = None  # unknown for models brought by name
    depth: int | None = None
    patch_size: int | None = None  # the fields from here on are the ViT's
    heads: int = declare(1, above=0)
    mlp_ratio: float = 4.0
    pool: str = declare("cls", choices=POOLS)
    pos_embed_std: float = 0.02
    pos_embed: str = declare("learned", choices=POS_EMBEDS, later=True)
    dropout: float = declare(0.0, at_least=0, below=1, later=True)
    # our ViT and CIFAR ResNets; bit: BiT's ResNets; torchvision or timm: theirs, by name
    source: str = declare("scaling", choices=SOURCES, later=True)
    # stochastic depth: the last block's rate, rising linearly from 0
    drop_path: float = declare(0.0, at_least=0, below=1, later=True)
    # of weights for another image size; the original JAX code's is bilinear
    pos_embed_resize: str = declare("bicubic", choices=("bicubic", "bilinear"), later=True)

    def identity(self) -> dict[str, Any]:
        """What a cell's hash covers. Settings that came after the first records count only when they are used, so that
        the cells of before keep their names and are not run again."""
        return hashed(self)
