"""fit_curve: known curves recovered, honest intervals in cheap simulations, bad input refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from analysis import fit_curve

SIZES = 500 * 2.0 ** np.arange(8)


def simulate(truth: Callable[[np.ndarray], np.ndarray], seed: int, spread: float = 0.03, runs: int = 3) -> tuple:
    rng = np.random.default_rng(seed)
    n = np.repeat(SIZES, runs)
    return n, rng.binomial(10_000, np.clip(truth(n) * np.exp(spread * rng.standard_normal(n.size)), 0, 1)) / 10_000


@pytest.mark.parametrize("floor", [0.0, 0.03])
def test_exact_curves_are_recovered(floor: float) -> None:
    n = np.repeat(SIZES, 3)
    curve = fit_curve(n, floor + 12 * n**-0.5)
    np.testing.assert_allclose(curve.predict(SIZES), floor + 12 * SIZES**-0.5, rtol=0.01)
    np.testing.assert_allclose(curve.predict([128_000.0]), floor + 12 * 128_000**-0.5, rtol=0.06)
    low, high = curve.interval([128_000.0])[0]
    assert low < floor + 12 * 128_000**-0.5 < high


def test_parameters_of_the_right_form() -> None:
    n = np.repeat(SIZES, 5)
    forms = {f["name"]: f for f in fit_curve(n, 12 * n**-0.5).forms}
    assert forms["power"]["parameters"]["alpha"] == pytest.approx(0.5, abs=0.01)
    assert forms["power"]["parameters"]["A"] == pytest.approx(12, rel=0.1)
    assert sum(f["weight"] for f in forms.values()) == pytest.approx(1)
    assert forms["power"]["weight"] > 0.2


def test_predictions_have_the_shapes_promised() -> None:
    curve = fit_curve(*simulate(lambda n: 12 * n**-0.5, 0), test_examples=10_000, num_classes=10)
    assert curve.predict(1000.0).shape == ()
    assert curve.predict([[1000.0, 2000.0]]).shape == (1, 2)
    assert curve.interval([1000.0, 2000.0, 1e5]).shape == (3, 2)
    narrow, wide = curve.interval([1e5], level=0.5)[0], curve.interval([1e5], level=0.95)[0]
    assert wide[0] < narrow[0] < curve.predict([1e5])[0] < narrow[1] < wide[1]


TRUTHS = {
    "floor": lambda n: 0.03 + 12 * n**-0.5,
    "saturating": lambda n: 0.03 + 0.87 / (1 + (n / 1500) ** 0.8),
    "broken": lambda n: 2 * n**-0.25 * (1 + (n / 8000) ** 2) ** -0.15,
}


@pytest.mark.parametrize("name", TRUTHS)
def test_intervals_cover_whatever_the_form(name: str) -> None:
    """30 draws, fitted without the chance level. A binomial(30, .9) lies below 22 with probability .002."""
    truth, far = TRUTHS[name], np.array([2000.0, 8000.0, 256_000.0])
    covered = np.zeros(3)
    for seed in range(30):
        interval = fit_curve(*simulate(truth, seed), test_examples=10_000).interval(far)
        covered += (interval[:, 0] <= truth(far)) & (truth(far) <= interval[:, 1])
    assert (covered >= 22).all(), covered


def test_the_curve_widens_beyond_the_data() -> None:
    curve = fit_curve(*simulate(TRUTHS["floor"], 1), test_examples=10_000)
    width = np.diff(np.log(curve.interval([16_000, 64_000, 256_000, 640_000]))).ravel()
    assert (np.diff(width) > 0).all()


def test_same_input_same_bits_whatever_the_order() -> None:
    n, y = simulate(TRUTHS["floor"], 2)
    mixed = np.random.default_rng(0).permutation(n.size)
    one, other = fit_curve(n, y, test_examples=10_000), fit_curve(n[mixed], y[mixed], test_examples=10_000)
    assert one.log_draws(SIZES).tobytes() == other.log_draws(SIZES).tobytes()
    assert one.forms == other.forms
    assert fit_curve(n, y, test_examples=10_000, seed=1).log_draws(SIZES).tobytes() != one.log_draws(SIZES).tobytes()


def test_losses_in_nats() -> None:
    n = np.repeat(SIZES, 2)
    curve = fit_curve(n, 1.2 + 30 * n**-0.45, metric="loss", num_classes=1000)
    assert curve.predict([64_000.0])[0] == pytest.approx(1.2 + 30 * 64_000**-0.45, rel=0.02)
    assert {f["name"]: f for f in curve.forms}["saturating"]["parameters"]["chance"] == pytest.approx(np.log(1000))


def codes(curve) -> set[str]:
    return {w["code"] for w in curve.warnings}


def test_what_is_odd_is_said() -> None:
    assert codes(fit_curve(SIZES[:4], [0.4, 0.3, 0.2, 0.15])) == {"few_sizes", "single_seed"}
    n = np.repeat(SIZES, 3)
    jagged = 12 * n**-0.5 * np.where(np.isin(n, SIZES[3:5]), 1.9, 1)
    assert {"not_monotone", "lack_of_fit"} <= codes(fit_curve(n, jagged))
    assert "zero_error" in codes(fit_curve(SIZES, [0.5, 0.2, 0.1, 0.03, 0.01, 0.004, 0.001, 0], test_examples=1000))


def test_lack_of_fit_is_calibrated_on_a_power_law() -> None:
    p = [fit_curve(*simulate(lambda n: 12 * n**-0.5, s), test_examples=10_000).lack_of_fit for s in range(30)]
    assert 0.2 < np.mean(p) < 0.8
    assert np.min(p) > 1e-3


@pytest.mark.parametrize(
    ("sizes", "errors", "options", "message"),
    [
        ([100, 200], [0.3, 0.2], {}, "at least 3"),
        ([100, 100, 200], [0.3, 0.3, 0.2], {}, "at least 3"),
        ([100, 200, 400], [0.3, 1.2, 0.1], {}, r"\[0, 1\]"),
        ([100, 200, 400], [0.3, np.nan, 0.1], {}, "finite"),
        ([100, 200, -1], [0.3, 0.2, 0.1], {}, "> 0"),
        ([100, 200, 400], [0.3, 0.2], {}, "one length"),
        ([100, 200, 400], [30, 20, 10], {"metric": "accuracy"}, r"accuracy=30 lies outside \[0, 1\]"),
        ([100, 200, 400], [0.3, 0.2, 0.1], {"metric": "speed"}, "better=higher or better=lower"),
        ([100, 200, 400], [0.3, 0.2, 0.1], {"metric": "speed", "better": "higher"}, "needs an upper end"),
        ([100, 200, 400], [0.3, 0.2, 0.1], {"test_examples": 0}, "test_examples"),
        ([100, 200, 400], [0.3, 0.2, 0.1], {"num_classes": 1}, "num_classes"),
    ],
)
def test_bad_input(sizes, errors, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_curve(sizes, errors, **options)


def test_extreme_but_legal_input() -> None:
    for errors in ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.1, 0.2, 0.3], [0.9, 0.9, 0.0]):
        curve = fit_curve([10, 100, 1000], errors, test_examples=100, num_classes=2)
        assert np.isfinite(curve.interval([10, 1e4])).all()


def test_plateaus_and_corners_are_said() -> None:
    n = np.repeat(500 * 2.0 ** np.arange(8), 3)
    rng = np.random.default_rng(8)
    noise = np.exp(0.02 * rng.standard_normal(len(n)))
    flat = np.where(n < 4000, 0.5, 0.5 * (n / 4000) ** -0.6)
    corner = np.where(n < 4000, 0.5 * (n / 4000) ** -0.3, 0.5 * (n / 4000) ** -0.8)
    assert "plateau" in codes(fit_curve(n, flat * noise))
    assert "broken" in codes(fit_curve(n, corner * noise))
    assert not {"plateau", "broken"} & codes(fit_curve(n, 5 * n**-0.4 * noise))
