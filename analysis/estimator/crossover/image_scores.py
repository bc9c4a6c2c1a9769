"""Turns the images that the runs of a question got wrong into their scores: shared_images.py says what a score is.

Runs share test noise where they share a test set: the same pictures (`data_fingerprint`) and as many of them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.estimator.arrays import Array
from analysis.estimator.curve.shared_images import assumed_scores
from analysis.estimator.rows.data_sets import fingerprints
from analysis.estimator.rows.wrong_files import read_bits


def image_scores(rows: pd.DataFrame) -> Array | None:
    """(r, F) scores of the runs, a column for each image of each test set; None where no two runs of a test set have
    bits.

    A run without bits has the part in common with the others of its test set that they have with each other, in the
    mean; where none has, what is assumed of its error.
    """
    bits = read_bits(rows)
    if not bits:
        return None
    counts = rows["test_examples"].fillna(0) if "test_examples" in rows.columns else pd.Series(0, rows.index)
    lengths = [len(bits[label].test) if label in bits else int(n) for label, n in counts.items()]
    sets = pd.Series(list(zip(fingerprints(rows), lengths, strict=True)), rows.index)
    has_bits = rows.index.isin(list(bits))
    blocks, seen = [], False
    for name in sorted(set(sets)):
        own = (sets == name).to_numpy()
        known = own & has_bits
        if known.sum() < 2:
            shared, of_model = assumed_scores(rows["test_error"].to_numpy(float))
            same = [(rows["model"] == model).to_numpy() for model in sorted(rows["model"].unique())]
            block = np.concatenate([shared, *(of_model * one[:, None] for one in same)], axis=1) * own[:, None]
        else:
            seen = True
            block = np.zeros((len(rows), name[1]), np.float32)
            block[known] = measured = _unit_scores(np.stack([bits[label].test for label in rows.index[known]]))
            block[own & ~known] = _in_common(measured)
        blocks.append(block)
    return np.concatenate(blocks, axis=1) if seen else None


def _unit_scores(wrong: np.ndarray) -> np.ndarray:
    """(r, m) right and wrong less its mean, with squares that sum to one; zeros for a run with all or none wrong."""
    share = wrong.mean(axis=1, keepdims=True)
    scale = np.sqrt(wrong.shape[1] * share * (1 - share))
    return np.asarray((wrong - share) / np.where(scale > 0, scale, np.inf), np.float32)


def _in_common(scores: np.ndarray) -> np.ndarray:
    """(m,) scores of a run that has the mean correlation of these (r, m) with another one like it."""
    total, runs = scores.sum(axis=0, dtype=np.float64), int(scores.any(axis=1).sum())
    squares = float((total**2).sum())
    if runs < 2 or squares == 0:
        return np.zeros_like(total)
    return np.asarray(total * np.sqrt(max((squares - runs) / (runs * (runs - 1)), 0.0) / squares))
