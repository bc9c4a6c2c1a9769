"""What describes a model: the settings under `model`, and which of them count for a cell's identity. Free of torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

POOLS = ("cls", "mean", "map")
SOURCES = ("scaling", "bit", "torchvision", "timm")
POS_EMBEDS = ("learned", "sincos", "none")
ARCHITECTURE = ("width", "depth", "patch_size", "heads", "mlp_ratio", "pool", "pos_embed")  # the rest is recipe


class ModelError(ValueError):
    """A model that cannot be; the message says in one line why, and what could be."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    name: str
    family: str
    width: int | None = None  # unknown for models brought by name
    depth: int | None = None
    patch_size: int | None = None  # the fields from here on are the ViT's
    heads: int = 1
    mlp_ratio: float = 4.0
    pool: str = "cls"
    pos_embed_std: float = 0.02
    pos_embed: str = "learned"
    dropout: float = 0.0
    source: str = "scaling"  # our ViT and CIFAR ResNets; bit: BiT's ResNets; torchvision or timm: theirs, by name
    drop_path: float = 0.0  # stochastic depth: the last block's rate, rising linearly from 0
    pos_embed_resize: str = "bicubic"  # of weights for another image size; the original JAX code's is bilinear

    def identity(self) -> dict[str, Any]:
        """What a cell's hash covers. Settings that came after the first records count only when they are used, so that
        the cells of before keep their names and are not run again."""
        later = ("source", "pos_embed", "dropout", "drop_path", "pos_embed_resize")
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        values = dataclasses.asdict(self)
        return {key: value for key, value in values.items() if key not in later or value != defaults[key]}
