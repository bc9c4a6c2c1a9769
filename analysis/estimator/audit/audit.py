"""Checks the rows behind a verdict and returns a list of checks: does this comparison deserve a verdict?

A check *fails* where the column is there and bad, which holds the verdict back; it is *unknown* where the column is
absent, which warns. `budget_doubled` and `seeds` never fail: they say how far the answer can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable

from analysis.estimator.audit.check import Check, is_foreign
from analysis.estimator.audit.of_data import (
    leaks_kept_out,
    mixed_questions,
    rises_with_n,
    subsets_nested,
    subsets_overlap,
    test_set,
)
from analysis.estimator.audit.of_rates import learning_rate_edge, learning_rate_range, learning_rate_varied
from analysis.estimator.audit.of_runs import budget_doubled, cells_complete, several_seeds, sizes_enough, train_fit
from analysis.estimator.audit.of_weights import (
    input_normalisation,
    is_probe,
    pretraining_data,
    pretraining_leak,
    resolution,
    strength_chosen,
)
from analysis.estimator.rows.selection import Selection

CHECKS: tuple[Callable[[Selection, str], Check | None], ...] = (
    sizes_enough,
    learning_rate_varied,
    learning_rate_edge,
    learning_rate_range,
    train_fit,
    test_set,
    cells_complete,
    subsets_nested,
    several_seeds,
    budget_doubled,
    leaks_kept_out,
    subsets_overlap,
    strength_chosen,
    pretraining_data,
    pretraining_leak,
    input_normalisation,
    resolution,
)
# What a probe has no part of: it is fitted in closed form, and its strength is what keeps it from its images.
OF_TRAINING = (learning_rate_varied, learning_rate_edge, learning_rate_range, train_fit, budget_doubled)


def audit(
    selection: Selection, *, axis: str = "train_size", metric: str = "test_error", tuned: bool = False
) -> list[Check]:
    """All checks of one question's rows, in a fixed order.

    Args:
        metric: the column that is fitted.
        tuned: the user says that the rates of a foreign table were tuned: then they are unknown, whatever it holds.
    """
    left_out = OF_TRAINING if is_probe(selection.fitted) else ()
    found = [c for check in CHECKS if check not in left_out and (c := check(selection, axis)) is not None]
    if tuned and is_foreign(selection):
        text = "said to be tuned (tuned=yes); how is not known"
        found = [Check(c.code, "unknown", text) if c.code.startswith("learning_rate") else c for c in found]
    return found + [
        c for c in (rises_with_n(selection, axis, metric), mixed_questions(selection, axis, metric)) if c is not None
    ]
