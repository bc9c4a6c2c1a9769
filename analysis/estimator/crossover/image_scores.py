"""Turns the images that the runs of a question got wrong into their scores: shared_images.py says what a score is.

Runs share test noise where they share a test set: the same pictures (`data_fingerprint`) and as many of them. Of
validation images they share those that both hold out of one pool: all, some or none.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.estimator.arrays import Array
from analysis.estimator.curve.shared_images import assumed_scores
from analysis.estimator.rows.data_sets import fingerprints
from analysis.estimator.rows.wrong_files import read_bits

Split = Literal["test", "val"]


def image_scores(rows: pd.DataFrame, split: Split = "test") -> Array | None:
    """(r, F) scores of the runs on test or validation images, a column for each image of each set; None where no two
    runs of a set have bits.

    A run without bits has the part in common with the others of its set that they have with each other, in the mean;
    where none has, what is assumed of its error.
    """
    bits = _bits_of(rows, split)
    if not bits:
        return None
    names = _sets(rows, bits, split)
    has_bits = rows.index.isin(list(bits))
    blocks, seen = [], False
    for name in sorted(set(names)):
        own = np.array([other == name for other in names])
        known = own & has_bits
        if known.sum() < 2:
            shared, of_model = assumed_scores(rows[f"{split}_error"].to_numpy(float))
            same = [(rows["model"] == model).to_numpy() for model in sorted(rows["model"].unique())]
            block = np.concatenate([shared, *(of_model * one[:, None] for one in same)], axis=1) * own[:, None]
        else:
            seen = True
            measured = _unit_scores([bits[label] for label in rows.index[known]])
            block = np.zeros((len(rows), measured.shape[1]), np.float32)
            block[known] = measured
            block[own & ~known] = _in_common(measured)
        blocks.append(block)
    return np.concatenate(blocks, axis=1) if seen else None


_Images = tuple[NDArray[np.int64], NDArray[np.bool_]]  # which images of the set or pool, and whether the run was wrong


def _bits_of(rows: pd.DataFrame, split: Split) -> dict[object, _Images]:
    """By label; a row whose `val_error` is not what its bits say has none."""
    found: dict[object, _Images] = {}
    errors = rows["val_error"] if split == "val" else None
    for label, run in read_bits(rows).items():
        if errors is None:
            found[label] = (np.arange(len(run.test)), run.test)
        elif len(run.val) and abs(run.val.mean() - errors.at[label]) < 0.5 / len(run.val):
            found[label] = (run.val_index.astype(np.int64), run.val)
    return found


def _sets(rows: pd.DataFrame, bits: dict[object, _Images], split: Split) -> list[tuple[str, int]]:
    """Per row which images it was tried on: the pictures, and how many where that tells test sets apart."""
    if split == "val":
        return [(name, 0) for name in fingerprints(rows)]
    counts = rows["test_examples"].fillna(0) if "test_examples" in rows.columns else pd.Series(0, rows.index)
    lengths = [len(bits[label][1]) if label in bits else int(n) for label, n in counts.items()]
    return list(zip(fingerprints(rows), lengths, strict=True))


def _unit_scores(runs: list[_Images]) -> np.ndarray:
    """(r, m) right and wrong less its mean, with squares that sum to one, a column for every image that any run was
    tried on; zeros for the others, and for a run with all or none wrong."""
    pool = np.unique(np.concatenate([index for index, _ in runs]))
    scores = np.zeros((len(runs), len(pool)), np.float32)
    for row, (index, wrong) in zip(scores, runs, strict=True):
        share = float(wrong.mean())
        scale = np.sqrt(len(wrong) * share * (1 - share))
        if scale > 0:
            row[np.searchsorted(pool, index)] = (wrong - share) / scale
    return scores


def _in_common(scores: np.ndarray) -> np.ndarray:
    """(m,) scores of a run that has the mean correlation of these (r, m) with another one like it."""
    total, runs = scores.sum(axis=0, dtype=np.float64), int(scores.any(axis=1).sum())
    squares = float((total**2).sum())
    if runs < 2 or squares == 0:
        return np.zeros_like(total)
    return np.asarray(total * np.sqrt(max((squares - runs) / (runs * (runs - 1)), 0.0) / squares))
