"""From a data config to one run's splits on its device: drawn strokes, a user's folder, or a published data set."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from scaling.config.strokes_config import StrokesConfig
from scaling.data.batches.resident import ResidentImages
from scaling.data.batches.stream import StreamedImages, read_rows
from scaling.data.errors import DataError
from scaling.data.pixels.decode import VERSION
from scaling.data.pixels.facts import pixel_sums
from scaling.data.pixels.open_images import refuse_unreadable, with_whole_rows
from scaling.data.sources import strokes
from scaling.data.sources.read import OWN, Place, read_place
from scaling.data.subsets.chosen import chosen
from scaling.data.subsets.locality import locality_permutation
from scaling.data.subsets.nested_order import first_of_each, validation_size
from scaling.records.files import cache_folder

if TYPE_CHECKING:
    from scaling.config import DataConfig
    from scaling.data.pixels.cache import Decoded

ImageSet = ResidentImages | StreamedImages
_SHARE = 0.5  # of a device's free memory that images may take


@dataclass(frozen=True)
class Pictures:
    """What a run's images were decoded from: the digest of each picture, uint64 (n, 2), in the order of its split.
    `words` say what pixels were made of it; together they stand for the pixels."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    words: tuple[Any, ...]


@dataclass(frozen=True)
class Splits:
    """One run's data and what makes images inputs.

    `mean` and `std` (per channel, in [0, 1]) are those of the training subset, the only images a user with n has, or
    what the weights expect that the run starts from.
    `pixels` is the locality permutation (size * size,), or None where nothing moves. Drawn images have no `pictures`.
    """

    train: ImageSet
    val: ImageSet
    test: ImageSet
    mean: torch.Tensor
    std: torch.Tensor
    pixels: torch.Tensor | None
    pictures: Pictures | None = None

    def inputs(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised float32 inputs, permuted: the last step for train and test alike, after any augmentation."""
        if self.pixels is not None:
            images = images.flatten(2).index_select(2, self.pixels).view(images.shape)
        x = images.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        return x.div_(255).sub_(self.mean).div_(self.std)  # in place: a quarter of the time of three new tensors


def mean_and_std(sums: np.ndarray, *, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each channel, in [0, 1], exact whatever the order of the images.

    Args:
        sums: int64 (n, channels, 2) of each image's values and their squares.
        pixels: of one image.
    """
    total, squares = sums.sum(0).T.astype(np.float64) / (len(sums) * pixels)
    std = np.sqrt(np.maximum(squares - total**2, 0))
    return total / 255, np.maximum(std / 255, 1e-6)  # a channel without variation stays what it is


# The keys below leave out train_size, locality and the model: what one run loaded serves the next ones.
@functools.lru_cache(maxsize=6)
def _stroke_pool(
    config: StrokesConfig, image_size: int, stream: int, count: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Images and labels of a stream on the device, and the sums of each image."""
    images, labels = strokes.draw(config, image_size=image_size, stream=stream, count=count)
    on_device = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
    return *on_device, pixel_sums(images)


def _round_up(count: int) -> int:
    """The power of two above, so that a growing train_size redraws the pool a few times at most."""
    return 1 << max(10, (count - 1).bit_length())


_Loaded = tuple[ImageSet, ImageSet, ImageSet, np.ndarray, Pictures | None]  # the splits, sums of the training images


def _load_strokes(config: DataConfig, device: torch.device) -> _Loaded:
    classes, n = config.strokes.num_classes, config.train_size
    val = validation_size(n, num_classes=classes, available=n * classes)

    def images(stream: int, drawn: int, count: int) -> tuple[ResidentImages, np.ndarray]:
        pool, labels, sums = _stroke_pool(config.strokes, config.image_size, stream, drawn, device)
        rows = torch.arange(count, device=device)
        return ResidentImages(pool, rows, labels[:count]), sums[:count]

    # Streams 0 and 1 are test and validation; each subset_seed has a stream of its own.
    train, sums = images(2 + config.subset_seed, _round_up(n), n)
    return train, images(1, _round_up(val), val)[0], images(0, config.test_size, config.test_size)[0], sums, None


@functools.lru_cache(maxsize=2)
def _device_pool(decoded: Decoded, device: torch.device, stream: str) -> torch.Tensor | None:
    """The whole set on the device, where it fits; on the CPU that is the cache's own pages, which processes share."""
    if decoded.images is None or _streams(stream, decoded.images.nbytes, device):
        return None
    return torch.from_numpy(np.asarray(decoded.images)).to(device)


def room(device: torch.device) -> float:
    """Bytes that images may take on a device."""
    if device.type == "cuda":
        return _SHARE * torch.cuda.mem_get_info(device)[0]
    if not hasattr(os, "sysconf"):
        return 4e9
    return _SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _streams(stream: str, size: int, device: torch.device) -> bool:
    return size > room(device) if stream == "auto" else stream == "true"


def _load_images(config: DataConfig, device: torch.device) -> _Loaded:
    def chosen_rows(decoded: Decoded) -> list[np.ndarray]:
        rows = chosen(config, decoded)
        val = validation_size(config.train_size, num_classes=len(decoded.catalogue.classes), available=len(rows.val))
        train = rows.train
        if config.per_class:
            train = train[first_of_each(decoded.catalogue.labels[train], config.per_class)]
        return [train[: config.train_size], rows.val[:val], rows.test]

    decoded = with_whole_rows(config, lambda decoded: np.concatenate(chosen_rows(decoded)))
    refuse_unreadable(config, decoded)
    parts = chosen_rows(decoded)
    needed = sum(map(len, parts)) * int(np.prod(decoded.square.shape))
    pool = _device_pool(decoded, device, config.stream)
    streams = pool is None and _streams(config.stream, needed, device)

    def image_set(rows: np.ndarray) -> ImageSet:
        labels = torch.from_numpy(decoded.catalogue.labels[rows]).to(device)
        if pool is not None:
            return ResidentImages(pool, torch.from_numpy(rows).to(device), labels)
        if streams:
            return StreamedImages(decoded, rows, labels, config.loaders)
        own = torch.from_numpy(read_rows(decoded, rows)).to(device)  # the whole set does not fit, this run's part does
        return ResidentImages(own, torch.arange(len(rows), device=device), labels)

    train, val, test = map(image_set, parts)
    of_train, of_val, of_test = (decoded.facts.digests[rows] for rows in parts)
    pictures = Pictures(of_train, of_val, of_test, (VERSION, *decoded.square.words(), decoded.square.found))
    return train, val, test, decoded.facts.sums[parts[0]], pictures


def load_splits(config: DataConfig, device: torch.device, *, fingerprint: str | None = None) -> Splits:
    """One run's splits on `device`; a user's folder is compared with the `fingerprint` that the run's identity has.

    Raises:
        DataError: the images are not there or no longer what they were.
    """
    if config.kind in OWN and fingerprint is not None:
        found = read_place(Place.of(config), cache_folder(config.cache)).fingerprint
        if found != fingerprint:
            raise DataError(f"the images in {config.root} have changed since the start; start the same command again")
    load = _load_strokes if config.kind == "strokes" else _load_images
    train, val, test, sums, pictures = load(config, device)
    mean, std = mean_and_std(sums, pixels=config.image_size**2)
    if config.input_mean is not None:  # what the weights expect that the run starts from
        mean, std = np.array(config.input_mean), np.array(config.input_std)
    pixels = None
    if config.locality < 1:
        index, _, _ = locality_permutation(
            image_size=config.image_size,
            patch_size=config.permute_patch,
            locality=config.locality,
            seed=config.permute_seed,
        )
        pixels = torch.from_numpy(index).to(device)

    def per_channel(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).view(1, -1, 1, 1).to(device)

    return Splits(train, val, test, per_channel(mean), per_channel(std), pixels, pictures)
