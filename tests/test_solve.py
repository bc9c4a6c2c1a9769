"""The batched solver against scipy and a closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from analysis.forms import FORMS, Scale
from analysis.solve import minimise

SCALE = Scale(reference=1000.0, level=-1.5, slope=0.4, lowest=-2.5, spread=2.0, chance=0.9)
U = np.linspace(-2, 2, 8)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_agrees_with_scipy(form) -> None:
    rng = np.random.default_rng(4)
    mean, sd = np.array(form.prior(SCALE)).T
    z = form.value(mean + 0.3 * sd, U, SCALE, False)[0] + 0.03 * rng.standard_normal((5, 8))
    whiten = np.linalg.inv(np.linalg.cholesky(0.03**2 * (np.eye(8) + 0.5)))
    got = minimise(
        lambda t: form.value(t, U, SCALE, True),
        np.tile(mean, (5, 1)),
        z=z,
        whiten=whiten,
        mean=np.tile(mean, (5, 1)),
        sd=sd,
    )
    for i in range(5):

        def residuals(theta: np.ndarray, i: int = i) -> np.ndarray:
            return np.concatenate([whiten @ (z[i] - form.value(theta, U, SCALE, False)[0]), (theta - mean) / sd])

        want = least_squares(residuals, mean, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        assert got.objective[i] <= want.cost * (1 + 1e-6)
        if got.objective[i] >= want.cost * (1 - 1e-6):  # the same minimum
            np.testing.assert_allclose(got.theta[i], want.x, atol=2e-3)


def test_a_linear_problem_has_its_closed_form() -> None:
    design = np.vander(U, 2)
    z = np.random.default_rng(5).standard_normal((3, 8))
    got = minimise(
        lambda t: (t @ design.T, np.broadcast_to(design, (len(t), 8, 2))),
        np.zeros((3, 2)),
        z=z,
        whiten=np.eye(8),
        mean=np.ones((3, 2)),
        sd=np.array([0.5, 2.0]),
    )
    precision = design.T @ design + np.diag([4.0, 0.25])
    want = np.linalg.solve(precision, (z @ design + np.array([4.0, 0.25])).T).T
    np.testing.assert_allclose(got.theta, want, atol=1e-6)
    np.testing.assert_allclose(got.curvature, np.broadcast_to(precision, (3, 2, 2)))
