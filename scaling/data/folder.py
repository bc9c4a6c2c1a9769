"""A user's images in class folders, `train/<class>/*` and `test/<class>/*`, decoded once into memory as uint8."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's IMG_EXTENSIONS


class DataError(ValueError):
    """Data that cannot be used; the message says in one line what to do."""


@dataclass(frozen=True)
class LabelledImages:
    """Images uint8 (count, 3, size, size), labels int64 (count,) and names that do not depend on the machine."""

    images: np.ndarray
    labels: np.ndarray
    keys: list[str]


@dataclass(frozen=True)
class FolderFacts:
    """What is known without decoding: enough to refuse a sweep before it starts."""

    classes: tuple[str, ...]
    train_examples: int
    test_examples: int
    fingerprint: str  # of names and contents


def _class_files(root: Path, split: str) -> dict[str, list[Path]]:
    folder = root / split
    if not folder.is_dir():
        raise DataError(f"{folder} is not there; data.root must hold train/<class>/* and test/<class>/*")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = {
        name: sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in SUFFIXES) for name in classes
    }
    empty = [name for name, paths in files.items() if not paths]
    if not classes or empty:
        what = f"class folders without images: {', '.join(empty)}" if empty else "no class folders"
        raise DataError(f"{folder} has {what}; images end in {' '.join(SUFFIXES)}")
    return files


@functools.lru_cache(maxsize=4)
def folder_facts(root: str) -> FolderFacts:
    """Lists the folder and hashes what is in it.

    Raises:
        DataError: the folder does not have the shape that is needed.
    """
    train, test = (_class_files(Path(root), split) for split in ("train", "test"))
    if list(train) != list(test):
        odd = sorted(set(train) ^ set(test))
        raise DataError(f"{root}: train/ and test/ have different classes: {', '.join(odd)} only in one of them")
    if len(train) < 2:
        raise DataError(f"{root}: only one class ({next(iter(train))}); at least two are needed")
    digest = hashlib.sha256()
    for files in (train, test):
        for name, paths in files.items():
            for path in paths:
                digest.update(f"{name}/{path.name}".encode() + hashlib.sha256(path.read_bytes()).digest())
    counts = [sum(map(len, files.values())) for files in (train, test)]
    return FolderFacts(tuple(train), counts[0], counts[1], digest.hexdigest()[:16])


def read_folder(root: str, *, image_size: int) -> dict[str, LabelledImages]:
    """Decodes both splits to RGB; an image of another size is resized (short side, antialiased) and centre-cropped.

    Raises:
        DataError: a file cannot be decoded; the message names it.
    """
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    resize = v2.Compose([v2.Resize(image_size, antialias=True), v2.CenterCrop(image_size)])
    splits = {}
    for split in ("train", "test"):
        dataset = ImageFolder(str(Path(root) / split))
        images = np.empty((len(dataset.samples), 3, image_size, image_size), dtype=np.uint8)
        for i, (path, _) in enumerate(dataset.samples):
            try:
                picture = dataset.loader(path)
            except OSError as error:
                raise DataError(f"{path} cannot be decoded ({error}); repair or remove it") from error
            if picture.size != (image_size, image_size):
                picture = resize(picture)
            images[i] = np.asarray(picture).transpose(2, 0, 1)
        keys = [Path(path).relative_to(Path(root) / split).as_posix() for path, _ in dataset.samples]
        splits[split] = LabelledImages(images, np.array(dataset.targets, dtype=np.int64), keys)
    return splits
