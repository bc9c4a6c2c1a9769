"""A cell's model on its device, with the weights that it starts from: fine-tuned, or frozen for its features."""

from __future__ import annotations

import torch

from scaling.compose.start_weights import weights_path
from scaling.config import CellConfig
from scaling.models.build import build_model
from scaling.models.devices import TABLE
from scaling.models.library_weights import named_weights
from scaling.models.weights import load_weights, read_weights


def build(cell: CellConfig, *, channels: int, device: torch.device) -> torch.nn.Module:
    """The cell's model on its device, with the weights that the run starts from where it starts from some."""
    torch.manual_seed(cell.seed)
    model = build_model(
        cell.model, image_size=cell.data.image_size, channels=channels, num_classes=cell.num_classes
    ).to(device)
    if TABLE[device.type].channels_last and cell.model.source != "bit":  # BiT makes its kernels anew at every step
        model = model.to(memory_format=torch.channels_last)
    if cell.start is not None and not cell.untrained:
        named = cell.start == cell.start_fingerprint  # a published name is its own fingerprint
        state = named_weights(cell.start) if named else read_weights(weights_path(cell.start))
        load_weights(model, state, mode=cell.model.pos_embed_resize)
    return model
