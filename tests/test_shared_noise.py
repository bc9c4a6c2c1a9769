"""Seeds and subsets in common: the correlation is found where it is, changes nothing where it is not, and narrows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from analysis import find_crossover
from analysis.estimator.crossover.shared_noise import Alike, how_alike
from analysis.estimator.curve.noise import summarise

Array = NDArray[np.float64]
SIZES: Array = np.array([500.0 * 2**k for k in range(8)])


def table(correlation: float, draw: int, seeds: int = 3, noise: float = 0.05) -> pd.DataFrame:
    """Two power laws with a floor that meet at 8,000; the noise of equal seeds is correlated."""
    rng = np.random.default_rng([9, draw])
    n = np.repeat(SIZES, seeds)
    common, parts = rng.standard_normal(len(n)), []
    vit = 0.02 + 20 * n**-0.55
    for family, curve in (("vit", vit), ("cnn", 0.02 + 20 * 8000**-0.55 * (n / 8000) ** -0.4)):
        own = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * rng.standard_normal(len(n))
        rows = {
            "family": family,
            "model": family,
            "train_size": n,
            "test_error": np.minimum(curve * np.exp(noise * own), 1),
        }
        parts.append(pd.DataFrame(rows | {"seed": np.tile(np.arange(seeds), len(SIZES))}))
    return pd.concat(parts, ignore_index=True)


def alike(rows: pd.DataFrame) -> Alike | None:
    sides = [rows[rows.model == m] for m in ("vit", "cnn")]
    points = tuple(summarise(s.train_size, s.test_error) for s in sides)
    return how_alike(sides[0], sides[1], (points[0], points[1]), metric="test_error", axis="train_size")


def test_the_correlation_is_found_less_its_standard_error() -> None:
    found = [f.correlation.mean() for f in (alike(table(0.8, d, seeds=6)) for d in range(20)) if f is not None]
    assert len(found) >= 10  # none where a run of 96 is taken for an outlier
    assert np.mean(found) == pytest.approx(0.8 - 1 / np.sqrt(40), abs=0.06)


def test_independent_noise_is_hardly_ever_correlated() -> None:
    found = [alike(table(0.0, d)) for d in range(100)]
    clear = [f.correlation.mean() for f in found if f is not None]
    assert len(clear) <= 30  # one standard error above zero: 16 of 100
    assert sum(clear) / 100 < 0.05


def test_without_common_seeds_there_is_nothing() -> None:
    rows = table(0.9, 0)
    assert alike(rows.drop(columns="seed")) is None
    assert alike(rows.assign(seed=rows.seed + 10 * (rows.model == "cnn"))) is None
    assert alike(rows.assign(subset_seed=rows.seed + 10 * (rows.model == "cnn"))) is None
    assert alike(table(0.9, 0, seeds=1)) is None


def test_the_weight_is_the_ratio_of_two_normal_densities() -> None:
    rng = np.random.default_rng(4)
    log_error: Array = rng.normal(size=(2, 3))
    sd: Array = np.exp(0.3 * rng.normal(size=(2, 3)))
    draws: Array = rng.normal(size=(2, 5, 3))
    rho = np.array([0.3, 0.0, 0.6])
    nothing = np.empty((3, 0))
    one, other = ((m, s) for m, s in zip(log_error, sd, strict=True))
    got = Alike(SIZES[:3], rho, one, other, (nothing, nothing)).log_weight(draws[0], draws[1])
    want = np.zeros(5)
    for i in range(3):
        both = np.stack([draws[0][:, i], draws[1][:, i]], axis=1)
        cross = rho[i] * sd[0, i] * sd[1, i]
        for sign, off in ((1, cross), (-1, 0.0)):
            covariance = [[sd[0, i] ** 2, off], [off, sd[1, i] ** 2]]
            want += sign * multivariate_normal(log_error[:, i], covariance).logpdf(both)
    np.testing.assert_allclose(got - got[0], want - want[0])  # a constant is of no matter


def test_pairs_narrow_the_interval_and_keep_the_truth_in_it() -> None:
    width: dict[bool, list[float]] = {True: [], False: []}
    covered = 0
    for draw in range(6):
        rows = table(0.8, draw)
        for paired in (True, False):
            got = find_crossover(rows if paired else rows.drop(columns="seed"), audit=False).verdict.interval
            assert got is not None
            low, high = got
            assert low is not None
            assert high is not None
            width[paired].append(np.log(high / low))
            covered += paired and low < 8_000 < high
    assert np.median(width[True]) < 0.85 * np.median(width[False])
    assert covered >= 4  # P(binomial(6, .9) < 4) = .016
