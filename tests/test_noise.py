"""The noise model against closed forms and simulated noise."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.estimator.curve.noise import TAU_PRIOR, summarise


def test_one_point_per_size_with_the_mean_log_error() -> None:
    points = summarise([200, 100, 100], [0.1, 0.4, 0.1])
    np.testing.assert_array_equal(points.sizes, [100, 200])
    np.testing.assert_allclose(points.log_error, [np.log(0.2), np.log(0.1)])  # log mean of .4 and .1 is .2
    np.testing.assert_array_equal(points.runs, [2, 1])


def test_the_order_of_rows_does_not_change_a_bit() -> None:
    rng = np.random.default_rng(0)
    size, error = rng.choice([100, 200, 400], 30), rng.uniform(0.1, 0.3, 30)
    mixed = rng.permutation(30)
    one, other = summarise(size, error, test_examples=500), summarise(size[mixed], error[mixed], test_examples=500)
    assert one.log_error.tobytes() == other.log_error.tobytes()
    assert one.variance.tobytes() == other.variance.tobytes()


def test_zero_errors_count_as_half_an_image_in_m_plus_one() -> None:
    points = summarise([100, 200, 400], [0.1, 0.01, 0.0], test_examples=999)
    assert points.zeros == 1
    assert points.log_error[2] == pytest.approx(np.log(0.5 / 1000))
    assert np.isfinite(summarise([100, 200], [0.0, 0.0]).log_error).all()


def test_zeros_without_a_test_sets_size_are_censored() -> None:
    """An error written as 0.00 says that it is small, not how small; .0123456789 is no rounded number."""
    points = summarise([100, 200, 400], [0.31, 0.01, 0.0])
    assert points.log_error[2] == pytest.approx(np.log(0.005))
    assert points.variance[2] > 1
    assert points.variance[1] == pytest.approx(1 / 12 + points.tau**2)  # rounded to .01, a uniform distribution
    assert summarise([100, 200], [0.1234567891, 0.0]).log_error[1] == pytest.approx(
        np.log(5e-5)
    )  # the documented floor
    assert summarise([100, 200], [0.1234567891, 0.03]).variance[1] == pytest.approx(0.02**2)


def test_binomial_noise_alone_gives_its_variance() -> None:
    # One run at y = .2 on 400 images: var(ln y) = (1 - y) / (m y) = .01, on top of the spread over seeds.
    points = summarise([100], [0.2], test_examples=400)
    assert points.variance[0] == pytest.approx(0.01 + points.tau**2)


@pytest.mark.parametrize("spread", [0.02, 0.05, 0.15])
def test_the_spread_over_seeds_is_recovered(spread: float) -> None:
    rng = np.random.default_rng(1)
    size = np.repeat(2.0 ** np.arange(7, 15), 40)
    error = 5 * size**-0.5 * np.exp(spread * rng.standard_normal(size.size))
    assert summarise(size, error).tau == pytest.approx(spread, rel=0.15)


def test_identical_seeds_do_not_mean_no_noise() -> None:
    points = summarise(np.repeat([100, 200, 400], 2), np.repeat([0.4, 0.3, 0.2], 2))
    assert 0.3 * TAU_PRIOR < points.tau < TAU_PRIOR


def test_single_runs_show_their_noise_by_roughness() -> None:
    rng = np.random.default_rng(2)
    size = np.geomspace(1e3, 1e6, 200)
    error = 3 * size**-0.3 * np.exp(0.08 * rng.standard_normal(200))
    assert summarise(size, error).tau == pytest.approx(0.08, rel=0.2)


def test_a_diverged_run_counts_less() -> None:
    size = np.repeat(500 * 2.0 ** np.arange(8), 3)
    clean = 5 * size**-0.4 * np.exp(0.03 * np.random.default_rng(4).standard_normal(size.size))
    error = clean.copy()
    error[-1] = 0.9
    before, after = summarise(size, clean), summarise(size, error)
    assert before.outliers == 0
    assert after.outliers == 1
    assert abs(after.log_error[-1] - before.log_error[-1]) < 0.1  # the plain mean moves by 0.6
    assert after.tau < 0.1


def test_a_stray_single_run_gets_no_weight_but_a_bend_keeps_its_own() -> None:
    size = 500 * 2.0 ** np.arange(8)
    error = 5 * size**-0.4
    stray = error.copy()
    stray[3] *= 3
    got = summarise(size, stray)
    assert got.outliers == 1
    assert got.variance[3] > 0.5
    bent = summarise(size, np.where(size < 4000, error, error * (4000 / size) ** 0.5))
    assert bent.outliers == 0


@pytest.mark.parametrize(("runs", "spread", "images"), [(3, 0.05, 10_000), (10, 0.02, None), (10, 0.05, 1_000)])
def test_clean_runs_are_seldom_called_outliers(runs: int, spread: float, images: int | None) -> None:
    """Aimed at: at most 1 curve in 100; of 200 clean ones a fixed scale called 9 to 18 so."""
    rng, flagged = np.random.default_rng(5), 0
    size = np.repeat(500 * 2.0 ** np.arange(8), runs)
    for _ in range(200):
        error = (0.02 + 20 * size**-0.55) * np.exp(spread * rng.standard_normal(size.size))
        if images:
            error = rng.binomial(images, np.minimum(error, 1)) / images
        flagged += summarise(size, error, test_examples=images).outliers > 0
    assert flagged <= 5  # a binomial(200, .01) is above 5 with probability .016
