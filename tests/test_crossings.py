"""Verdicts on sets of differences whose answer is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimator.crossover.crossings import make_grid
from analysis.estimator.crossover.verdict import MeasuredSizes, Verdict, decide

LOW, HIGH = 100.0, 10_000.0
SIZES = MeasuredSizes(LOW, HIGH, np.geomspace(LOW, HIGH, 8))
GRID = make_grid(LOW, HIGH, SIZES.common)
X = np.log(GRID)


def verdict(draws: np.ndarray) -> Verdict:
    return decide(GRID, draws, sizes=SIZES, level=0.9)


def falling(sizes: np.ndarray, slope: float = 0.1) -> np.ndarray:
    """Straight lines in log-log that cross zero at `sizes`, from above."""
    return slope * (np.log(np.asarray(sizes))[:, None] - X)


def test_the_grid_reaches_from_the_smallest_size_beyond_the_horizon() -> None:
    assert GRID[0] == pytest.approx(LOW)
    assert GRID[-1] == pytest.approx(100 * HIGH)
    assert np.isclose(GRID, 10 * HIGH).sum() == 1
    assert (np.diff(GRID) > 0).all()


def test_a_crossing_inside_is_observed_with_the_quantiles_of_its_place() -> None:
    sizes = np.geomspace(800, 1250, 1001)
    got = verdict(falling(sizes))
    assert (got.verdict, got.direction) == ("observed", "vit_overtakes")
    assert got.crossover_size == pytest.approx(1000, rel=1e-3)
    assert got.interval == pytest.approx((np.quantile(sizes, 0.05), np.quantile(sizes, 0.95)), rel=5e-3)
    assert got.p_crossing == 1.0
    assert got.extrapolation_factor == pytest.approx(0.1, rel=1e-3)


def test_the_direction_is_that_of_the_difference() -> None:
    got = verdict(-falling(np.geomspace(800, 1250, 101)))
    assert (got.verdict, got.direction) == ("observed", "cnn_overtakes")


def test_a_crossing_beyond_is_extrapolated_and_may_be_open() -> None:
    got = verdict(falling(np.geomspace(20_000, 80_000, 101)))
    assert (got.verdict, got.p_crossing) == ("extrapolated", 1.0)
    assert got.extrapolation_factor == pytest.approx(4, rel=1e-3)
    never = np.full((40, len(X)), 0.2)
    open_ended = verdict(np.concatenate([falling(np.geomspace(20_000, 80_000, 160)), never]))
    assert (open_ended.verdict, open_ended.p_crossing, open_ended.probability) == ("extrapolated", 0.8, 0.8)
    assert open_ended.interval is not None
    assert open_ended.interval[0] == pytest.approx(22_000, rel=0.1)
    assert open_ended.interval[1] is None


@pytest.mark.parametrize(("share", "leans"), [(0.45, False), (0.5, True), (0.78, True)])
def test_a_likely_crossing_that_is_not_claimed_is_leaned_to(share: float, leans: bool) -> None:
    crossing = round(200 * share)
    never = np.full((200 - crossing, len(X)), 0.2)
    got = verdict(np.concatenate([falling(np.geomspace(20_000, 80_000, crossing)), never]))
    assert (got.verdict, got.crossover_size, got.probability) == ("not_identifiable", None, None)
    assert (got.lean is not None) == leans
    if got.lean is not None:
        assert (got.lean.direction, got.lean.probability) == ("vit_overtakes", pytest.approx(share))
        assert 20_000 < got.lean.size < 80_000
        assert set(got.lean.to_dict()) == {"direction", "size", "interval", "p"}
    assert got.known is not None
    assert got.known.to_dict() == {"family": "cnn", "from": LOW, "to": HIGH, "p": 1.0}


def test_no_crossing_without_a_clear_lead_on_both_sides() -> None:
    """All draws cross near 1,000, but at the largest size only 7 in 10 have the ViT ahead again."""
    back = np.where(np.arange(100)[:, None] < 70, 1.0, -1.0)
    lead = np.where(np.log(1000) > X, 0.1 * (np.log(1000) - X), 0.1 * (np.log(1000) - X) * back)
    got = verdict(lead)
    assert got.verdict == "not_identifiable"
    assert got.known is not None
    assert (got.known.family, got.known.first, got.known.probability) == ("cnn", LOW, 1.0)
    assert got.known.last == SIZES.common[SIZES.common < 1000][-1]
    sure = verdict(np.where(np.log(1000) > X, 0.1, -0.1) * np.abs(np.log(1000) - X) * np.ones((100, 1)))
    assert (sure.verdict, sure.probability) == ("observed", 1.0)


@pytest.mark.parametrize(("ratio", "name"), [(1.0, "equivalent"), (1.04, "equivalent"), (1.07, "cnn_ahead")])
def test_level_families_are_equivalent(ratio: float, name: str) -> None:
    draws = np.log(ratio) + 0.003 * np.random.default_rng(3).standard_normal((200, 1)) * (X - X.mean()) / 5
    assert verdict(draws).verdict == name
    wide = np.concatenate([draws[:85], draws[:15] + 0.2])  # 15 of 100 are far apart
    assert verdict(wide).verdict == ("not_identifiable" if ratio == 1.0 else "cnn_ahead")
    assert decide(GRID, draws, sizes=SIZES, level=0.9, within=0.1).verdict == "equivalent"


def test_nothing_is_observed_where_no_size_was_measured_by_both() -> None:
    apart = MeasuredSizes(LOW, HIGH, np.empty(0))
    got = decide(
        make_grid(LOW, HIGH),
        0.1 * (np.log(1000) - np.log(make_grid(LOW, HIGH))) * np.ones((9, 1)),
        sizes=apart,
        level=0.9,
    )
    assert (got.verdict, got.known, got.lean) == ("not_identifiable", None, None)


def test_an_interval_may_have_an_end_beyond_the_horizon() -> None:
    got = verdict(falling(np.geomspace(30_000, 300_000, 101)))
    assert got.interval is not None
    assert 1e5 < (got.interval[1] or 0) < 3e5
    assert 0.5 < (got.p_crossing or 0) < 0.6


def test_no_claim_below_even_odds_but_a_bound() -> None:
    draws = np.concatenate([falling(np.geomspace(20_000, 80_000, 40)), np.full((60, len(X)), 0.2)])
    got = verdict(draws)
    assert (got.verdict, got.crossover_size, got.direction) == ("not_identifiable", None, None)
    assert got.p_crossing == pytest.approx(0.4)
    assert got.interval is not None
    assert got.interval[0] == pytest.approx(24_000, rel=0.1)
    assert got.interval[1] is None


@pytest.mark.parametrize(("sign", "name"), [(1, "cnn_ahead"), (-1, "vit_ahead")])
def test_one_family_ahead_to_the_horizon(sign: int, name: str) -> None:
    rng = np.random.default_rng(0)
    parallel = sign * (0.3 + 0.02 * rng.standard_normal((200, 1)) + np.zeros_like(X))
    got = verdict(parallel)
    assert (got.verdict, got.p_crossing, got.crossover_size) == (name, 0.0, None)
    mostly = np.concatenate([parallel[:95], -parallel[:5]])
    assert verdict(mostly).verdict == name
    assert verdict(np.concatenate([parallel[:85], -parallel[:15]])).verdict == "not_identifiable"
    assert got.probability == 1.0


def test_two_likely_crossings_are_multiple() -> None:
    rng = np.random.default_rng(1)
    first, second = (
        np.log(500) + 0.1 * rng.standard_normal((300, 1)),
        np.log(20_000) + 0.1 * rng.standard_normal((300, 1)),
    )
    got = verdict(0.05 * (X - first) * (X - second))
    assert (got.verdict, got.direction, got.crossover_size, got.interval) == ("multiple", None, None, None)
    assert [c.direction for c in got.crossings] == ["vit_overtakes", "cnn_overtakes"]
    np.testing.assert_allclose([c.size for c in got.crossings], [500, 20_000], rtol=0.05)
    assert all(c.probability == 1 for c in got.crossings)


def test_equal_curves_do_not_cross_anywhere_in_particular() -> None:
    rng = np.random.default_rng(2)
    lines = 0.03 * rng.standard_normal((1000, 1)) + 0.02 * rng.standard_normal((1000, 1)) * (X - X.mean())
    assert verdict(lines).verdict == "not_identifiable"


def test_a_clear_crossing_and_a_likely_one_beyond_the_data_are_one_crossing() -> None:
    """By the contract both sides of each of several crossings are clear: the second has P = .6."""
    first = np.log(500) + 0.1 * np.random.default_rng(2).standard_normal((300, 1))
    returns = np.arange(300)[:, None] < 180
    difference = np.where(returns, 0.05 * (X - first) * (X - np.log(30_000)), -0.2 * (X - first))
    got = verdict(difference)
    assert (got.verdict, got.direction) == ("observed", "vit_overtakes")
    assert got.crossover_size == pytest.approx(500, rel=0.05)
    assert [c.probability for c in got.crossings] == pytest.approx([1.0, 0.6], abs=0.02)
