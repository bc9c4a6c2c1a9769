"""Images that look alike on both sides of a split, by the hashes of `pixels.looks`; counted and told, never dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scaling.data.pixels.looks import BITS
from scaling.data.subsets.leaks import Copies
from scaling.data.subsets.parts import Chosen

DISTANCE = 6  # bits that may differ
# Bits are cut into more bands than may differ: two that are near agree in a whole band, and only such are compared.
_BANDS = DISTANCE + 1
_WIDTH = BITS // _BANDS
_BLOCK = 1 << 20  # comparisons at a time


@dataclass(frozen=True)
class Near:
    """Counts of images that look like one in another part, exact copies left aside."""

    test: int = 0  # test images that look like an image to train on (or to draw validation from)
    val: int = 0  # validation images that look like a training image
    other_label: int = 0  # of both, those that look like a training image with another label
    val_test: int = 0  # of the user's own validation set, those that look like a test image

    @property
    def held_out(self) -> int:
        """Test and validation images that look like a training image."""
        return self.test + self.val


def near_leaks(parts: Chosen, *, looks: np.ndarray, digests: np.ndarray, labels: np.ndarray, own_val: bool) -> Near:
    """Looks for images that look alike between the parts.

    Args:
        own_val: whether the validation images are a set of the user's own, not drawn from the training images.
        looks: uint64 (rows,) of the whole catalogue, 0 where there is none; `digests` (rows, 2) and `labels` (rows,)
            likewise.
    """
    copies = Copies(digests, labels)

    def alike(rows: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = rows[~copies.among(rows, held)]
        rows, held = rows[looks[rows] != 0], held[looks[held] != 0]
        return _alike(looks[rows], looks[held], labels[rows], labels[held])

    test = alike(parts.train if own_val else np.concatenate([parts.train, parts.val]), parts.test)
    val = alike(parts.train, parts.val)
    val_test = int(alike(parts.test, parts.val)[0].sum()) if own_val else 0
    return Near(int(test[0].sum()), int(val[0].sum()), int(test[1].sum() + val[1].sum()), val_test)


def _alike(
    looks: np.ndarray, held: np.ndarray, labels: np.ndarray, held_labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """bool (held,) twice: which held images look like one of the others, and which like one with another label."""
    found, other = np.zeros(len(held), dtype=bool), np.zeros(len(held), dtype=bool)
    for band in range(_BANDS):
        for rows, columns in _buckets(looks, held, band):
            columns = columns[~(found[columns] & other[columns])]  # of those there is nothing more to know
            step = max(1, _BLOCK // max(1, len(columns)))
            for part in (rows[first : first + step] for first in range(0, len(rows), step)):
                near = np.bitwise_count(looks[part, None] ^ held[columns]) <= DISTANCE
                hit = near.any(0)
                there = columns[hit]
                found[there] = True
                other[there] |= (near[:, hit] & (labels[part, None] != held_labels[there])).any(0)
    return found, other


def _buckets(looks: np.ndarray, held: np.ndarray, band: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows of both that agree in a band, for each of its values."""
    sides = []
    for hashes in (looks, held):
        values = (hashes >> np.uint64(band * _WIDTH)).astype(np.int64) & ((1 << _WIDTH) - 1)
        order = np.argsort(values, kind="stable")
        sides.append((order, np.searchsorted(values[order], np.arange((1 << _WIDTH) + 1))))
    (rows, starts), (columns, held_starts) = sides
    for value in np.flatnonzero((np.diff(starts) > 0) & (np.diff(held_starts) > 0)).tolist():
        yield rows[starts[value] : starts[value + 1]], columns[held_starts[value] : held_starts[value + 1]]
