"""Ridge probes: equal to scikit-learn's and to the published few-shot formula, and the same bits along a chain."""

import numpy as np
import pytest

from scaling.training.probe import (
    STRENGTHS,
    NestedSums,
    Probe,
    best_strength,
    cross_entropy,
    fit_logistic,
    fit_ridge,
    temperature,
)

D = 48
# Both sides of n = d and at it, a whole block of sums and beyond it.
SIZES = (20, D - 1, D, D + 1, 300, 1024, 2500)


def data(count: int, classes: int, *, unequal: bool = False, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clouds of points on features of very unlike scale; two features never vary, two are the same."""
    rng = np.random.default_rng(seed)
    share = np.geomspace(1, 20, classes) if unequal else np.ones(classes)
    labels = rng.choice(classes, count, p=share / share.sum())
    labels[:classes] = np.arange(classes)
    centres = np.random.default_rng(99).normal(size=(classes, D))
    features = 0.35 * centres[labels] + rng.normal(size=(count, D))
    features = features * np.geomspace(1e-2, 1e2, D) + np.linspace(-300, 30, D)
    features[:, 3], features[:, 7], features[:, 11] = 0.0, 5.3, features[:, 10]
    return features.astype(np.float32), labels


def ours(features: np.ndarray, labels: np.ndarray, n: int, classes: int, strength: float) -> Probe:
    scaler, weights, bias = NestedSums(features, labels, classes).ridge(n, [strength])
    return Probe(scaler, weights[0], bias, strength, (strength,), (0.0,))


def compare(mine: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> None:
    """Within what the project promises: errors to .001, .2% of the labels."""
    assert abs(np.mean(mine != labels) - np.mean(theirs != labels)) <= 1e-3
    assert np.mean(mine != theirs) <= 2e-3


@pytest.mark.parametrize(("classes", "unequal"), [(2, False), (10, False), (10, True), (100, False)])
@pytest.mark.parametrize("strength", [1e-4, 1e-2, 10.0])
def test_as_scikit_learns_ridge_on_its_scaler(classes: int, unequal: bool, strength: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    features, labels = data(6000, classes, unequal=unequal)
    train, test = features[:2500], features[2500:]
    for n in (n for n in SIZES if n >= classes):
        scaler = preprocessing.StandardScaler().fit(train[:n].astype(np.float64))
        model = linear_model.RidgeClassifier(alpha=strength * n)
        model.fit(scaler.transform(train[:n].astype(np.float64)), labels[:n])
        theirs = model.predict(scaler.transform(test.astype(np.float64)))
        mine = ours(train, labels, n, classes, strength).scores(test)
        compare(mine.argmax(1), theirs, labels[2500:])
        decision = model.decision_function(scaler.transform(test.astype(np.float64)))
        np.testing.assert_allclose(mine[:, 1] if classes == 2 else mine, decision, atol=2e-3)


def few_shot(train: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int) -> np.ndarray:
    """The answers of google-research/big_vision's evaluators/fewshot_lsr.py at its usual l2 of 2^10: a bias of 100 as
    one more feature, which is regularised, too."""
    mean, std = train.mean(0), train.std(0) + 1e-5
    x = np.pad((train - mean) / std, ((0, 0), (0, 1)), constant_values=100.0)
    y = 2.0 * np.eye(classes)[labels] - 1.0
    if len(x) >= x.shape[1]:
        eigenvalues, q = np.linalg.eigh(x.T @ x)
        left, right = q, q.T @ (x.T @ y)
    else:
        eigenvalues, q = np.linalg.eigh(x @ x.T)
        left, right = x.T @ q, q.T @ y
    weights = (left / (eigenvalues + 2.0**10)) @ right
    return (np.pad((test - mean) / std, ((0, 0), (0, 1)), constant_values=100.0) @ weights).argmax(1)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_as_the_published_few_shot_formula(classes: int) -> None:
    features, labels = data(6000, classes)
    train, test = features[:2500].astype(np.float64), features[2500:].astype(np.float64)
    for n in (n for n in SIZES if n >= 5 * classes):
        theirs = few_shot(train[:n], labels[:n], test, classes)
        mine = ours(features, labels, n, classes, 2.0**10 / n).scores(features[2500:]).argmax(1)
        compare(mine, theirs, labels[2500:])


def test_a_chain_and_a_single_size_are_the_same_bits() -> None:
    features, labels = data(5000, 10)
    val, val_labels = data(600, 10, seed=1)
    chain = NestedSums(features, labels, 10)
    for n in (20, 500, 1000, 1500, 3000, 5000):
        along = fit_ridge(chain, n, val, val_labels)
        alone = fit_ridge(NestedSums(features, labels, 10), n, val, val_labels)
        assert along.losses == alone.losses
        np.testing.assert_array_equal(along.weights, alone.weights)


def test_rows_after_the_first_n_change_nothing() -> None:
    features, labels = data(2000, 10)
    other = features.copy()
    other[1500:] = 1e6
    for n in (30, 1500):
        mine, theirs = (NestedSums(f, labels, 10).ridge(n, [0.1])[1] for f in (features, other))
        np.testing.assert_array_equal(mine, theirs)


def test_the_strength_is_the_weakest_that_validation_cannot_tell_from_the_best() -> None:
    """Worked out here from scores alone: the paired differences to the best, and two steps of the grid at most."""
    chosen = []
    for seed in range(4):
        features, labels = data(400, 10, seed=seed)
        val, val_labels = data(20, 10, seed=seed + 10)
        probe = fit_ridge(NestedSums(features, labels, 10), 200, val, val_labels)
        targets = 2 * np.eye(10)[val_labels] - 1
        each = [((ours(features, labels, 200, 10, s).scores(val) - targets) ** 2).mean(1) for s in STRENGTHS]
        losses = [float(loss.mean()) for loss in each]
        np.testing.assert_allclose(probe.losses, losses, rtol=1e-4)
        best = int(np.argmin(losses))
        error = [float(np.std(loss - each[best]) / np.sqrt(len(loss))) for loss in each]
        alike = [i for i in range(best - 2, best + 1) if losses[i] - losses[best] <= error[i]]
        assert probe.strength == STRENGTHS[min(alike)]
        assert STRENGTHS[0] < probe.strength < STRENGTHS[-1]
        chosen.append(best - min(alike))
    assert max(chosen) > 0  # or the rule is not tried


def test_noise_asks_for_the_strongest_and_a_clean_signal_for_a_weak_one() -> None:
    rng = np.random.default_rng(0)
    noise, labels = rng.normal(size=(300, D)).astype(np.float32), np.arange(300) % 10
    strong = fit_ridge(NestedSums(noise, labels, 10), 200, noise[200:], labels[200:])
    clean = (np.eye(10)[labels] @ rng.normal(size=(10, D))).astype(np.float32)
    weak = fit_ridge(NestedSums(clean, labels, 10), 200, clean[200:], labels[200:])
    assert strong.strength >= 10
    assert weak.strength == STRENGTHS[0]
    assert best_strength([1.0, 0.5, 0.5, 2.0]) == 2  # of equal ones the strongest


def test_every_class_at_once_below_the_smallest_n_and_features_without_any_variation() -> None:
    features = np.ones((40, 5), dtype=np.float32)
    labels = np.arange(40) % 4
    probe = fit_ridge(NestedSums(features, labels, 4), 20, features[20:], labels[20:])
    np.testing.assert_allclose(probe.scores(features), -0.5, atol=1e-6)  # a quarter of +1, three quarters of -1


def test_temperature_makes_logits_of_scores() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 5)) * 2
    cumulative = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (cumulative.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    assert temperature(logits / 7, labels) == pytest.approx(7, rel=0.03)
    assert cross_entropy(np.zeros((3, 5)), np.array([0, 1, 2])) == pytest.approx(np.log(5))


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_is_at_its_optimum(classes: int) -> None:
    pytest.importorskip("sklearn")
    features, labels = data(300, classes)
    val, val_labels = data(100, classes, seed=1)
    probe = fit_logistic(NestedSums(features, labels, classes), 200, val, val_labels, strengths=(0.03, 0.3, 3.0))
    rows = probe.scaler(features[:200]).astype(np.float64)
    shares = np.exp(rows @ probe.weights + probe.bias)
    shares /= shares.sum(1, keepdims=True)
    gradient = rows.T @ (shares - np.eye(classes)[labels[:200]]) / 200
    penalty = probe.strength * probe.weights * (2 if classes == 2 else 1)  # of two classes one difference is fitted
    np.testing.assert_allclose(gradient + penalty, 0, atol=2e-5)
    assert probe.losses[probe.strengths.index(probe.strength)] == min(probe.losses)
