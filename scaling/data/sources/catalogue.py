"""What a data set consists of, before a pixel is read: its classes, and the key, label and split of every image."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Catalogue:
    """One row for each image, the training images first, then those of val (if there are any), then those of test.

    `keys` are names that are unique within a split and the same on every machine; subsets are drawn by them.
    `paths` is None where the images do not lie in files of their own.
    """

    classes: tuple[str, ...]
    keys: tuple[str, ...]
    labels: np.ndarray  # int64 (rows,)
    sizes: dict[str, int]  # rows of each split; one that is not there has 0
    paths: tuple[str, ...] | None = None
    origin: str | None = None  # the container that the files were unpacked from: their own names mean nothing

    def names(self) -> tuple[str, ...]:
        """What the user calls each image."""
        if self.origin is not None or self.paths is None:
            return tuple(f"{self.origin}: {key}" for key in self.keys) if self.origin else self.keys
        return self.paths

    def rows(self, split: str) -> np.ndarray:
        """(count,) the rows of a split."""
        start = sum(self.sizes[name] for name in SPLITS[: SPLITS.index(split)])
        return np.arange(start, start + self.sizes[split])


def portable(name: str) -> str:
    """A file's name in one spelling: macOS stores accents as letters of their own, others do not."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
