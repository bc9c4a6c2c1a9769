"""The joint law: exact data give their law back; the published Chinchilla runs give the known optimum."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from analysis.benchmark.chinchilla import _ERRORS, load_runs
from analysis.estimator.curve.joint_law import bootstrap_joint, fit_joint

CURVES = Path(os.environ.get("SCALING_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "curves"
needs_data = pytest.mark.skipif(not CURVES.is_dir(), reason="SCALING_SHARED_DATA names no folder with curves/")


def test_exact_losses_give_their_law_back() -> None:
    sizes, n = (v.ravel() for v in np.meshgrid(np.geomspace(1e5, 1e8, 6), np.geomspace(1e3, 1e6, 7)))
    law = fit_joint(sizes, n, 0.5 + 40 * sizes**-0.4 + 9 * n**-0.3)
    np.testing.assert_allclose((law.E, law.A, law.alpha, law.B, law.beta), (0.5, 40, 0.4, 9, 0.3), rtol=1e-3)
    assert float(law.predict(1e6, 1e4)) == pytest.approx(0.5 + 40 * 1e6**-0.4 + 9 * 1e4**-0.3, rel=1e-4)


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    sizes, n = (v.ravel() for v in np.meshgrid(np.geomspace(1e5, 1e8, 4), np.geomspace(1e3, 1e6, 4)))
    loss = (0.5 + 40 * sizes**-0.4 + 9 * n**-0.3) * np.exp(0.01 * rng.standard_normal(16))
    order = rng.permutation(16)
    assert fit_joint(sizes, n, loss) == fit_joint(sizes[order], n[order], loss[order])


@pytest.mark.parametrize(
    ("sizes", "message"), [([1e5] * 9, "at least 3 model sizes"), ([-1.0] * 9, "> 0"), ([1e5], "of one length")]
)
def test_what_cannot_be_fitted_is_refused(sizes: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_joint(sizes, np.geomspace(1e3, 1e6, 9), np.ones(9))


@needs_data
def test_the_chinchilla_optimum_and_its_standard_errors() -> None:
    """The optimum found from 4,500 starts by another program; standard errors of Besiroglu et al. 2024."""
    runs = load_runs(CURVES)
    assert len(runs[0]) == 240
    law = fit_joint(*runs)
    got = (law.A, law.B, law.E, law.alpha, law.beta)
    np.testing.assert_allclose(got, (477.83, 2143.4, 1.81722, 0.34731, 0.36717), rtol=1e-3)
    assert law.objective < 0.0010182740 + 1e-9
    spread = bootstrap_joint(law, *runs, replicates=300).std(axis=0)
    np.testing.assert_allclose(spread, _ERRORS, rtol=0.25)  # 300 replicates; 1,000 in docs/estimator.md are within 10%
