"""Every check: a sweep that deserves a verdict passes, and each fault alone makes its own check fail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from synthetic import as_table, make_sweep

from analysis.estimator.audit.audit import audit
from analysis.estimator.audit.check import Check
from analysis.estimator.crossover.find_crossover import find_crossover
from analysis.estimator.rows.selection import select
from analysis.estimator.rows.table import check


def statuses(table: pd.DataFrame, axis: str = "train_size") -> dict[str, str]:
    return {c.code: c.status for c in checks(table, axis)}


def checks(table: pd.DataFrame, axis: str = "train_size") -> list[Check]:
    return audit(select(check(table, axis=axis), axis=axis), axis=axis)


@pytest.fixture
def good() -> pd.DataFrame:
    return as_table(make_sweep())


def test_a_good_sweep_passes(good: pd.DataFrame) -> None:
    assert statuses(good) == {
        "sizes": "passed",
        "learning_rate_varied": "passed",
        "learning_rate_edge": "passed",
        "learning_rate_range": "passed",
        "train_fit": "passed",
        "test_set": "passed",
        "cells_complete": "passed",
        "subsets_nested": "passed",
        "seeds": "passed",
        "budget_doubled": "unknown",
    }
    assert find_crossover(good).verdict.verdict == "observed"


def one_rate(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["family"] == "vit") | (table["lr"] == 1e-2)]


def best_at_the_edge(table: pd.DataFrame) -> pd.DataFrame:
    """The CNN's rates above 1e-2 were not tried: the prototype's mistake."""
    return table[(table["family"] == "vit") | (table["lr"] <= 1e-2)]


def two_rates(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["family"] == "vit") | table["lr"].isin([1e-2, 2e-2])]


def other_rate_elsewhere(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(lr=table["lr"].mask((table["model"] == "resnet8") & (table["train_size"] == 2048), 0.5))


def four_sizes(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["train_size"] <= 1024]


def underfit(table: pd.DataFrame) -> pd.DataFrame:
    at = (table["model"] == "resnet8") & (table["train_size"] == 4096)
    return table.assign(train_error=table["train_error"].mask(at, table["test_error"] * 0.9))


@pytest.mark.parametrize(("gain", "status"), [(1.0, "passed"), (0.97, "passed"), (0.8, "failed")])
def test_twice_the_budget_answers_whether_the_runs_fit_their_images(
    good: pd.DataFrame, gain: float, status: str
) -> None:
    """Far from fitting their images, and twice the steps change nothing: then the steps are not what limits them."""
    far = underfit(good)
    at = (far["model"] == "resnet8") & (far["train_size"] == 4096) & (far["lr"] == 1e-2)
    again = far[at].assign(budget_factor=2.0, test_error=gain * far.loc[at, "test_error"].mean())
    both = pd.concat([far, again.assign(name=again["name"] + "-2", config_hash=again["config_hash"] + "-2")])
    [found] = [c for c in checks(both) if c.code == "train_fit"]
    assert found.status == status
    assert ("doubled, it changes resnet8 at 4,096" in found.message) == (status == "passed")
    assert statuses(far)["train_fit"] == "failed"


def other_test_set(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(test_examples=np.where(table["family"] == "vit", 2000, 1000))


def cell_gone(table: pd.DataFrame) -> pd.DataFrame:
    return table[~((table["model"] == "resnet8") & (table["train_size"] == 256))]


def seed_gone(table: pd.DataFrame) -> pd.DataFrame:
    return table[~((table["model"] == "resnet8") & (table["train_size"] == 256) & (table["seed"] == 1))]


def run_failed(table: pd.DataFrame) -> pd.DataFrame:
    at = (table["model"] == "vit_small") & (table["train_size"] == 128) & (table["seed"] == 1)
    failed = table.assign(status=table["status"].mask(at, "failed"))
    metrics = ["train_error", "val_error", "test_error", "test_loss"]
    failed[metrics] = failed[metrics].astype(float).mask(at)
    return failed


def other_images(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(subset_seed=table["train_size"])


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (one_rate, "learning_rate_varied"),
        (best_at_the_edge, "learning_rate_edge"),
        (two_rates, "learning_rate_edge"),
        (other_rate_elsewhere, "learning_rate_range"),
        (four_sizes, "sizes"),
        (underfit, "train_fit"),
        (other_test_set, "test_set"),
        (cell_gone, "cells_complete"),
        (seed_gone, "cells_complete"),
        (run_failed, "cells_complete"),
        (other_images, "subsets_nested"),
    ],
)
def test_a_fault_fails_its_check_and_holds_the_verdict_back(
    good: pd.DataFrame, fault: Callable[[pd.DataFrame], pd.DataFrame], code: str
) -> None:
    found = statuses(fault(good))
    assert [c for c, status in found.items() if status == "failed"] == [code]
    got = find_crossover(fault(good))
    assert got.verdict.verdict == "not_identifiable"
    assert got.verdict.crossover_size is None


@pytest.mark.parametrize(
    ("columns", "codes"),
    [
        (["lr"], {"learning_rate_varied", "learning_rate_edge", "learning_rate_range"}),
        (["train_error"], {"train_fit"}),
        (["seen_examples"], {"train_fit"}),
        (["test_examples"], {"test_set"}),
        (["subset_seed"], {"subsets_nested"}),
        (["seed", "name", "config_hash"], {"cells_complete"}),
    ],
)
def test_an_absent_column_is_unknown(good: pd.DataFrame, columns: list[str], codes: set[str]) -> None:
    only_best = good[good["lr"].isin([4e-3, 1e-2])] if "lr" in columns else good
    found = statuses(only_best.drop(columns=columns))
    assert codes <= {code for code, status in found.items() if status == "unknown"}
    assert "failed" not in found.values()


def test_few_passes_excuse_a_high_train_error(good: pd.DataFrame) -> None:
    assert statuses(underfit(good).assign(seen_examples=9 * good["train_size"]))["train_fit"] == "unknown"


def test_a_better_fitting_model_of_the_family_excuses_a_small_one(good: pd.DataFrame) -> None:
    cnn = underfit(good)[lambda t: t["family"] == "cnn"].assign(model="tiny", name="t")
    assert statuses(pd.concat([good, cnn]))["train_fit"] == "passed"


def test_a_rerun_makes_up_for_a_failure(good: pd.DataFrame) -> None:
    assert (
        statuses(pd.concat([good, run_failed(good)[lambda t: t["status"] == "failed"]]))["cells_complete"] == "passed"
    )


def test_a_single_seed_warns(good: pd.DataFrame) -> None:
    single = good[good["seed"] == 0]
    assert statuses(single)["seeds"] == "unknown"
    assert "failed" not in statuses(single).values()
    warnings = {w["code"] for w in find_crossover(single).warnings}
    assert {"seeds", "single_seed"} <= warnings


@pytest.mark.parametrize(("gain", "status"), [(1.0, "passed"), (0.7, "unknown")])
def test_a_doubled_budget_is_evidence(good: pd.DataFrame, gain: float, status: str) -> None:
    longer = good[good["lr"].isin([4e-3, 1e-2])].assign(budget_factor=2.0)
    longer["test_error"] *= np.where(longer["family"] == "cnn", gain, 1.0)
    found = {c.code: c for c in checks(pd.concat([good, longer]))}
    assert found["budget_doubled"].status == status
    assert f"CNN by {-30 if gain < 1 else 0:+d}%" in found["budget_doubled"].message
    assert len(select(check(pd.concat([good, longer]))).fitted) == len(select(check(good)).fitted)


def test_an_exact_tie_with_an_inner_rate_is_no_edge(good: pd.DataFrame) -> None:
    assert statuses(good.assign(val_error=0.2))["learning_rate_edge"] == "passed"


def test_imported_curves_fail_nothing_but_too_few_sizes() -> None:
    table = pd.DataFrame(
        {"family": f, "model": f, "seen_examples": n, "test_error": 0.5}
        for f in ("vit", "cnn")
        for n in range(10, 90, 10)
    )
    found = statuses(table, "seen_examples")
    assert found.pop("sizes") == "passed"
    assert set(found.values()) == {"unknown"}
    assert len(found) == 9  # what leaks, overlaps or started from weights is not asked of such a table


def test_a_tuners_trials_demand_no_other_cells(good: pd.DataFrame) -> None:
    """A trial at a size and with a seed of its own, and one that diverged; the same rows of a sweep fail the check."""
    size = good["train_size"].max()
    odd = good[(good["train_size"] == size) & (good["seed"] == good["seed"].min())].assign(
        train_size=size * 1.5, seed=99
    )
    odd = odd.assign(subset_seed=good["subset_seed"].min(), name=lambda t: t["name"] + "-trial")
    errors = ["train_error", "val_error", "test_error", "test_loss"]
    lost = odd.tail(1).assign(status="diverged", lr=99.0, **dict.fromkeys(errors, np.nan))
    rows = pd.concat([odd, lost])
    assert (
        statuses(pd.concat([good.assign(purpose="sweep"), rows.assign(purpose="tune")]))["cells_complete"] == "passed"
    )
    assert (
        statuses(pd.concat([good.assign(purpose="sweep"), rows.assign(purpose="sweep")]))["cells_complete"] == "failed"
    )


def test_a_rate_with_one_easy_seed_makes_no_edge(good: pd.DataFrame) -> None:
    """Its mean is the lowest only because it lacks the other rates' harder seed."""
    cnn = good[good["family"] == "cnn"]
    size = cnn.groupby("train_size")["lr"].nunique().idxmax()
    grid = (good["family"] == "cnn") & (good["train_size"] == size)
    lowest = grid & (good["lr"] == good.loc[grid, "lr"].min())
    good.loc[grid, "val_error"] = np.where(good.loc[grid, "seed"] == 0, 0.22, 0.32)
    good.loc[grid & (good["lr"] == 1e-2), "val_error"] -= 0.02
    good.loc[lowest, "val_error"] = 0.21
    assert statuses(good[~(lowest & (good["seed"] != 0))])["learning_rate_edge"] == "passed"


KEPT = "model=resnet8 data=folder data.leaks=keep"
DROPPED = "model=resnet8 data=folder"


@pytest.mark.parametrize(
    ("leaks", "overrides", "status"),
    [(None, DROPPED, None), (0, DROPPED, "passed"), (3, DROPPED, "passed"), (3, KEPT, "failed"), (3, None, "failed")],
)
def test_copies_of_test_images_in_training_hold_the_verdict_back(
    good: pd.DataFrame, leaks: int | None, overrides: str | None, status: str | None
) -> None:
    table = good.drop(columns="overrides", errors="ignore").assign(leaks=leaks, near_leaks=50)
    table = table if overrides is None else table.assign(overrides=overrides)
    assert statuses(table).get("leaks") == status
