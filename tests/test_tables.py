"""The report's tables: numbers of the answers, a row each, as CSV that can be read again."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal, norm
from synthetic import as_table, make_record, make_sweep

from analysis.estimator.crossover.find_crossover import Crossover, find_crossover
from analysis.estimator.crossover.tables import TABLES, all_tables


@pytest.fixture(scope="module")
def answers() -> list[Crossover]:
    nothing = dict.fromkeys(("train_error", "val_error", "test_error", "test_loss"))
    failed = make_record(name="broken", status="failed", error_text='a "quoted", text', lr=0.01, seed=9, **nothing)
    return [find_crossover(as_table([*make_sweep(locality=1), failed])), find_crossover(as_table(make_sweep()))]


@pytest.fixture(scope="module")
def tables(answers: list[Crossover]) -> dict[str, pd.DataFrame]:
    return {name: pd.read_csv(io.StringIO(text)) for name, text in all_tables(answers).items()}


def test_every_table_says_which_question_its_rows_are_of(tables: dict[str, pd.DataFrame]) -> None:
    assert set(tables) == set(TABLES)
    for table in tables.values():
        assert list(table.columns[:2]) == ["group", "question"]
        assert set(table["group"]) <= {0, 1}


def test_verdicts(tables: dict[str, pd.DataFrame], answers: list[Crossover]) -> None:
    rows = tables["verdicts"]
    assert list(rows["verdict"]) == ["not_identifiable", "observed"]
    assert rows["failed_checks"][0] == "cells_complete"
    verdict = answers[1].verdict
    assert list(rows.loc[1, ["crossover_size", "interval_low", "interval_high"]]) == pytest.approx(
        [verdict.crossover_size, *verdict.interval]
    )


def test_measured_means_are_those_of_the_rows(tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["measured"]
    row = rows[(rows["group"] == 1) & (rows["model"] == "resnet8") & (rows["train_size"] == 512)].iloc[0]
    table = as_table(make_sweep())
    runs = table[(table["model"] == "resnet8") & (table["train_size"] == 512) & (table["lr"] == row["lr"])]
    assert row["mean"] == pytest.approx(runs["test_error"].mean())
    assert (row["runs"], row["rates_tried"]) == (len(runs), 5)
    assert row["fitted_low"] < row["fitted"] < row["fitted_high"]


def test_the_joint_law_is_given_where_a_family_has_three_model_sizes() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"family": f, "model": f"{f}_{size:g}", "num_params": size, "train_size": n, "test_error": y}
        for f, sizes in (("vit", (1e5, 1e6, 1e7, 1e8)), ("cnn", (1e5, 1e6)))
        for size in sizes
        for n in np.geomspace(1e3, 1e6, 6)
        for y in [(0.05 + 10 * size**-0.4 + 4 * n**-0.3) * np.exp(0.002 * rng.standard_normal())]
    ]
    got = TABLES["joint"](find_crossover(pd.DataFrame(rows)))
    assert got["family"].tolist() == ["vit"]  # two CNNs cannot tell E from A and alpha
    assert got["models"].tolist() == [4]
    for name, truth in {"E": 0.05, "alpha": 0.4, "beta": 0.3, "B": 4.0}.items():
        assert got[name][0] == pytest.approx(truth, abs=4 * got[f"{name}_se"][0])
        assert 0 < got[f"{name}_se"][0] < 0.2 * truth


def test_left_out_rows_say_why(tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["left_out"]
    broken = rows[rows["name"] == "broken"].iloc[0]
    assert (broken["reason"], broken["error_text"]) == ("failed", 'a "quoted", text')
    assert rows["reason"].str.startswith("learning rate").sum() == 32


def test_a_curve_reaches_from_the_smallest_size_to_the_horizon(tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["curves"]
    sizes = rows[(rows["group"] == 0) & (rows["model"] == "vit_small")]["train_size"]
    assert (sizes.min(), sizes.max()) == pytest.approx((128, 40_960))


def test_residuals_are_measured_over_fitted(answers: list[Crossover], tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["residuals"]
    row = rows[(rows["group"] == 1) & (rows["model"] == "vit_small") & (rows["train_size"] == 256)].iloc[0]
    fitted = answers[1].selection.fitted
    runs = fitted[(fitted["model"] == "vit_small") & (fitted["train_size"] == 256)]["test_error"]
    curve = answers[1].families.curves["vit_small"].predict([256.0])[0]
    assert row["ratio"] == pytest.approx(np.exp(np.log(runs).mean()) / curve)
    # 90% of the noise of the mean of 2 runs: binomial, on 2,000 images that both share, and the spread over seeds.
    tau = answers[1].families.curves["vit_small"].points.tau
    y = np.exp(np.log(runs).mean())
    both_wrong = multivariate_normal([0, 0], [[1, 0.57], [0.57, 1]]).cdf(np.full(2, norm.ppf(y)))
    alike = (both_wrong - y**2) / (y * (1 - y))
    noise = 1.645 * np.sqrt((1 - y) / (2000 * y) * (1 + alike) / 2 + tau**2 / 2)
    assert np.log(row["ratio_high"] / row["ratio_low"]) == pytest.approx(2 * noise, rel=0.02)


def test_the_chosen_rate_is_marked(tables: dict[str, pd.DataFrame]) -> None:
    rows = tables["learning_rates"]
    assert rows.groupby(["group", "model", "train_size"])["chosen"].sum().eq(1).all()
    best = rows.loc[rows.groupby(["group", "model", "train_size"])["val_error"].idxmin()]
    assert best["chosen"].all()
