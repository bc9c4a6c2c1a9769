"""From a data config to pools of uint8 images in nested order, and from the pools to one run's splits on its device."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from scaling.data import folder, strokes
from scaling.data.permute import locality_permutation
from scaling.data.subsets import nested_order, split_validation, validation_size

if TYPE_CHECKING:
    from scaling.config import DataConfig


@dataclass(frozen=True)
class Pool:
    """Images uint8 (count, channels, size, size) and labels int64 (count,), in an order whose prefixes are subsets."""

    images: np.ndarray
    labels: np.ndarray

    def first(self, count: int) -> Pool:
        return Pool(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Splits:
    """One run's data: uint8 images (n, channels, size, size) and labels on the device, and what makes them inputs.

    `mean` and `std` (per channel, in [0, 1]) are those of the training subset: the only images a user with n has.
    `pixels` is the locality permutation (size * size,), or None where nothing moves.
    """

    train_images: torch.Tensor
    train_labels: torch.Tensor
    val_images: torch.Tensor
    val_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    pixels: torch.Tensor | None

    def inputs(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised float32 inputs, permuted: the last step for train and test alike, after any augmentation."""
        x = (images.float() / 255 - self.mean) / self.std
        return x if self.pixels is None else x.flatten(2)[:, :, self.pixels].view_as(x)


# The keys below leave out train_size, locality and the model: what one run loaded serves the next ones.
@functools.lru_cache(maxsize=4)
def _stroke_pool(config: strokes.StrokesConfig, image_size: int, stream: int, count: int) -> Pool:
    return Pool(*strokes.draw(config, image_size=image_size, stream=stream, count=count))


@functools.lru_cache(maxsize=1)
def _image_pools(kind: str, root: str, image_size: int) -> dict[str, folder.LabelledImages]:
    if kind == "cifar10":
        from scaling.data.cifar import read_cifar10

        return read_cifar10(root)
    return folder.read_folder(root, image_size=image_size)


@functools.lru_cache(maxsize=4)
def _ordered_pool(kind: str, root: str, image_size: int, split: str, subset_seed: int, val_share: float) -> Pool:
    data = _image_pools(kind, root, image_size)["test" if split == "test" else "train"]
    if split == "test":
        return Pool(data.images, data.labels)
    train, val = split_validation(data.labels, data.keys, share=val_share)
    chosen = train if split == "train" else val
    keys = [data.keys[i] for i in chosen]
    order = chosen[nested_order(data.labels[chosen], keys, seed=subset_seed if split == "train" else 0, salt=split)]
    return Pool(data.images[order], data.labels[order])


def _round_up(count: int) -> int:
    """The power of two above, so that a growing train_size redraws the pool a few times at most."""
    return 1 << max(10, (count - 1).bit_length())


def load_pools(config: DataConfig) -> tuple[Pool, Pool, Pool]:
    """(train, validation, test) of one run, not yet on its device: n training images and n/4 for validation."""
    if config.kind == "strokes":
        size, classes = config.image_size, config.strokes.num_classes
        count = validation_size(config.train_size, num_classes=classes, available=config.train_size * classes)
        # Streams 0 and 1 are test and validation; each subset_seed has a stream of its own.
        train = _stroke_pool(config.strokes, size, 2 + config.subset_seed, _round_up(config.train_size))
        val = _stroke_pool(config.strokes, size, 1, _round_up(count))
        test = _stroke_pool(config.strokes, size, 0, config.test_size)
        return train.first(config.train_size), val.first(count), test
    train, val, test = (
        _ordered_pool(config.kind, str(config.root), config.image_size, split, config.subset_seed, config.val_share)
        for split in ("train", "val", "test")
    )
    classes = int(test.labels.max()) + 1
    count = validation_size(config.train_size, num_classes=classes, available=len(val.labels))
    return train.first(config.train_size), val.first(count), test


def load_splits(config: DataConfig, device: torch.device) -> Splits:
    """One run's splits as tensors on `device`."""
    train, val, test = load_pools(config)
    scaled = train.images.astype(np.float32) / 255
    mean, std = scaled.mean(axis=(0, 2, 3)), scaled.std(axis=(0, 2, 3))
    pixels = None
    if config.locality < 1:
        index, _, _ = locality_permutation(
            image_size=config.image_size,
            patch_size=config.permute_patch,
            locality=config.locality,
            seed=config.permute_seed,
        )
        pixels = torch.from_numpy(index).to(device)

    def to_device(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return Splits(
        train_images=to_device(train.images),
        train_labels=to_device(train.labels.astype(np.int64)),
        val_images=to_device(val.images),
        val_labels=to_device(val.labels.astype(np.int64)),
        test_images=to_device(test.images),
        test_labels=to_device(test.labels.astype(np.int64)),
        mean=to_device(mean).view(1, -1, 1, 1),
        std=to_device(np.maximum(std, 1e-6)).view(1, -1, 1, 1),
        pixels=pixels,
    )
