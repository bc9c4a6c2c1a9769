"""Every form: derivatives against finite differences, values against their published formulas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from analysis.forms import FORMS, Form, Scale

SCALE = Scale(reference=2000.0, level=-1.5, slope=0.4, lowest=-3.0, spread=2.4, chance=0.9)
N = np.geomspace(100, 60_000, 9)
U = np.log(N / SCALE.reference)

FORMULAS: dict[str, Callable[..., np.ndarray]] = {
    "power": lambda n, A, alpha: A * n**-alpha,
    "power_floor": lambda n, A, alpha, E: E + A * n**-alpha,
    "shifted": lambda n, A, alpha, d, E: E + A * (n + d) ** -alpha,
    "saturating": lambda n, B, alpha, E, chance: (E + chance * B * n**-alpha) / (1 + B * n**-alpha),
    "broken": lambda n, A, alpha, alpha_after, n_break, f, E: (
        E + A * n**-alpha * (1 + (n / n_break) ** (1 / f)) ** (-(alpha_after - alpha) * f)
    ),
}


def some_theta(form: Form, count: int = 6) -> np.ndarray:
    mean, sd = np.array(form.prior(SCALE)).T
    return mean + 0.7 * sd * np.random.default_rng(3).standard_normal((count, len(mean)))


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_derivatives(form: Form) -> None:
    theta = some_theta(form)
    value, jacobian = form.value(theta, U, SCALE, True)
    assert jacobian is not None
    np.testing.assert_array_equal(value, form.value(theta, U, SCALE, False)[0])
    for i in range(theta.shape[1]):
        step = np.zeros(theta.shape[1])
        step[i] = 1e-6
        up, down = form.value(theta + step, U, SCALE, False)[0], form.value(theta - step, U, SCALE, False)[0]
        np.testing.assert_allclose(jacobian[..., i], (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_public_parameters_give_the_published_formula(form: Form) -> None:
    for theta in some_theta(form):
        parameters = dict(zip(form.parameters, form.public(theta, SCALE), strict=True))
        expected = np.log(FORMULAS[form.name](N, **parameters))
        np.testing.assert_allclose(form.value(theta, U, SCALE, False)[0], expected, rtol=1e-9)
        assert all(value >= 0 for value in parameters.values())  # E >= 0 in particular


def test_saturating_starts_at_chance() -> None:
    form = next(f for f in FORMS if f.name == "saturating")
    theta = np.array([0.0, np.log(0.5), -3.0])
    assert np.exp(form.value(theta, np.array([-60.0]), SCALE, False)[0][0]) == pytest.approx(0.9)
