"""What is learned from real curves: the file, the score's gradient, the cases, and the scores of the bands."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from analysis.benchmark.bands import best_stretch, crps, interval_score, judge_fits
from analysis.benchmark.learn import UNKNOWNS, _score, candidates, describe_learned, learn
from analysis.benchmark.predictive import Predictive, look_ahead
from analysis.benchmark.real_curves import CutCurve, folds_of
from analysis.estimator.curve.discrepancy import SETTINGS
from analysis.estimator.curve.fit_curve import fit_curve
from analysis.estimator.curve.learned import LEARNED


def _cases(count: int = 6) -> list[CutCurve]:
    """Power laws whose slope changes after the data, half of them to steeper ones."""
    found, rng = [], np.random.default_rng(3)
    for i in range(count):
        n = np.repeat(100.0 * 2.0 ** np.arange(8), 3)
        values = 2 * n**-0.3 * np.exp(0.02 * rng.standard_normal(len(n)))
        end = 4 * n[-1]
        truth = float(np.log(2 * n[-1] ** -0.3)) - (0.45 if i % 2 else 0.3) * np.log(4)
        found.append(CutCurve("lcdb", f"set{i}", str(i), 4.0, n, values, "error", None, end, truth))
    return found


@pytest.fixture(scope="module")
def ahead() -> Predictive:
    return look_ahead(_cases(), candidates(), replicates=4)


def test_the_learned_priors_are_probabilities() -> None:
    assert sum(LEARNED.prior) == pytest.approx(1, abs=1e-3)
    assert len(LEARNED.prior) == len(LEARNED.discrepancy) == len(LEARNED.rough) == len(LEARNED.beyond.factor)
    for known, forms in LEARNED.forms.items():
        assert sum(forms.values()) == pytest.approx(1, abs=1e-3)
        assert ("saturating" in forms) is known
    assert LEARNED.beyond.dof > 2
    assert LEARNED.forms == SETTINGS.form_prior


def test_the_gradient_of_the_score_is_that_of_finite_differences(ahead: Predictive) -> None:
    theta = np.concatenate([np.full(n, start) for _, n, start, _ in UNKNOWNS])
    theta = theta + 0.1 * np.random.default_rng(0).standard_normal(len(theta))
    weight = np.ones(len(ahead.truth))
    gradient = _score(theta, ahead, weight)[1]
    for i in range(len(theta)):
        step = np.zeros_like(theta)
        step[i] = 1e-4
        numeric = (_score(theta + step, ahead, weight)[0] - _score(theta - step, ahead, weight)[0]) / 2e-4
        assert gradient[i] == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def test_learning_raises_the_score(ahead: Predictive) -> None:
    start = np.concatenate([np.full(n, s) for _, n, s, _ in UNKNOWNS])
    weight = np.ones(len(ahead.truth))
    learned = learn(ahead, weight, rounds=30)
    assert _score(learned, ahead, weight)[0] < _score(start, ahead, weight)[0]
    assert sum(row["prior"] for row in describe_learned(learned)["levels"]) == pytest.approx(1, abs=1e-2)


def test_a_data_set_is_never_in_two_folds() -> None:
    cases = _cases(12)
    cases += [dataclasses.replace(c, cut=2.0) for c in cases]
    fold = folds_of(cases, 5)
    assert (fold[:12] == fold[12:]).all()
    assert set(fold) == set(range(5))


def test_scores_agree_with_what_is_published() -> None:
    """Gneiting and Raftery 2007: the CRPS of a standard normal at 0 is (sqrt 2 - 1) / sqrt pi."""
    normal = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    assert crps(normal, 0.0) == pytest.approx((np.sqrt(2) - 1) / np.sqrt(np.pi), abs=1e-3)
    one = np.ones(1)
    assert interval_score(0 * one, one, 2 * one)[0] == pytest.approx(1 + 20)


def test_the_best_stretch_of_narrow_bands_is_wider() -> None:
    rows = judge_fits(_cases(4), SETTINGS)
    narrow = rows.assign(low=rows.middle - 0.01, high=rows.middle + 0.01)
    assert best_stretch(narrow)[0] > 1


def test_bands_widen_beyond_the_data_with_heavy_tails() -> None:
    """The slope's change is Student's t: 99% bands are wider, in units of 80% bands, than a normal's."""
    n = np.repeat(100.0 * 2.0 ** np.arange(8), 3)
    curve = fit_curve(n, 2 * n**-0.3 * np.exp(0.01 * np.random.default_rng(0).standard_normal(len(n))))
    wide, inner = (np.log(curve.interval([4 * n[-1]], level)) for level in (0.99, 0.8))
    normal = stats.norm.ppf(0.995) / stats.norm.ppf(0.9)
    assert np.ptp(wide) / np.ptp(inner) > 1.15 * normal
    ends = [float(np.ptp(np.log(curve.interval([k * n[-1]])))) for k in (1, 2, 4)]
    assert ends[0] < ends[1] < ends[2]
