"""An .npz file of images and labels: x_train and y_train, train_images and train_labels, and their like."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scaling.data.errors import DataError
from scaling.data.sources.catalogue import portable
from scaling.data.sources.containers.listed import ListedImage
from scaling.data.sources.containers.unpack import unpacked_items
from scaling.data.sources.split_names import one_split
from scaling.records.files import some

_IMAGES = ("x", "images", "image", "data", "imgs", "img", "samples")
_LABELS = ("y", "labels", "label", "targets", "target")
_NAMES = ("class_names", "classes", "label_names", "names", "categories")
_PATHS = ("paths", "files", "filenames", "keys")


def _load(root: str) -> dict[str, np.ndarray]:
    try:
        with np.load(root, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(f"{root} cannot be read as .npz ({error}); arrays of Python objects are not read") from error


def _role(name: str) -> tuple[str, str] | None:
    """(split, images, labels or paths) that an array's name means; a name without a split is for training."""
    words = name.lower().replace("-", "_").split("_")
    splits = [split for word in words if (split := one_split(word))]
    rest = [word for word in words if not one_split(word)]
    for role, known in (("images", _IMAGES), ("labels", _LABELS), ("paths", _PATHS)):
        if len(rest) == 1 and rest[0] in known and len(splits) < 2:
            return (splits[0] if splits else "train"), role
    return None


def _pixels(images: np.ndarray, root: str, name: str) -> np.ndarray:
    """uint8 (count, height, width) or (count, height, width, 3)."""
    if images.ndim == 4 and images.shape[-1] not in (1, 3) and images.shape[1] in (1, 3):
        images = np.moveaxis(images, 1, -1)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] != 3):
        shape = "x".join(map(str, images.shape))
        raise DataError(f"{root}: {name} is {shape}, not images of (count, height, width) or (count, height, width, 3)")
    whole = images.dtype.kind in "bui" or bool((images == np.round(images)).all())
    if not whole or images.min(initial=0) < 0 or images.max(initial=0) > 255:
        raise DataError(f"{root}: {name} has values outside 0 to 255, or no whole ones: save them as uint8")
    return images.astype(np.uint8)


def _classes(labels: np.ndarray, names: np.ndarray | None, root: str) -> list[str]:
    if labels.ndim == 2 and labels.shape[1] > 1:
        if ((labels != 0).sum(1) != 1).any():
            raise DataError(f"{root}: images with several labels, or none: one class an image is needed")
        labels = labels.argmax(1)  # one-hot
    labels = labels.reshape(-1)
    if labels.dtype.kind in "US":
        return [portable(label.decode() if isinstance(label, bytes) else str(label)) for label in labels.tolist()]
    numbers = [int(label) for label in labels.tolist()]
    return [portable(str(names[i])) if names is not None else str(i) for i in numbers]


def _netpbm(pixels: np.ndarray) -> bytes:
    kind = b"P6" if pixels.ndim == 3 else b"P5"
    return kind + f"\n{pixels.shape[1]} {pixels.shape[0]}\n255\n".encode() + pixels.tobytes()


def read_npz(root: str, cache: Path) -> list[ListedImage]:
    """The images of an .npz, unpacked into the cache.

    Raises:
        DataError: it holds no images and labels, or images of no known range.
    """
    if not os.path.isfile(root):
        raise DataError(f"{root} is not there, or no file; data=npz reads an .npz file")
    return unpacked_items([root], cache, lambda place: _items(root), how="npz")


def _items(root: str) -> Iterator[tuple[ListedImage, bytes]]:
    arrays = _load(root)
    roles = {role: name for name in arrays if (role := _role(name)) is not None}
    splits = [split for split in ("train", "val", "test") if (split, "images") in roles]
    if not splits or any((split, "labels") not in roles for split in splits):
        there = some(list(arrays), at_most=8)
        raise DataError(f"{root} has arrays {there}; x_train, y_train (and x_test, y_test) or the like are needed")
    names = next((arrays[name] for name in _NAMES if name in arrays), None)
    for split in splits:
        images = _pixels(arrays[roles[split, "images"]], root, roles[split, "images"])
        labels = _classes(arrays[roles[split, "labels"]], names, root)
        if len(labels) != len(images):
            raise DataError(f"{root}: {len(images):,} images but {len(labels):,} labels in {split}")
        given = arrays[roles[split, "paths"]] if (split, "paths") in roles else None
        for i, (label, pixels) in enumerate(zip(labels, images, strict=True)):
            name = f"{i:07d}" if given is None else str(given[i])
            yield ListedImage(split, label, name, f"{split}/{i // 10_000:03d}/{i:07d}.ppm"), _netpbm(pixels)
