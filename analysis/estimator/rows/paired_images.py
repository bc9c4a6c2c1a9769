"""Compares two values of a setting on the validation images that their runs share, image by image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.estimator.rows.wrong_files import read_bits
from scaling.records.wrong_images import WrongImages


def _by_seed(
    bits: Mapping[object, WrongImages], rows: pd.DataFrame, keys: Sequence[str]
) -> dict[Hashable, WrongImages]:
    found = {}
    for label, *seed in rows[list(keys)].itertuples(name=None):
        if label in bits:
            found[tuple(seed)] = bits[label]
    return found


def difference_variance(rows: pd.DataFrame, by: str, values: tuple[object, object]) -> float | None:
    """The variance that the drawing of the validation images gives the difference of two values' mean errors.

    Args:
        rows: of one model and size, with the bits of their runs where there are some.
        by: the column of the setting.
        values: the two that are compared, on the seeds that both have.

    Returns:
        None where the runs have no bits, or no seed and image in common.
    """
    keys = [k for k in ("seed", "subset_seed") if k in rows.columns and rows[k].notna().all()]
    if "seed" not in keys:
        return None
    bits = read_bits(rows)
    one, other = (_by_seed(bits, rows[rows[by] == value], keys) for value in values)
    sums: dict[int, list[float]] = {}  # per image of the pool the differences of the seeds
    for seed in one.keys() & other.keys():
        images, at, there = np.intersect1d(one[seed].val_index, other[seed].val_index, return_indices=True)
        away = one[seed].val[at].astype(float) - other[seed].val[there]
        for image, d in zip(images.tolist(), away.tolist(), strict=True):
            sums.setdefault(image, []).append(d)
    means = np.array([np.mean(d) for d in sums.values()])
    return float(means.var(ddof=1) / len(means)) if len(means) > 1 else None
