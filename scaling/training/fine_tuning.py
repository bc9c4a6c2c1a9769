"""What a fine-tune does otherwise than a fresh model: its head starts from zeros, layers far from the head may learn
more slowly, and batch norms may keep the statistics of the weights that it starts from.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import nn

from scaling.training.features import last_linear

if TYPE_CHECKING:
    from scaling.config import CellConfig, OptimConfig
    from scaling.data.splits import Splits

_ROWS = (nn.Sequential, nn.ModuleList)
_HEAD = re.compile(r"(head|heads|head_dist|aux_head|fc|classifier)\.")


def zero_head(model: nn.Module, splits: Splits) -> None:
    """The head forgets the classes that it was trained on: from zeros, no weight behind it moves before it says
    something of the new ones."""
    few, _ = next(splits.test.batches([torch.arange(2, device=splits.test.index_device)]))
    with torch.no_grad():
        for parameter in last_linear(model.eval(), splits.inputs(few)).parameters():
            parameter.zero_()


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a model counts statistics of its batches along."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def training_mode(model: nn.Module, config: OptimConfig) -> None:
    """Puts a model into training mode; with `batch_norm=frozen` its batch norms go on normalising by the statistics
    that they have, and leave these as they are. Their scales and shifts are trained either way."""
    model.train()
    if config.batch_norm == "frozen":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def layers_of(model: nn.Module) -> dict[str, int]:
    """Per parameter its layer, counted from the images: 0 is what comes before the first block, the last one is the
    head with the norm before it, as in BEiT (Bao et al. 2021) and timm. Models of timm know theirs."""
    matcher = getattr(model, "group_matcher", None)
    if matcher is not None:
        from timm.models import group_parameters  # 2 s to import, and only where the model is timm's

        places = group_parameters(model, matcher(coarse=False), reverse=True)
    else:
        places = _places(model)
    order = sorted(set(places.values()))
    return {name: order.index(place) for name, place in places.items()}


def _places(model: nn.Module) -> dict[str, int]:
    """Per parameter the number of its block, 0 before the first; what stands between two goes with the one before."""
    blocks: dict[str, int] = {}
    places: dict[str, int] = {}
    trailing: list[str] = []
    for name, _ in model.named_parameters():
        block = None if _HEAD.match(name) else _block_of(model, name)
        if block is not None:
            blocks.setdefault(block, len(blocks) + 1)
        trailing = [] if block is not None or not blocks else [*trailing, name]
        places[name] = len(blocks)
    return places | dict.fromkeys(trailing, len(blocks) + 1)


def _block_of(model: nn.Module, name: str) -> str | None:
    """The block of a parameter: what stands in a row of modules (`blocks.3`) and is no row and no single layer."""
    module, path = model, name.split(".")
    for i, part in enumerate(path[:-1]):
        inside = getattr(module, part)
        if type(module) in _ROWS and type(inside) not in _ROWS and any(inside.children()):
            return ".".join(path[: i + 1])
        module = inside
    return None


def layer_scales(model: nn.Module, config: OptimConfig) -> dict[str, float]:
    """Per parameter what its learning rate is multiplied by: `layer_decay` to the number of layers above its own."""
    layers = layers_of(model)
    last = max(layers.values())
    return {name: config.layer_decay ** (last - layer) for name, layer in layers.items()}


def recipe_fields(cell: CellConfig, model: nn.Module) -> dict[str, object]:
    """The record's fields about how a cell is fine-tuned; none of another cell."""
    if cell.adaptation != "full":
        return {}
    norms = cell.optim.batch_norm if has_batch_norm(model) else None
    return dict(layer_decay=cell.optim.layer_decay, batch_norm=norms)
