"""Which checkpoints of conf/weights/ lie on this machine: in our cache, or where the Hugging Face hub keeps its files.

Free of torch and of timm, so that a command may ask before it does anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from scaling.records.files import cache_folder

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".npz")
# Fair pairs, and where timm keeps them on the hub: a ViT and a CNN of like size that saw the same images.
FAIR_PAIRS: tuple[Mapping[str, str], ...] = (
    {"deit_s": "timm/deit_small_patch16_224.fb_in1k", "resnet50_a1": "timm/resnet50.a1_in1k"},
    {"deit_ti": "timm/deit_tiny_patch16_224.fb_in1k", "resnet18_a1": "timm/resnet18.a1_in1k"},
    {"augreg_s": "timm/vit_small_patch16_224.augreg_in21k", "bit_r50": "timm/resnetv2_50x1_bit.goog_in21k"},
)


def own_place(name: str, cache: str | None) -> Path:
    """Where a file of the weights `name` is found without being told."""
    return cache_folder(cache) / "weights" / f"{name}.safetensors"


def own_file(name: str, cache: str | None) -> Path | None:
    """The file of the weights `name` in our cache, in any of the forms that are read; None where there is none."""
    place = own_place(name, cache)
    return next((path for suffix in WEIGHT_SUFFIXES if (path := place.with_suffix(suffix)).is_file()), None)


def _in_hub(repository: str) -> bool:
    """Whether the hub's cache holds a repository's weights, as `huggingface_hub` lays it out."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    folder = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    snapshots = folder / f"models--{repository.replace('/', '--')}" / "snapshots"
    return any(
        path.is_file() for name in ("model.safetensors", "pytorch_model.bin") for path in snapshots.glob(f"*/{name}")
    )


def pair_at_hand(cache: str | None) -> tuple[str, ...]:
    """The first fair pair whose files are both on this machine; empty where none is."""
    for pair in FAIR_PAIRS:
        if all(own_file(name, cache) or _in_hub(repository) for name, repository in pair.items()):
            return tuple(pair)
    return ()
