"""The batched solver against scipy and a closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from analysis.estimator.curve.forms import FORMS, Scale
from analysis.estimator.curve.least_squares import minimise, solve_positive

SCALE = Scale(reference=1000.0, level=-1.5, slope=0.4, lowest=-2.5, spread=2.0, chance=0.9)
U = np.linspace(-2, 2, 8)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_agrees_with_scipy(form) -> None:
    rng = np.random.default_rng(4)
    mean, sd = np.array(form.prior(SCALE)).T
    truth = form.value((mean + 0.3 * sd)[:, None], U[:, None], SCALE.chance, False)[0]
    z = truth + 0.03 * rng.standard_normal((8, 5))
    whiten = np.linalg.inv(np.linalg.cholesky(0.03**2 * (np.eye(8) + 0.5)))
    groups = np.stack([whiten, 2 * whiten])  # the last problem has half the noise
    got = minimise(
        lambda t, which: form.value(t, U[:, None], SCALE.chance, True),
        np.tile(mean[:, None], (1, 5)),
        z=z,
        whiten=groups,
        group=np.array([0, 0, 0, 0, 1]),
        mean=mean[:, None],
        sd=sd[:, None],
        tolerance=1e-10,
    )
    for i in range(5):

        def residuals(theta: np.ndarray, i: int = i) -> np.ndarray:
            value = form.value(theta[:, None], U[:, None], SCALE.chance, False)[0][:, 0]
            return np.concatenate([groups[i // 4] @ (z[:, i] - value), (theta - mean) / sd])

        want = least_squares(residuals, mean, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        assert got.objective[i] <= want.cost * (1 + 1e-6)
        if got.objective[i] >= want.cost * (1 - 1e-6):  # the same minimum
            np.testing.assert_allclose(got.theta[:, i], want.x, atol=2e-3)


def test_a_linear_problem_has_its_closed_form() -> None:
    design = np.vander(U, 2)
    z = np.random.default_rng(5).standard_normal((8, 3))
    got = minimise(
        lambda t, which: (design @ t, [np.tile(column[:, None], (1, len(which))) for column in design.T]),
        np.zeros((2, 3)),
        z=z,
        whiten=np.eye(8)[None],
        group=np.zeros(3, dtype=int),
        mean=np.ones((2, 1)),
        sd=np.array([[0.5], [2.0]]),
        tolerance=1e-12,
    )
    precision = design.T @ design + np.diag([4.0, 0.25])
    want = np.linalg.solve(precision, design.T @ z + np.array([[4.0], [0.25]]))
    np.testing.assert_allclose(got.theta, want, atol=1e-6)
    np.testing.assert_allclose(got.curvature, np.broadcast_to(precision[:, :, None], (2, 2, 3)))


def test_positive_definite_systems_are_solved() -> None:
    rng = np.random.default_rng(6)
    root = rng.standard_normal((50, 5, 7))
    matrix, right = root @ root.transpose(0, 2, 1), rng.standard_normal((50, 5))
    got = solve_positive(np.moveaxis(matrix, 0, -1), right.T)
    np.testing.assert_allclose(got.T, np.linalg.solve(matrix, right[..., None])[..., 0], rtol=1e-6)
