"""Training images that are copies, by their pixels: those of held-out images, and second copies of training images.

A training image that is a test image, too, makes the test easier for whoever remembers it; a second copy of a training
image is no further image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WithoutCopies:
    """`train` are the rows that are left, in their order."""

    train: np.ndarray
    copies: int  # second copies of training images
    leaks: int  # training images that are validation or test images, too
    disagree: int  # left out, while their copy stands in another class


def without_copies(
    train: np.ndarray, held_out: np.ndarray, *, digests: np.ndarray, labels: np.ndarray
) -> WithoutCopies:
    """Leaves copies out of the rows to train on.

    Args:
        train, held_out: rows.
        digests: uint64 (rows, 2), equal for equal pixels.
        labels: int64 (rows,).
    """
    prints = [tuple(digest) for digest in digests.tolist()]
    held = {prints[row]: int(labels[row]) for row in held_out.tolist()}
    seen: dict[tuple[int, ...], int] = {}
    kept, leaks, copies, disagree = [], 0, 0, 0
    for row in train.tolist():
        first = held.get(prints[row], seen.get(prints[row]))
        if first is None:
            seen[prints[row]] = int(labels[row])
            kept.append(row)
            continue
        disagree += first != labels[row]
        leaks, copies = leaks + (prints[row] in held), copies + (prints[row] not in held)
    return WithoutCopies(np.array(kept, dtype=np.int64), copies, leaks, disagree)
