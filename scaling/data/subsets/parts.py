"""Which rows of a catalogue a run trains on, is chosen by and is tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scaling.data.errors import DataError
from scaling.data.sources.catalogue import Catalogue
from scaling.data.subsets.nested_order import carve, carved, nested_order
from scaling.records.files import some


@dataclass(frozen=True)
class Chosen:
    """Rows of a catalogue. Every prefix of `train` and of `val` is a balanced subset; `test` is one set for all."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def examples_to_train_on(sizes: dict[str, int], *, num_classes: int, val_share: float, test_share: float) -> int:
    """How many training images are left when validation, and where there is none test, are taken out of them."""
    left = sizes["train"]
    if not sizes["test"]:
        left -= carved(left, share=test_share, num_classes=num_classes)
    if not sizes["val"]:
        left -= carved(left, share=val_share, num_classes=num_classes)
    return left


def _ordered(catalogue: Catalogue, rows: np.ndarray, *, seed: int, salt: str) -> np.ndarray:
    keys = [catalogue.keys[row] for row in rows.tolist()]
    return rows[nested_order(catalogue.labels[rows], keys, seed=seed, salt=salt)]


def _taken_out(catalogue: Catalogue, rows: np.ndarray, *, share: float, salt: str) -> tuple[np.ndarray, np.ndarray]:
    keys = [catalogue.keys[row] for row in rows.tolist()]
    left, out = carve(catalogue.labels[rows], keys, share=share, num_classes=len(catalogue.classes), salt=salt)
    return rows[left], rows[out]


def choose(
    catalogue: Catalogue, unreadable: set[int], *, subset_seed: int, val_share: float, test_share: float
) -> Chosen:
    """The rows of each part; those that cannot be read are in none of them.

    Raises:
        DataError: a class has no images in one of the parts.
    """
    readable = np.ones(len(catalogue.labels), dtype=bool)
    readable[sorted(unreadable)] = False
    train, val, test = (rows[readable[rows]] for rows in map(catalogue.rows, ("train", "val", "test")))
    if not catalogue.sizes["test"]:
        train, test = _taken_out(catalogue, train, share=test_share, salt="test")
    if not catalogue.sizes["val"]:
        train, val = _taken_out(catalogue, train, share=val_share, salt="validation")
    for part, rows in (("training", train), ("validation", val), ("test", test)):
        counts = np.bincount(catalogue.labels[rows], minlength=len(catalogue.classes))
        lacking = [catalogue.classes[label] for label in np.flatnonzero(counts == 0)]
        if lacking:
            raise DataError(f"too few images for a {part} set of all classes: none of {some(lacking)}; add images")
    train = _ordered(catalogue, train, seed=subset_seed, salt="train")
    return Chosen(train, _ordered(catalogue, val, seed=0, salt="val"), test)
