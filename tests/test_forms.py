"""Every form: derivatives against finite differences, values against their published formulas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq

from analysis.estimator.curve.forms import FORMS, Form, Scale

SCALE = Scale(reference=2000.0, level=-1.5, slope=0.4, lowest=-3.0, spread=2.4, chance=0.9)


def m4(n: np.ndarray, B: float, alpha: float, kappa: float, E: float, chance: float) -> np.ndarray:
    """M4 as published, (y - E) / (chance - y)^kappa = beta n^(-alpha), solved by bisection."""
    beta = B * (chance - E) ** (1 - kappa)
    return np.array([brentq(lambda y, m=m: (y - E) - beta * m**-alpha * (chance - y) ** kappa, E, chance) for m in n])


N = np.geomspace(100, 60_000, 9)
U = np.log(N / SCALE.reference)

FORMULAS: dict[str, Callable[..., np.ndarray]] = {
    "power": lambda n, A, alpha: A * n**-alpha,
    "power_floor": lambda n, A, alpha, E: E + A * n**-alpha,
    "shifted": lambda n, A, alpha, d, E: E + A * (n + d) ** -alpha,
    "saturating": lambda n, B, alpha, E, chance: (E + chance * B * n**-alpha) / (1 + B * n**-alpha),
    "saturating_free": m4,
    "broken": lambda n, A, alpha, alpha_after, n_break, f, E: (
        E + A * n**-alpha * (1 + (n / n_break) ** (1 / f)) ** (-(alpha_after - alpha) * f)
    ),
}


def some_theta(form: Form, count: int = 6) -> np.ndarray:
    """(p, count)"""
    mean, sd = np.array(form.prior(SCALE)).T
    return (mean + 0.7 * sd * np.random.default_rng(3).standard_normal((count, len(mean)))).T


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_derivatives(form: Form) -> None:
    theta = some_theta(form)
    value, jacobian = form.value(theta, U[:, None], 0.9, True)
    assert len(jacobian) == len(theta)
    np.testing.assert_array_equal(value, form.value(theta, U[:, None], 0.9, False)[0])
    for i in range(len(theta)):
        step = np.zeros((len(theta), 1))
        step[i] = 1e-6
        up, down = (form.value(theta + s, U[:, None], 0.9, False)[0] for s in (step, -step))
        np.testing.assert_allclose(jacobian[i], (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_public_parameters_give_the_published_formula(form: Form) -> None:
    for theta in some_theta(form).T:
        parameters = dict(zip(form.parameters, form.public(theta, SCALE), strict=True))
        expected = np.log(FORMULAS[form.name](N, **parameters))
        np.testing.assert_allclose(form.value(theta[:, None], U[:, None], 0.9, False)[0][:, 0], expected, rtol=1e-9)
        assert all(value >= 0 for value in parameters.values())  # E >= 0 in particular


def test_saturating_starts_at_chance() -> None:
    form = next(f for f in FORMS if f.name == "saturating")
    theta = np.array([[0.0], [np.log(0.5)], [-3.0]])
    assert np.exp(form.value(theta, np.array([[-60.0]]), 0.9, False)[0][0, 0]) == pytest.approx(0.9)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_a_form_gone_astray_still_has_an_amplitude(form: Form) -> None:
    """A n^-alpha with alpha = 400 at a reference of 2,000 images: A is beyond all floats."""
    scale = Scale(reference=2000.0, level=-1.0, slope=0.3, lowest=-2.0, spread=1.4, chance=0.9)
    theta = np.full(len(form.parameters), 0.0)
    theta[1] = np.log(400.0)
    assert np.isfinite(form.public(theta, scale)).all()
