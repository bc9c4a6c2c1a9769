"""What is learned from real curves: the file, the score's gradient, the cases, and the scores of the bands."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from analysis.benchmark.bands import best_stretch, crps, interval_score, judge_fits
from analysis.benchmark.learn import UNKNOWNS, _score, candidates, describe_learned, learn
from analysis.benchmark.predictive import Predictive, look_ahead
from analysis.benchmark.real_curves import CutCurve, folds_of
from analysis.estimator.curve.discrepancy import SETTINGS, make_problem
from analysis.estimator.curve.fit_curve import fit_curve, fit_points, scale_of
from analysis.estimator.curve.learned import LEARNED
from analysis.estimator.curve.noise import summarise


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


def _wandering(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A power law that wanders by 3% within a factor of 2: 8 sizes of 3 runs, and what lies between the sizes."""
    rng, sizes = np.random.default_rng(seed), 100.0 * 2.0 ** np.arange(8)
    between = np.sqrt(sizes[1:] * sizes[:-1])
    x = np.log(np.concatenate([sizes, between]))
    near = np.exp(-0.5 * ((x[:, None] - x) / 0.35) ** 2) + 1e-9 * np.eye(len(x))
    truth = -0.3 * x + 0.03 * np.linalg.cholesky(near) @ rng.standard_normal(len(x))
    runs = np.exp(np.repeat(truth[:8], 3) + 0.01 * rng.standard_normal(24))
    return np.repeat(sizes, 3), runs, between, truth[8:]


def test_bands_between_the_sizes_hold_curves_that_wander() -> None:
    """With the local part they do; a deviation that is smooth over two e-folds alone is sure of what it cannot know."""
    held: dict[bool, list[bool]] = {True: [], False: []}
    without = dataclasses.replace(SETTINGS, local=(0.0,) * len(SETTINGS.local))
    for seed in range(24):
        sizes, runs, between, truth = _wandering(seed)
        for local, settings in ((True, SETTINGS), (False, without)):
            [fit] = fit_points(
                [summarise(sizes, runs)], metric="error", num_classes=None, streams=[[seed]], settings=settings
            )
            low, high = np.quantile(fit.log_draws(between), [0.05, 0.95], axis=0)
            held[local] += list((low <= truth) & (truth <= high))
    assert 0.8 < np.mean(held[True]) < 0.98
    assert np.mean(held[False]) < 0.75


def test_sizes_that_lie_close_together_show_their_wandering_themselves() -> None:
    sparse, dense = (
        make_problem(points, scale_of(points, None))
        for points in (summarise(n, 2 * n**-0.3) for n in (100 * 2.0 ** np.arange(8), 100 * 1.1 ** np.arange(30)))
    )
    assert dense.basis.slow == len(dense.basis.centres)
    local = sparse.basis.centres[sparse.basis.slow :]
    assert len(local) > 8
    assert local.max() < sparse.u[-1] + 2 * SETTINGS.local_width  # nothing of it is said beyond the data
