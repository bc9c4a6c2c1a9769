"""What many repeats of one sweep say together: the crossing of their mean errors, without any fitted curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.estimator.arrays import Array
from analysis.estimator.crossover.crossings import Direction

BOOTSTRAP = 2000
_ORDER = ("vit", "cnn")


@dataclass(frozen=True)
class Pooled:
    """The mean log ratio of the errors at each size, and where it changes its sign.

    `log_ratio` is ln(ViT error / CNN error), below 0 where the ViT leads; `spread` its standard error over repeats.
    `crossing` and `interval` (90%, over repeats drawn with replacement) are None where the sign does not change, or
    changes more than once.
    """

    sizes: Array
    log_ratio: Array
    spread: Array
    crossing: float | None
    direction: Direction | None
    interval: tuple[float, float] | None


def log_ratios(repeats: Sequence[pd.DataFrame], sizes: Array) -> Array:
    """(R, S) ln of the ViTs' mean error over the CNNs' of each repeat, at sizes that every repeat measured."""
    rows = []
    for fitted in repeats:
        means = fitted.groupby(["family", "train_size"])["test_error"].mean()
        rows.append([np.log(means["vit", n] / means["cnn", n]) for n in sizes])
    return np.array(rows, dtype=float)


def sign_change(sizes: Array, log_ratio: Array) -> tuple[float, Direction] | None:
    """Where the ratio crosses one, linear in ln n between the sizes; None for no change or several."""
    at = np.flatnonzero(np.diff(np.sign(log_ratio)) != 0)
    if len(at) != 1:
        return None
    i = int(at[0])
    share = log_ratio[i] / (log_ratio[i] - log_ratio[i + 1])
    size = float(np.exp(np.log(sizes[i]) + share * (np.log(sizes[i + 1]) - np.log(sizes[i]))))
    return size, "vit_overtakes" if log_ratio[i] > 0 else "cnn_overtakes"


def pool(repeats: Sequence[pd.DataFrame], *, seed: int = 0) -> Pooled:
    """Pools repeats of one question, each the rows that its fit would use.

    Raises:
        ValueError: fewer than two repeats, or fewer than two sizes that both families measured in all of them.
    """
    if len(repeats) < 2:
        raise ValueError("the repeats of one question are at least two")
    measured = [set(fitted[fitted["family"] == family]["train_size"]) for fitted in repeats for family in _ORDER]
    sizes = np.array(sorted(set.intersection(*measured)), dtype=float)
    if len(sizes) < 2:
        raise ValueError("the repeats have fewer than two sizes in common")
    ratios = log_ratios(repeats, sizes)
    mean = ratios.mean(axis=0)
    found = sign_change(sizes, mean)
    interval = None
    if found is not None:
        draws = np.random.default_rng(seed).integers(len(ratios), size=(BOOTSTRAP, len(ratios)))
        places = [place for row in draws if (place := sign_change(sizes, ratios[row].mean(axis=0))) is not None]
        if len(places) > BOOTSTRAP // 2:
            low, high = np.quantile([size for size, _ in places], [0.05, 0.95])
            interval = (float(low), float(high))
    return Pooled(
        sizes,
        mean,
        ratios.std(axis=0, ddof=1) / np.sqrt(len(ratios)),
        None if found is None else found[0],
        None if found is None else found[1],
        interval,
    )
