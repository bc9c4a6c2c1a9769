"""Images that are listed one by one (in a table, a Parquet file, arrays), brought to the order that folders have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from scaling.data.errors import DataError
from scaling.data.sources.catalogue import SPLITS, Catalogue, portable
from scaling.data.sources.split_names import one_split
from scaling.records.files import some


@dataclass(frozen=True)
class ListedImage:
    """One image: its split and label, the name that subsets are drawn by, its file, and its group if there are any."""

    split: str
    label: str
    name: str
    path: str
    group: str = ""


def key_of_path(path: str, label: str) -> str:
    """The key of an image as its class folder would give it: `train/cat/1.png` of class cat is `cat/1.png`."""
    parts = portable(path).replace(os.sep, "/").split("/")
    folders = parts[:-1]
    return "/".join(parts[folders.index(label) :]) if label in folders else f"{label}/{parts[-1]}"


def split_of(word: str, *, root: str) -> str:
    """The split that a word of the data means.

    Raises:
        DataError: it means none.
    """
    split = one_split(word)
    if split is None:
        raise DataError(f"{root}: {word!r} is no split; train, val and test are (and their usual names)")
    return split


def _unique_keys(items: Sequence[ListedImage], root: str) -> list[str]:
    """Short keys where they tell the images of a split apart, else those with the whole path."""
    short = [key_of_path(item.name, item.label) for item in items]
    if len({(item.split, key) for item, key in zip(items, short, strict=True)}) == len(items):
        return short
    whole = [f"{item.label}/{portable(item.name).replace(os.sep, '/')}" for item in items]
    seen: set[tuple[str, str]] = set()
    for item, key in zip(items, whole, strict=True):
        if (item.split, key) in seen:
            raise DataError(f"{root}: {item.name} is listed more than once; keep one line of it")
        seen.add((item.split, key))
    return whole


def _check_classes(items: Sequence[ListedImage], root: str) -> tuple[str, ...]:
    by_split = {split: {item.label for item in items if item.split == split} for split in SPLITS}
    classes = by_split["train"]
    if not classes:
        raise DataError(f"{root}: none of its images is for training")
    if len(classes) < 2:
        raise DataError(f"{root}: only one class ({min(classes)}); at least two are needed")
    if len(classes) > max(2, len(items) // 2):
        some_of = some(sorted(classes))
        raise DataError(f"{root}: {len(classes):,} labels for {len(items):,} images are no classes ({some_of})")
    several = [name for name in sorted(classes) if "|" in name and {*name.split("|")} & classes]
    if several:
        raise DataError(f"{root}: images with several labels ({some(several)}): one class an image is needed")
    for split in ("val", "test"):
        odd = sorted(classes ^ by_split[split])
        if by_split[split] and odd:
            raise DataError(f"{root}: train and {split} have different classes: {some(odd)} only in one of them")
    return tuple(sorted(classes))


def catalogue_of(items: Iterable[ListedImage], *, root: str) -> tuple[Catalogue, tuple[str, ...] | None]:
    """The catalogue of listed images, and their groups where any has one.

    Raises:
        DataError: an image is listed twice, or a split lacks a class.
    """
    listed = list(items)
    if not any(item.split == "test" for item in listed):  # as in folders: val beside train alone is the test set
        listed = [ListedImage("test", *_rest(item)) if item.split == "val" else item for item in listed]
    classes = _check_classes(listed, root)
    number = {name: i for i, name in enumerate(classes)}
    keys = _unique_keys(listed, root)
    places = [
        (SPLITS.index(item.split), number[item.label], key.split("/")) for item, key in zip(listed, keys, strict=True)
    ]
    order = sorted(range(len(listed)), key=places.__getitem__)
    sizes = {split: sum(item.split == split for item in listed) for split in SPLITS}
    labels = np.array([number[listed[i].label] for i in order], dtype=np.int64)
    paths = tuple(listed[i].path for i in order)
    groups = tuple(listed[i].group for i in order) if any(item.group for item in listed) else None
    return Catalogue(classes, tuple(keys[i] for i in order), labels, sizes, paths), groups


def _rest(item: ListedImage) -> tuple[str, str, str, str]:
    return item.label, item.name, item.path, item.group
