"""Which rows of a catalogue a run trains on, is chosen by and is tested on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from scaling.data.errors import DataError
from scaling.data.sources.catalogue import Catalogue
from scaling.data.subsets.groups import carve_groups
from scaling.data.subsets.leaks import Apart, Copies, Leaks
from scaling.data.subsets.nested_order import carve, carved, nested_order
from scaling.records.files import some


@dataclass(frozen=True)
class Chosen:
    """Rows of a catalogue. Every prefix of `train` and of `val` is a balanced subset; `test` is one set for all."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    leaks: Leaks = dataclasses.field(default_factory=Leaks)


def examples_to_train_on(sizes: dict[str, int], *, num_classes: int, val_share: float, test_share: float) -> int:
    """How many training images are left when validation, and where there is none test, are taken out of them."""
    left = sizes["train"]
    if not sizes["test"]:
        left -= carved(left, share=test_share, num_classes=num_classes)
    if not sizes["val"]:
        left -= carved(left, share=val_share, num_classes=num_classes)
    return left


def _of(names: tuple[str, ...] | None, rows: np.ndarray) -> list[str] | None:
    return None if names is None else [names[row] for row in rows.tolist()]


def _ordered(catalogue: Catalogue, apart: Apart, rows: np.ndarray, *, seed: int, salt: str) -> np.ndarray:
    keys, groups = _of(catalogue.keys, rows), _of(apart.groups, rows)
    assert keys is not None
    return rows[nested_order(catalogue.labels[rows], keys, seed=seed, salt=salt, groups=groups)]


def _taken_out(
    catalogue: Catalogue, apart: Apart, rows: np.ndarray, *, share: float, salt: str
) -> tuple[np.ndarray, np.ndarray]:
    labels, keys, groups = catalogue.labels[rows], _of(catalogue.keys, rows), _of(apart.groups, rows)
    assert keys is not None
    if groups is not None:
        left, out = carve_groups(labels, groups, share=share, salt=salt)
    else:
        left, out = carve(labels, keys, share=share, num_classes=len(catalogue.classes), salt=salt)
    return rows[left], rows[out]


def _without_groups_of(apart: Apart, rows: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """The rows whose group has no image in the other parts."""
    if apart.groups is None:
        return rows
    there = {group for part in others for group in _of(apart.groups, part) or ()}
    return rows[[apart.groups[row] not in there for row in rows.tolist()]]


def _copied(catalogue: Catalogue, apart: Apart, rows: np.ndarray, held: np.ndarray) -> np.ndarray:
    if apart.digests is None:
        return np.zeros(len(rows), dtype=bool)
    return Copies(apart.digests, catalogue.labels).among(rows, held)


def _without_copies(
    catalogue: Catalogue, apart: Apart, rows: np.ndarray, held: np.ndarray, leaks: Leaks, *, of: str
) -> tuple[np.ndarray, Leaks]:
    """The rows to train on, without copies of held ones where those are to be dropped, and the count with them."""
    copied = _copied(catalogue, apart, rows, held)
    count = int(copied.sum())
    if not count:
        return rows, leaks
    assert apart.digests is not None
    other = Copies(apart.digests, catalogue.labels).with_another_label(rows[copied], held)
    dropped = count if apart.leaks == "drop" else 0
    more = {"other_label": leaks.other_label + other, "dropped": leaks.dropped + dropped, of: count}
    return rows[~copied] if dropped else rows, dataclasses.replace(leaks, **more)


_ALONE = Apart()


def choose(
    catalogue: Catalogue,
    unreadable: set[int],
    *,
    subset_seed: int,
    val_share: float,
    test_share: float,
    apart: Apart = _ALONE,
) -> Chosen:
    """The rows of each part; those that cannot be read are in none of them.

    Raises:
        DataError: a class has no images in one of the parts.
    """
    readable = np.ones(len(catalogue.labels), dtype=bool)
    readable[sorted(unreadable)] = False
    train, val, test = (rows[readable[rows]] for rows in map(catalogue.rows, ("train", "val", "test")))
    if not catalogue.sizes["test"]:
        train, test = _taken_out(catalogue, apart, train, share=test_share, salt="test")
    before = len(train) + len(val)
    val = _without_groups_of(apart, val, [test])
    train = _without_groups_of(apart, train, [val, test])
    leaks = Leaks(grouped=before - len(train) - len(val), val_test=int(_copied(catalogue, apart, val, test).sum()))
    train, leaks = _without_copies(catalogue, apart, train, test, leaks, of="train_test")
    if not catalogue.sizes["val"]:
        train, val = _taken_out(catalogue, apart, train, share=val_share, salt="validation")
    train, leaks = _without_copies(catalogue, apart, train, val, leaks, of="train_val")
    _require_all_classes(catalogue, leaks, {"training": train, "validation": val, "test": test})
    train = _ordered(catalogue, apart, train, seed=subset_seed, salt="train")
    return Chosen(train, _ordered(catalogue, apart, val, seed=0, salt="val"), test, leaks)


def _require_all_classes(catalogue: Catalogue, leaks: Leaks, parts: dict[str, np.ndarray]) -> None:
    for part, rows in parts.items():
        counts = np.bincount(catalogue.labels[rows], minlength=len(catalogue.classes))
        lacking = [catalogue.classes[label] for label in np.flatnonzero(counts == 0)]
        if lacking:
            why = f", {leaks.grouped:,} left out as their group is in another part" if leaks.grouped else ""
            why += f", {leaks.dropped:,} left out as copies of held-out images" if leaks.dropped else ""
            what = f"too few images for a {part} set of all classes: none of {some(lacking)}"
            raise DataError(f"{what}{why}; add images")
