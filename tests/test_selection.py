"""Which rows are fitted, and why the others are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.arguments import InputError
from analysis.estimator.rows.selection import select
from analysis.estimator.rows.table import check


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {
        "family": "vit",
        "model": "v",
        "train_size": 100,
        "test_error": 0.3,
        "val_error": 0.3,
        "lr": 1e-3,
        "seed": 0,
    }
    return check(pd.DataFrame([base | row for row in rows]))


def test_the_learning_rate_with_the_lowest_mean_validation_error_is_fitted() -> None:
    """1e-3 has the lowest single run, 3e-3 the lowest mean; test errors point elsewhere."""
    rows = table(
        {"lr": 1e-3, "seed": 0, "val_error": 0.10, "test_error": 0.01},
        {"lr": 1e-3, "seed": 1, "val_error": 0.40, "test_error": 0.01},
        {"lr": 3e-3, "seed": 0, "val_error": 0.20, "test_error": 0.9},
        {"lr": 3e-3, "seed": 1, "val_error": 0.22, "test_error": 0.9},
        {"lr": 9e-3, "seed": 0, "val_error": 0.30, "test_error": 0.01},
    )
    got = select(rows)
    assert set(got.fitted["lr"]) == {3e-3}
    assert got.choices[0].tried == (1e-3, 3e-3, 9e-3)
    assert got.choices[0].val_errors == pytest.approx((0.25, 0.21, 0.30))
    assert all("0.003 has the lower val_error" in reason for reason in got.left_out["reason"])
    assert len(got.left_out) == 3


def test_a_single_seed_does_not_win_by_noise() -> None:
    two = [{"lr": 1e-3, "seed": s, "val_error": 0.20, "val_examples": 400} for s in (0, 1)]
    lucky = {"lr": 3e-3, "val_error": 0.17, "val_examples": 400}  # 0.03 lower; its standard error is 0.026
    better = {"lr": 9e-3, "val_error": 0.10, "val_examples": 400}
    assert select(table(*two, lucky)).choices[0].lr == 1e-3
    assert select(table(*two, lucky, better)).choices[0].lr == 9e-3
    assert select(table(*two[:1], lucky)).choices[0].lr == 3e-3  # one seed each: the lower one


def test_rates_are_compared_on_the_seeds_that_they_share() -> None:
    """Seed 1 is an easy one: .12 there is worse than .10, though it is lower than the mean of seeds 0 and 1."""
    both = [{"lr": 1e-3, "seed": s, "val_error": e, "val_examples": 4000} for s, e in ((0, 0.40), (1, 0.10))]
    easy = select(table(*both, {"lr": 3e-3, "seed": 1, "val_error": 0.12, "val_examples": 4000}))
    assert easy.choices[0].lr == 1e-3
    assert list(easy.left_out["reason"]) == [
        "learning rate 0.003: not clearly better than 0.001 on the seeds that both have"
    ]
    # And on a hard one a rate that is far better there wins, though its mean is higher.
    hard = {"lr": 3e-3, "seed": 0, "val_error": 0.27, "val_examples": 4000}
    assert select(table(*both, hard)).choices[0].lr == 3e-3


def test_a_tuners_seeds_count_no_more_than_the_sweeps() -> None:
    """The tuner gave 1e-3 two seeds more, which are easy ones; on the sweep's seeds 3e-3 is better."""
    rows = [{"lr": lr, "seed": s, "val_error": e} for lr, e in ((1e-3, 0.30), (3e-3, 0.28)) for s in (0, 1)]
    easy = [{"lr": 1e-3, "seed": s, "val_error": 0.15, "purpose": "tune"} for s in (2, 3)]
    got = select(table(*[row | {"purpose": "sweep"} for row in rows], *easy))
    assert got.choices[0].lr == 3e-3
    # All of the chosen rate's runs are fitted, a tuner's among them.
    better = [{"lr": 3e-3, "seed": 2, "val_error": 0.2, "purpose": "tune"}]
    assert len(select(table(*[row | {"purpose": "sweep"} for row in rows], *better)).fitted) == 3


def _sweep_with_trials(rng: np.random.Generator, *, best: float) -> pd.DataFrame:
    """Three seeds at .006, and what a tuner adds: nine rates a factor of two apart, one seed each, two of the lowest
    three. Errors as of 128 validation images that the rates of a seed share; `best` is where they are lowest."""
    rates = [0.006 * 2.0**k for k in range(-4, 5)]
    true = {lr: min(0.8, 0.3 * (1 + 0.04 * np.log2(lr / best) ** 2)) for lr in rates}
    hard = dict(enumerate(rng.normal(0, 0.03, 3)))  # the images of a seed

    def row(lr: float, seed: int, purpose: str) -> dict[str, Any]:
        error = true[lr] + hard[seed] + rng.normal(0, np.sqrt(true[lr] * (1 - true[lr]) / 128 / 2))
        return dict(lr=lr, seed=seed, val_error=float(np.clip(error, 0, 1)), val_examples=128, purpose=purpose)

    trials = [row(lr, 0, "tune") for lr in rates if lr != 0.006]
    lowest = sorted(trials, key=lambda trial: trial["val_error"])[:3]
    again = [row(trial["lr"], 1, "tune") for trial in lowest]
    return table(*[row(0.006, seed, "sweep") for seed in range(3)], *trials, *again)


def test_a_lucky_trial_of_a_tuner_seldom_replaces_the_sweeps_rate() -> None:
    """Where the sweep's rate is the best one, the lowest mean of all would choose another in half of the draws; where
    the best is sixteen times higher, it is found."""
    rng = np.random.default_rng(0)
    draws = [_sweep_with_trials(rng, best=0.006) for _ in range(100)]
    naive = [rows.groupby("lr")["val_error"].mean().idxmin() for rows in draws]
    chosen = [select(rows).choices[0].lr for rows in draws]
    assert np.mean([lr != 0.006 for lr in naive]) > 0.4
    assert np.mean([lr != 0.006 for lr in chosen]) < 0.05
    far = [select(_sweep_with_trials(rng, best=0.096)).choices[0].lr for _ in range(20)]
    assert np.mean([lr >= 0.024 for lr in far]) > 0.9


def test_each_model_and_size_has_its_own_rate() -> None:
    rows = table(
        {"train_size": 100, "lr": 1e-3, "val_error": 0.2},
        {"train_size": 100, "lr": 3e-3, "val_error": 0.3},
        {"train_size": 200, "lr": 1e-3, "val_error": 0.3},
        {"train_size": 200, "lr": 3e-3, "val_error": 0.2},
        {"model": "w", "train_size": 200, "lr": 5e-3},
    )
    chosen = {(c.model, c.train_size): c.lr for c in select(rows).choices}
    assert chosen == {("v", 100): 1e-3, ("v", 200): 3e-3, ("w", 200): 5e-3}


def test_ties_go_to_the_lower_rate() -> None:
    assert select(table({"lr": 3e-3}, {"lr": 1e-3})).choices[0].lr == 1e-3


def test_several_rates_without_validation_are_refused() -> None:
    with pytest.raises(InputError, match=r"v at 100 has several learning rates \(0.001, 0.003\) but no val_error"):
        select(table({"lr": 1e-3}, {"lr": 3e-3}).drop(columns="val_error"))
    assert len(select(table({"seed": 0}, {"seed": 1}).drop(columns="val_error")).fitted) == 2


def test_rows_that_did_not_finish_are_listed_not_fitted() -> None:
    nothing = {"test_error": None, "val_error": None}
    rows = table(
        {"status": "finished"},
        {"status": "failed", "seed": 1} | nothing,
        {"status": "diverged", "seed": 2} | nothing,
    )
    got = select(rows)
    assert list(got.fitted["seed"]) == [0]
    assert sorted(got.left_out["reason"]) == ["diverged", "failed"]


def test_budgets_never_share_a_curve() -> None:
    rows = table({"budget_factor": 1.0}, {"budget_factor": 2.0}, {"budget_factor": 2.0, "seed": 1})
    got = select(rows)
    assert (len(got.fitted), got.budget_factor) == (1, 1.0)
    assert set(got.left_out["reason"]) == {"budget_factor 2, not 1"}
    doubled = select(rows[rows["budget_factor"] > 1])
    assert (len(doubled.fitted), doubled.budget_factor) == (2, 2.0)


def test_budget_rules_never_share_a_curve() -> None:
    """The most common rule; a model that has none of it keeps its own; rows from before the rule was recorded fit."""
    rows = table(
        {"budget_rule": "steps"},
        {"budget_rule": "steps", "seed": 1},
        {"budget_rule": None, "seed": 2},
        {"budget_rule": "epochs", "test_error": 0.1, "val_error": 0.1},
        {"budget_rule": "flops", "model": "w", "family": "cnn"},
    )
    got = select(rows)
    assert sorted(got.fitted["model"]) == ["v", "v", "v", "w"]
    assert set(got.left_out["reason"]) == {"budget_rule epochs, not the other runs'"}


def test_a_tuners_trials_of_another_setting_are_no_further_seeds() -> None:
    """Three weight decays at one learning rate: the best on validation is fitted, alone."""
    words = ["data=strokes", "model=v"]
    rows = table(
        {"overrides": words, "val_error": 0.3, "seed": 0},
        {"overrides": [*words, "optim.weight_decay=0.5"], "val_error": 0.2, "seed": 0, "purpose": "tune"},
        {"overrides": [*words, "optim.weight_decay=5.0"], "val_error": 0.6, "seed": 0, "purpose": "tune"},
        {"overrides": [*words, "optim.lr=0.1"], "val_error": 0.5, "seed": 0, "lr": 0.1},
        {"overrides": [*words, "optim.weight_decay=0.5"], "train_size": 200},
    )
    got = select(rows.assign(purpose=rows["purpose"].fillna("sweep")))
    assert sorted(got.fitted["val_error"]) == [0.2, 0.3]
    assert [choice.tried for choice in got.choices] == [(1e-3, 0.1), (1e-3,)]
    assert got.choices[0].val_errors == pytest.approx((0.2, 0.5))  # at each rate with the best of the rest
    assert set(got.left_out["reason"]) == {
        "the usual recipe: optim.weight_decay=0.5 has the lower val_error",
        "optim.weight_decay=5.0: optim.weight_decay=0.5 has the lower val_error",
        "learning rate 0.1: 0.001 has the lower val_error",
    }


def test_a_cell_of_two_sweeps_is_one_run() -> None:
    """Else a tuner's trial beside the sweep's own record of the same cell would look like another seed."""
    rows = table(
        {"config_hash": "a", "sweep": "x", "purpose": "tune"},
        {"config_hash": "a", "sweep": "y", "purpose": "sweep"},
        {"config_hash": "b", "sweep": "x", "purpose": "sweep", "seed": 1},
        {"config_hash": None, "sweep": "x", "purpose": "sweep", "seed": 2},
        {"config_hash": None, "sweep": "x", "purpose": "sweep", "seed": 3},
    )
    got = select(rows)
    assert sorted(got.fitted["seed"]) == [0, 1, 2, 3]
    assert set(got.fitted["purpose"]) == {"sweep"}
    assert list(got.left_out["reason"]) == ["the same cell as another row, from another sweep"]
