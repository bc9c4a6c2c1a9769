"""Pairs of draws: leads that change too fast become rare, ties follow theory, and nothing inside the data is lost."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimator.crossover.paired_draws import ALWAYS_TIED, PARTNERS, UNTIED, Draws, pair_draws, sizes_to_tie

LOW, HIGH = 500.0, 64_000.0


def lines(slopes: np.ndarray, level: float = 0.0) -> Draws:
    """Straight lines through `level` at HIGH, one per slope, that all fall alike inside the data."""

    def at(n: np.ndarray) -> np.ndarray:
        u = np.log(n / HIGH)
        return level - np.where(u < 0, 0.4 * u, slopes[:, None] * u)

    return at


def change_of_lead(tie: float, spread: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Over one factor beyond the data, in the pairs that are tied and in those that are not."""
    rng = np.random.default_rng(1)
    one, other = (lines(rng.normal(0.4, spread, 4_000)) for _ in range(2))
    pairs = pair_draws(one, other, low=LOW, high=HIGH, stream=[0], tie=tie)
    at = HIGH * np.array([1.0, 4.0])
    change = np.diff(one(at)[pairs.first] - other(at)[pairs.second], axis=1)[:, 0]
    return change[: pairs.tied], change[pairs.tied :]


@pytest.mark.parametrize("tie", [0.5, 1.0])
def test_the_changes_spread_is_that_of_both_priors(tie: float) -> None:
    """Normal priors multiply: of the curves' own spread, and of the tie, which both steps of these lines bring in."""
    own, step = 0.2 * np.sqrt(2) * np.log(4), tie * 0.4 * np.log(4)
    expected = 1 / np.sqrt(1 / own**2 + 2 / step**2)
    tied, free = change_of_lead(tie)
    assert tied.std() == pytest.approx(expected, rel=0.05)
    assert free.std() == pytest.approx(own, rel=0.06)
    agree = (1 + 2 * own**2 / step**2) ** -0.5  # mean of exp(-change^2 / step^2), of normal changes
    assert len(free) / 4_000 == pytest.approx((1 - ALWAYS_TIED) * UNTIED / (agree + UNTIED), abs=0.01)


def test_curves_that_part_free_more_pairs_than_curves_that_run_along() -> None:
    rng = np.random.default_rng(4)
    one, along, apart = (lines(rng.normal(slope, 0.05, 1_000)) for slope in (0.4, 0.4, 0.8))
    even, parting = (pair_draws(one, o, low=LOW, high=HIGH, stream=[0]) for o in (along, apart))
    assert even.tied > 500 > 200 > parting.tied >= ALWAYS_TIED * 1_000


def test_an_infinite_tie_ties_nothing() -> None:
    tied, _ = change_of_lead(np.inf)
    assert tied.std() == pytest.approx(0.2 * np.sqrt(2) * np.log(4), rel=0.05)


def test_every_number_of_draws_comes_back_in_reproducible_pairs() -> None:
    rng = np.random.default_rng(2)
    one, other = (lines(rng.normal(0.4, 0.1, 1_000)) for _ in range(2))
    got, again = (pair_draws(one, other, low=LOW, high=HIGH, stream=[3]) for _ in range(2))
    np.testing.assert_array_equal(got.first, again.first)
    np.testing.assert_array_equal(got.second, again.second)
    assert len(got.first) == len(got.second) == 1_000
    assert 0 < got.tied == again.tied < 1_000
    assert np.bincount(got.first[: got.tied], minlength=1_000).max() <= PARTNERS
    assert len(np.unique(got.first)) > 500  # the weights leave most draws in


def test_curves_that_do_not_fall_are_no_division_by_zero() -> None:
    flat = lines(np.zeros(50))
    pairs = pair_draws(
        lambda n: np.zeros((50, len(n))), lambda n: np.zeros((50, len(n))), low=HIGH, high=HIGH, stream=[0]
    )
    assert len(pairs.first) == 50
    assert flat(sizes_to_tie(LOW, HIGH)).shape == (50, 4)
    np.testing.assert_allclose(sizes_to_tie(LOW, HIGH), [16_000, 64_000, 256_000, 1_024_000])
