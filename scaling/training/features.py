"""Frozen features of a cell's images: what the last linear layer of its started model reads, computed once and kept.

The model is in evaluation mode and no gradient is kept: a batch norm that counts along would give other numbers, and
change the weights.
"""

from __future__ import annotations

import functools
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from scaling.config import CellConfig
from scaling.data.features.store import FeatureStore, fill, one_writer, store_folder
from scaling.data.splits import ImageSet, Splits
from scaling.models.devices import TABLE
from scaling.records.files import cache_folder, duration
from scaling.training.started import build, content_fingerprint

SPLITS_OF_RUN = ("train", "val", "test")
# Pixels at once: larger batches no longer help, and would leave a CPU's cache or a GPU's memory.
_PIXELS = {"cpu": 16 * 224**2, "cuda": 256 * 224**2}
_WORTH_SAYING = 5.0  # seconds


class FeatureError(ValueError):
    """A model whose features cannot be had; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """A run's images as float32 (n, feature_dim), in the order of their splits, and their labels int64 (n,)."""

    train: np.ndarray
    train_labels: np.ndarray
    val: np.ndarray
    val_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    seconds: float  # that computing these rows took, now or when they were computed

    @property
    def feature_dim(self) -> int:
        return self.train.shape[1]


def batch_of(image_size: int, device: torch.device) -> int:
    """Images that go through a frozen model at once."""
    return max(1, min(TABLE[device.type].eval_batch, _PIXELS.get(device.type, _PIXELS["cpu"]) // image_size**2))


def _is_linear(module: nn.Module) -> bool:
    """A convolution of one place is a linear layer, too: the head of timm's BiT."""
    return isinstance(module, nn.Linear) or (
        isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.groups == 1
    )


def _of_image(values: torch.Tensor) -> torch.Tensor:
    """(batch, any) of what a layer reads or gives: of tokens the first, as CLIP's ResNets pool after their last one."""
    return values[:, 0] if values.ndim == 3 else values.flatten(1)


def last_linear(model: nn.Module, images: torch.Tensor) -> nn.Module:
    """The linear layer that gives the logits.

    Args:
        model: in evaluation mode.
        images: a few inputs.

    Raises:
        FeatureError: the logits are not what one linear layer gives.
    """
    seen: list[tuple[nn.Module, torch.Tensor]] = []

    def note(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        seen.append((module, _of_image(output)))

    hooks = [module.register_forward_hook(note) for module in model.modules() if _is_linear(module)]
    try:
        logits = model(images)
    finally:
        for hook in hooks:
            hook.remove()
    for module, output in reversed(seen):
        if output.shape == logits.shape and torch.equal(output, logits):
            return module
    raise FeatureError("this model's logits do not come from one linear layer: it has no features to freeze")


class FrozenModel:
    """A model whose features are read: float32 (n, dim) from images as the splits have them."""

    def __init__(self, model: nn.Module, splits: Splits, *, precision: str) -> None:
        self.model, self.splits, self.precision = model.eval().requires_grad_(False), splits, precision
        self._read: torch.Tensor | None = None
        with torch.inference_mode():
            few, _ = next(splits.test.batches([torch.arange(2, device=splits.test.index_device)]))
            head = last_linear(self.model, splits.inputs(few))
        head.register_forward_pre_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        self._read = inputs[0]

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> np.ndarray:
        if any(module.training for module in self.model.modules()):
            raise FeatureError("a model in training mode: its batch norms would not be frozen")
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            self.model(self.splits.inputs(images))
        assert self._read is not None
        return _of_image(self._read).float().cpu().numpy()

    def rows(self, images: ImageSet, places: np.ndarray, *, batch: int) -> np.ndarray:
        """float32 (len(places), dim) of the images at some places of a split."""
        index = torch.from_numpy(places).to(images.index_device)
        return np.concatenate([self(pixels) for pixels, _ in images.batches(index.split(batch))])


def run_digests(splits: Splits) -> dict[str, np.ndarray]:
    """uint64 (n, 2) by split: of the pictures before any resizing, or of drawn pixels themselves."""
    if splits.pictures is not None:
        return {name: getattr(splits.pictures, name) for name in SPLITS_OF_RUN}
    return {name: _pixel_digests(getattr(splits, name)) for name in SPLITS_OF_RUN}


def _pixel_digests(images: ImageSet) -> np.ndarray:
    import xxhash

    drawn = (image for batch, _ in images.in_order(1000) for image in np.ascontiguousarray(batch.cpu().numpy()))
    found = b"".join(xxhash.xxh3_128(image.data).digest() for image in drawn)
    return np.frombuffer(found, dtype="<u8").reshape(-1, 2)


@functools.lru_cache(maxsize=8)
def _store(folder: Any) -> FeatureStore:
    return FeatureStore(folder)


def way_of(cell: CellConfig, splits: Splits) -> list[Any]:
    """Whatever changes the features of the same picture."""
    data = cell.data
    permuted = [data.locality, data.permute_patch, data.permute_seed] if data.locality < 1 else []
    pixels = splits.pictures.words if splits.pictures is not None else ("drawn", data.image_size)
    normalised = [splits.mean.flatten().tolist(), splits.std.flatten().tolist()]
    started = [content_fingerprint(cell), cell.model.identity()]
    return [started, pixels, data.image_size, permuted, normalised, cell.precision]


def frozen_features(cell: CellConfig, splits: Splits, device: torch.device) -> Features:
    """The features of a cell's images; those that no run before has computed are computed now, and kept in the cache.

    The model is built and its weights are loaded only where something is missing. Other processes that want the same
    features wait until they are there.

    Raises:
        FeatureError: the logits of the model are not what one linear layer gives.
    """
    digests = run_digests(splits)
    store = _store(store_folder(cache_folder(cell.data.cache), way_of(cell, splits)))
    together = np.concatenate([digests[name] for name in SPLITS_OF_RUN])
    store.look()
    rows, there, seconds = store.find(together)
    if not there.all():
        with one_writer(store.folder):
            rows, seconds = _compute(cell, splits, device, store, digests)
    ends = list(itertools.accumulate(len(digests[name]) for name in SPLITS_OF_RUN))
    parts = dict(zip(SPLITS_OF_RUN, np.split(rows, ends[:-1]), strict=True))
    labels = {f"{name}_labels": getattr(splits, name).labels.cpu().numpy() for name in SPLITS_OF_RUN}
    return Features(**parts, **labels, seconds=float(seconds.sum()))


def _compute(
    cell: CellConfig, splits: Splits, device: torch.device, store: FeatureStore, digests: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    built: list[FrozenModel] = []  # once it is known that something is missing: another process may have computed it
    batch = batch_of(cell.data.image_size, device)

    def compute(name: str) -> Callable[[np.ndarray], np.ndarray]:
        def rows(places: np.ndarray) -> np.ndarray:
            if not built:
                model = build(cell, channels=cell.data.channels, device=device)
                built.append(FrozenModel(model, splits, precision=cell.precision))
                missing = sum(len(part) - int(store.find(part)[1].sum()) for part in digests.values())
                _say(cell, built[0], splits, missing, batch)
            return built[0].rows(getattr(splits, name), places, batch=batch)

        return rows

    found = [fill(store, digests[name], compute(name)) for name in SPLITS_OF_RUN]
    return np.concatenate([rows for rows, _ in found]), np.concatenate([seconds for _, seconds in found])


def _say(cell: CellConfig, frozen: FrozenModel, splits: Splits, missing: int, batch: int) -> None:
    """How much is computed and how long that takes, before it is."""
    batch = min(batch, len(splits.test), 16)
    begin = time.perf_counter()
    one = frozen.rows(splits.test, np.arange(batch), batch=batch)
    expected = (time.perf_counter() - begin) / batch * missing
    if expected >= _WORTH_SAYING:
        size = missing * one.shape[1] * 4 / 1e6
        what = f"features of {missing:,} images at {cell.data.image_size} pixels by {cell.model_label}"
        print(f"{what}, once: {size:,.0f} MB, about {duration(expected)}", file=sys.stderr, flush=True)
