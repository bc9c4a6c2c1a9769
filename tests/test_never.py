"""The probability that two curves never meet: never raised above its prior, and near 0 where curves do cross."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.never import PRIOR, never_meet
from analysis.noise import summarise
from analysis.power_law import Curve, fit_points

SIZES = np.repeat(500 * 2.0 ** np.arange(8), 3)


def fits(vit: np.ndarray, cnn: np.ndarray, noise: float = 0.03) -> list[Curve]:
    rng = np.random.default_rng(5)
    points = [
        summarise(SIZES, y * np.exp(noise * rng.standard_normal(len(y))), test_examples=10_000) for y in (vit, cnn)
    ]
    return fit_points(points, metric="error", num_classes=None, streams=[[0], [1]], draws=200)


BASE = 20 * SIZES**-0.55


@pytest.mark.parametrize(
    ("vit", "cnn", "low", "high"),
    [
        (0.02 + BASE, 0.65 * (0.02 + BASE), 0.2, PRIOR),  # a constant factor
        (0.02 + BASE, 0.02 + 0.6 * BASE, 0.35, PRIOR),  # the same floor and exponent
        (0.02 + BASE, 0.02 + 20 * 8000**-0.55 * (8000 / SIZES) ** 0.4, 0.0, 1e-3),  # cross at 8,000
        (0.02 + BASE, 0.02 + 20 * 256e3**-0.55 * (256e3 / SIZES) ** 0.4, 0.0, 0.01),  # cross beyond the data
    ],
    ids=["factor", "approach", "inside", "beyond"],
)
def test_probability(vit: np.ndarray, cnn: np.ndarray, low: float, high: float) -> None:
    got = never_meet(*fits(vit, cnn))
    assert low <= got.probability <= high


def test_draws_keep_their_sign_and_the_factor() -> None:
    got = never_meet(*fits(BASE, 0.6 * BASE))
    difference = got.difference(np.geomspace(500, 6e6, 30), draws=100, stream=[0])
    assert difference.shape == (100, 30)
    assert (difference > 0).all()
    assert np.median(difference) == pytest.approx(-np.log(0.6), rel=0.15)


def test_swapped_curves_swap_the_sign() -> None:
    vit, cnn = fits(BASE, 0.6 * BASE)
    one, other = never_meet(vit, cnn), never_meet(cnn, vit)
    assert one.probability == pytest.approx(other.probability, abs=0.02)
    assert (other.difference(np.array([1e3, 1e5]), draws=50, stream=[0]) < 0).all()
