"""Images that stand on both sides of a split: exact copies by their digests, and images of one group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Apart:
    """What must not stand on both sides of a split.

    Args:
        digests: uint64 (rows, 2) of every row's pixels; None: copies are not looked for.
        leaks: drop keeps training images out that are exact copies of validation or test images; keep and refuse
            only count them.
        groups: of every row, by name; None: each image stands for itself.
    """

    digests: np.ndarray | None = None
    leaks: str = "drop"
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Leaks:
    """Counts of images, before any is dropped."""

    train_test: int = 0  # to train on (or to draw validation from), and exact copies of test images
    train_val: int = 0  # to train on, and exact copies of validation images
    other_label: int = 0  # of both, those that have another label there
    val_test: int = 0  # of the user's own validation set, and copies of test images
    grouped: int = 0  # to train or validate on, while their group is on the other side of a split that the user made
    dropped: int = 0

    @property
    def train(self) -> int:
        """Images to train on that are exact copies of held-out ones."""
        return self.train_test + self.train_val


class Copies:
    """Looks for exact copies between parts.

    Args:
        digests: uint64 (rows, 2); its first half tells a million images apart but for 1 chance in 30 million.
        labels: int64 (rows,)
    """

    def __init__(self, digests: np.ndarray, labels: np.ndarray) -> None:
        self.digests, self.labels = digests[:, 0], labels

    def among(self, rows: np.ndarray, held: np.ndarray) -> np.ndarray:
        """bool (len(rows),): which rows are copies of a held one."""
        return np.isin(self.digests[rows], self.digests[held])

    def with_another_label(self, rows: np.ndarray, held: np.ndarray) -> int:
        """How many rows, each a copy of a held one, have another label there."""
        there = set(zip(self.digests[held].tolist(), self.labels[held].tolist(), strict=True))
        return sum(
            pair not in there for pair in zip(self.digests[rows].tolist(), self.labels[rows].tolist(), strict=True)
        )
