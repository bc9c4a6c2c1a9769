"""Where classes are unequal, the balanced error stands beside the error in the report's table, warnings and advice."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from synthetic import as_table, make_sweep

from analysis.advise.advice import advise
from analysis.advise.wording import text
from analysis.estimator.crossover.balanced import balanced_notes
from analysis.estimator.crossover.find_crossover import find_crossover
from analysis.report.section import _measured


@pytest.fixture(scope="module")
def unequal() -> pd.DataFrame:
    """Whoever errs does so in the rare class: it is one image of eleven, so the balanced error is 5.5 times as high."""
    return as_table([replace(r, test_balanced_error=min(1.0, 5.5 * r.test_error)) for r in make_sweep()])


def test_both_errors_are_told_and_the_metric_is_proposed(unequal: pd.DataFrame) -> None:
    crossover = find_crossover(unequal)
    (told,) = [w["message"] for w in crossover.warnings if w["code"] == "unequal_classes"]
    largest = crossover.selection.fitted
    largest = largest[largest["train_size"] == 4096].groupby("family")["test_error"].mean()
    assert f"beside errors of {largest['vit']:.3f} and {largest['cnn']:.3f}" in told
    assert f"is {5.5 * largest['vit']:.3f} (ViT) and {5.5 * largest['cnn']:.3f} (CNN)" in told
    assert told.endswith("metric=test_balanced_error judges by it")
    assert told in text(advise(crossover, 2_000), None)
    assert all("; balanced " in row["errors"] for row in _measured(crossover))


def test_equal_classes_and_the_balanced_metric_itself_say_nothing(unequal: pd.DataFrame) -> None:
    same = unequal.assign(test_balanced_error=unequal["test_error"])
    assert balanced_notes(same, "test_error", "train_size") == []
    assert balanced_notes(unequal, "test_balanced_error", "train_size") == []
    assert balanced_notes(unequal.drop(columns="test_balanced_error"), "test_error", "train_size") == []
    assert balanced_notes(unequal.assign(test_balanced_error=None), "test_error", "train_size") == []
