"""A cell's model on its device, with the weights that it starts from: fine-tuned, or frozen for its features."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch

from scaling.compose.start_weights import weights_path
from scaling.config import CellConfig
from scaling.models.build import build_model
from scaling.models.devices import TABLE
from scaling.models.library_weights import named_weights
from scaling.models.weights import State, load_weights, read_weights
from scaling.records.files import cache_folder, try_write_whole
from scaling.records.record import FILE_NAME


def build(cell: CellConfig, *, channels: int, device: torch.device) -> torch.nn.Module:
    """The cell's model on its device, with the weights that the run starts from where it starts from some."""
    torch.manual_seed(cell.seed)
    model = build_model(
        cell.model, image_size=cell.data.image_size, channels=channels, num_classes=cell.num_classes
    ).to(device)
    model = as_trained(model, cell)
    if cell.start is not None and not cell.untrained:
        load_weights(model, _state(cell.start, named=_is_name(cell)), mode=cell.model.pos_embed_resize)
    return model


def as_trained(model: torch.nn.Module, cell: CellConfig) -> torch.nn.Module:
    """The model in the layout of memory that its device trains fastest."""
    device = next(model.parameters()).device
    if TABLE[device.type].channels_last and cell.model.source != "bit":  # BiT makes its kernels anew at every step
        return model.to(memory_format=torch.channels_last)
    return model


def _is_name(cell: CellConfig) -> bool:
    """Whether the start is a published name; in a cell's identity that is its own fingerprint."""
    return cell.start == cell.start_fingerprint


def _state(start: str, *, named: bool) -> State:
    return named_weights(start) if named else read_weights(weights_path(start))


def content_fingerprint(cell: CellConfig) -> str | None:
    """16 hex digits of the weights that a cell starts from, the same whether a name or a file brings them; None for a
    fresh start. Of a run's own weights it is that of its file. They are remembered in the cache: to read weights takes
    a second or more."""
    if cell.start is None or cell.untrained:
        return cell.start_fingerprint or None
    named = _is_name(cell)
    if not named and not _is_checkpoint(Path(cell.start)):
        return cell.start_fingerprint or None
    key = hashlib.sha256((cell.start if named else cell.start_fingerprint).encode()).hexdigest()[:32]
    memory = cache_folder(cell.data.cache) / "weights" / f"{key}.fingerprint"
    if memory.is_file() and re.fullmatch("[0-9a-f]{16}", known := memory.read_text()):
        return known
    found = state_fingerprint(_state(cell.start, named=named))
    try_write_whole(memory, found.encode())
    return found


def state_fingerprint(state: State) -> str:
    """16 hex digits of names, types, shapes and values, however these lie in memory."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        flat = value.reshape(-1)  # of channels-last values the last stride is not 1, which a view of bytes needs
        digest.update(flat.view(torch.uint8).numpy().data if value.ndim else str(value.item()).encode())
    return digest.hexdigest()[:16]


def _is_checkpoint(start: Path) -> bool:
    """A file of weights that is not of a run of ours: what made those is known by the run."""
    return start.is_file() and not (start.parent / FILE_NAME).exists()
