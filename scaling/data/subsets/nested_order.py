"""Which images a run may train on and validate on: nested, balanced orders that depend on names, not on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from scaling.data.errors import DataError


def _rank(salt: str, key: str) -> bytes:
    return hashlib.sha256(f"{salt}\0{key}".encode("utf-8", "surrogateescape")).digest()


def nested_order(
    labels: np.ndarray, keys: Sequence[str], *, seed: int, salt: str = "subset", groups: Sequence[str] | None = None
) -> np.ndarray:
    """An order of the pool whose every prefix is a balanced subset.

    Within a class the order is by a hash of (seed, key), the same on every machine. The classes are merged by the
    divisor method of Sainte-Laguë (the r-th image of a class of c stands at (r + 1/2) / c), which is monotone in the
    number of seats and therefore nests; the first image of every class comes before all second ones. Classes of equal
    size come out balanced to within one, unequal ones in proportion.

    Args:
        labels: (pool,) class of each image.
        keys: (pool,) a name of each image that is unique within its class and does not depend on the machine.
        groups: (pool,) what each image belongs to; a prefix then has whole groups, but for one in each class.

    Returns:
        (pool,) indices into the pool.
    """
    places: list[tuple[float, bytes, int]] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        within = f"{salt}:{seed}:{label}"
        ranked = [(_rank(within, keys[i]), i) for i in members.tolist()]
        if groups is not None:  # group by group, in the same order in every class
            turns = {name: _rank(f"{salt}:{seed}", name) for name in {groups[i] for _, i in ranked}}
            ranked = [(turns[groups[i]] + rank, i) for rank, i in ranked]
        ranked.sort()
        turn = _rank(f"{salt}:{seed}", str(label))  # ties between classes, drawn anew for each seed
        for r, (_, index) in enumerate(ranked):
            places.append((0.0 if r == 0 else (r + 0.5) / len(members), turn, index))
    return np.array([index for *_, index in sorted(places)], dtype=np.int64)


def carved(count: int, *, share: float, num_classes: int) -> int:
    """How many images are taken out of `count` for validation or test: their share, and one of each class at least."""
    return min(max(round(share * count), num_classes), count)


def carve(
    labels: np.ndarray, keys: Sequence[str], *, share: float, num_classes: int, salt: str
) -> tuple[np.ndarray, np.ndarray]:
    """Splits a pool into indices that stay and indices that are taken out. It depends on the names alone, so that
    whatever is taken out no run trains on."""
    order = nested_order(labels, keys, seed=0, salt=salt)
    count = carved(len(order), share=share, num_classes=num_classes)
    return np.sort(order[count:]), np.sort(order[:count])


def first_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """Places of the first `count` images of every class, in their order: few-shot subsets, which nest like the rest.

    Raises:
        DataError: a class has fewer.
    """
    places = [np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]
    fewest = min(map(len, places))
    if fewest < count:
        raise DataError(f"data.per_class={count}: a class has only {fewest} images to train on")
    return np.sort(np.concatenate(places))


def validation_size(train_size: int, *, num_classes: int, available: int) -> int:
    """How many validation images a run at n may look at: n/4, so that choosing is as noisy as it would be for a user
    who has n images, with a floor of four per class."""
    return min(max(train_size // 4, 4 * num_classes), available)
