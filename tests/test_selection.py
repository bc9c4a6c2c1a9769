"""Which rows are fitted, and why the others are not."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from analysis.arguments import InputError
from analysis.results import check
from analysis.selection import select


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
