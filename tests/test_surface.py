"""The crossing as a surface: known joint laws give their crossing back, and too few model sizes are declined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from analysis.advise import command as advise
from analysis.estimator.crossover.find_crossover import find_crossover
from analysis.estimator.curve.law_contest import (
    FamilyLaw,
    LawContest,
    fit_contest,
    joint_runs,
    law_crossings,
    make_surface,
)
from analysis.figures.render import draw_surface, render
from analysis.plot import main as plot
from analysis.report.law_words import law_advice, surface_sentence

LAWS = {"vit": (3.0, 20.0, 0.05, 0.3, 0.6), "cnn": (2.0, 4.0, 0.1, 0.3, 0.4)}  # A, B, E, alpha, beta
COST = {"vit": 12_000.0, "cnn": 6_000.0}  # FLOPs of a run = this, times parameters, times n^0.75
PARAMS = (2e4, 5e5)
SIZES = (500, 1000, 2000, 4000, 8000, 16000)


def _loss(family: str, params: float, n: float) -> float:
    a, b, e, alpha, beta = LAWS[family]
    return e + a * params**-alpha + b * n**-beta


def _table(models: int = 3, *, noise: float = 0.02, seeds: int = 2) -> pd.DataFrame:
    rng, rows = np.random.default_rng(0), []
    for family in LAWS:
        for params in np.geomspace(*PARAMS, models):
            for n in SIZES:
                for seed in range(seeds):
                    loss = _loss(family, params, n) * np.exp(noise * rng.standard_normal())
                    rows.append(
                        {"family": family, "model": f"{family}{params:.0f}", "num_params": params, "train_size": n}
                        | {"seed": seed, "test_loss": loss, "train_flops": COST[family] * params * n**0.75}
                    )
    return pd.DataFrame(rows)


def _gap(n: float, *, flops: float | None = None, params: float | None = None) -> float:
    """The ViT's loss less the CNN's by the known laws."""
    sizes = [params or min(PARAMS[1], (flops or 0) / (COST[f] * n**0.75)) for f in ("vit", "cnn")]
    return _loss("vit", sizes[0], n) - _loss("cnn", sizes[1], n)


@pytest.fixture(scope="module")
def contest() -> LawContest:
    found = fit_contest(joint_runs(_table(), "test_loss"), "test_loss")
    assert isinstance(found, LawContest)
    return found


def test_laws_that_differ_in_images_alone_cross_at_the_same_size_for_every_model() -> None:
    order = ("cnn", 4.0, 0.4), ("vit", 20.0, 0.6)
    laws = {f: FamilyLaw(np.array([[3.0, b, 0.1, 0.3, beta]]), PARAMS, (500, 16000)) for f, b, beta in order}
    surface = make_surface(LawContest(laws["vit"], laws["cnn"]), "num_params", (500, 160_000))
    assert surface is not None
    # 20 n^-.6 = 4 n^-.4 at n = 5^(1 / .2) = 3125
    assert np.all(surface.p[:, surface.n < 3125] == 0)
    assert np.all(surface.p[:, surface.n > 3125] == 1)
    assert make_surface(LawContest(laws["vit"], laws["cnn"]), "train_flops", (500, 160_000)) is None


@pytest.mark.parametrize("params", [3e4, 1e5, 4e5])
def test_the_crossing_at_a_number_of_parameters_is_the_laws(contest: LawContest, params: float) -> None:
    n = np.geomspace(500, 160_000, 200)
    [(size, low, high)] = law_crossings(n, contest.p_vit_better("num_params", params, n), 0.9)
    truth = brentq(lambda m: _gap(m, params=params), 500, 20_000)
    assert low < truth < high
    assert size == pytest.approx(truth, rel=0.25)


def test_crossings_within_an_arithmetic_are_the_laws(contest: LawContest) -> None:
    """More images leave less for the model: within 1.2e12 FLOPs the dearer ViT overtakes, and falls behind again."""
    n, flops = np.geomspace(500, 90_000, 300), 1.2e12
    found = law_crossings(n, contest.p_vit_better("train_flops", flops, n), 0.9)
    truths = [brentq(lambda m: _gap(m, flops=flops), *ends) for ends in ((500, 8000), (8000, 160_000))]
    assert len(found) == 2
    for (size, low, high), truth in zip(found, truths, strict=True):
        assert not low > truth
        assert not high < truth
        assert size == pytest.approx(truth, rel=0.4)


def test_the_largest_measured_model_within_the_arithmetic_is_taken(contest: LawContest) -> None:
    got = contest.vit.affordable(np.array([1e9, 12_000 * 1e5 * 1000**0.75, 1e20]), np.array([1000.0] * 3))
    np.testing.assert_allclose(got, [np.nan, 1e5, 5e5], rtol=1e-6)
    assert np.isnan(contest.p_vit_better("train_flops", 1e9, 1000.0))


def test_ends_of_the_band_are_open_where_the_lead_stays_unclear() -> None:
    n = np.array([1.0, 10.0, 100.0, 1000.0])
    assert law_crossings(n, np.array([0.9, 0.7, 0.3, 0.0]), 0.8) == [
        pytest.approx((10**1.5, 1.0, 10 ** (2 + 2 / 3))),
    ]
    [(size, low, high)] = law_crossings(n, np.array([0.3, 0.4, 0.6, 1.0]), 0.8)
    assert (size, high) == pytest.approx((10**1.5, 10**2.75))
    assert np.isnan(low)
    assert law_crossings(n, np.array([0.4, 0.45, 0.55, 0.6]), 0.8) == []
    assert law_crossings(n, np.array([0.1, 0.2, 0.2, 0.3]), 0.8) == []


def test_figure_and_words_of_three_model_sizes(contest: LawContest) -> None:
    answer = find_crossover(_table(seeds=1), metric="test_loss")
    assert "FLOPs of training" in surface_sentence(answer, contest)
    for size, sure in ((500, "0.00"), (16_000, "1.00")):
        leader = "ViT" if _gap(size, flops=1e13) < 0 else "CNN"  # 0.06 worse, 0.04 better
        assert f"{leader} (P(ViT better) = {sure})" in law_advice(answer, contest, 1e13, size)
    assert "smallest ViT needs more than 1e+09 FLOPs" in law_advice(answer, contest, 1e9, 500)
    assert "they speak of 500 to 160,000 images" in law_advice(answer, contest, 1e13, 200_000)
    figure = draw_surface(answer)
    assert figure is not None
    assert len(figure.axes) == 2
    again = draw_surface(answer)
    assert again is not None
    assert render(figure, "svg", salt="a") == render(again, "svg", salt="a")


def test_too_few_model_sizes_are_declined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "two.csv"
    _table(2, seeds=1).query("train_size <= 4000").to_csv(table, index=False)
    words = [f"results={table}", "metric=test_loss", "audit=off"]
    assert plot([*words, "figure=surface", f"out={tmp_path / 'x.png'}"]) == 2
    assert "the ViTs have 2 model sizes" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
    assert advise.main([*words, "train_size=4000", "train_flops=1e13"]) == 0
    assert "say nothing here: the ViTs have 2 model sizes" in capsys.readouterr().out
    assert advise.main([*words, "train_size=4000", "train_flops=much"]) == 2
    assert capsys.readouterr().err.strip().endswith("train_flops=much is not a number")
