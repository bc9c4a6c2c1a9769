"""One question's rows in, the rows that are fitted out, with the learning rate chosen and a reason for every other row.

- Rows that did not finish are never fitted.
- Rows of another `budget_factor` never share a curve: factor 1 is fitted (else the most common one); the others are
  evidence for the audit.
- Per model and size the learning rate with the lowest mean `val_error` over its seeds is fitted; ties go to the lower
  rate. A rate with fewer seeds than another has to beat it by more than noise: the lowest of several single runs is low
  by luck, too. Never on `test_error`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.arguments import InputError

SPREAD = 0.05  # between seeds, relative to the error
NOISE = 2.0  # standard deviations


@dataclass(frozen=True)
class Choice:
    """The learning rate of one model at one size."""

    model: str
    train_size: float
    lr: float
    tried: tuple[float, ...]  # all rates with finished runs, ascending
    val_errors: tuple[float, ...]  # mean over seeds, one per rate; empty if only one rate without val_error


@dataclass(frozen=True)
class Selection:
    """`finished` are all finished rows of the fitted budget, `fitted` those of the chosen rates."""

    rows: pd.DataFrame
    finished: pd.DataFrame
    fitted: pd.DataFrame
    left_out: pd.DataFrame  # with a column `reason`
    choices: tuple[Choice, ...]
    budget_factor: float


def _budget(finished: pd.DataFrame) -> pd.Series:
    if "budget_factor" in finished.columns:
        return finished["budget_factor"].fillna(1.0)
    return pd.Series(1.0, finished.index)


def _choose(rows: pd.DataFrame, model: str, size: float) -> Choice:
    tried = tuple(sorted(set(rows["lr"])))
    if "val_error" not in rows.columns or rows["val_error"].isna().any():
        if len(tried) > 1:
            rates = ", ".join(f"{lr:g}" for lr in tried)
            raise InputError(
                f"{model} at {size:,.0f} has several learning rates ({rates}) but no val_error to choose by;"
                " keep one by filters.lr=..."
            )
        return Choice(model, size, tried[0], tried, ())
    means = rows.groupby("lr")["val_error"].mean()
    return Choice(model, size, _best(rows, means), tried, tuple(float(v) for v in means))


def _best(rows: pd.DataFrame, means: pd.Series) -> float:
    """The lowest mean among the rates with the most runs, or one with fewer runs that is lower by more than noise."""
    runs = rows.groupby("lr").size()
    known = "val_examples" in rows.columns and rows["val_examples"].notna().all()
    images = float(rows["val_examples"].mean()) if known else np.inf
    most = means[runs == runs.max()]
    best: float = most.index[int(most.to_numpy().argmin())]
    for lr, mean in zip(sorted(set(rows["lr"])), means.to_numpy(), strict=True):
        one_run = mean * (1 - mean) / images + (SPREAD * mean) ** 2  # variance: the images drawn, and the seed
        noise = NOISE * np.sqrt(one_run * (1 / runs[lr] + 1 / runs[best]))
        margin = noise if runs[lr] < runs[best] else 0.0
        if mean < means[best] - margin:
            best = lr
    return best


def select(table: pd.DataFrame, *, axis: str = "train_size") -> Selection:
    """Chooses the rows to fit among one question's checked rows.

    Raises:
        InputError: several learning rates at a model and size, and no `val_error` to choose by.
    """
    reason = pd.Series("", table.index, dtype=object)
    done = table["status"] == "finished"
    reason = reason.mask(~done, table["status"])
    budget = _budget(table)
    factors = budget[done]
    factor = 1.0 if (factors == 1).any() or factors.empty else float(factors.mode().min())
    other = done & (budget != factor)
    reason = reason.mask(other, budget.map(lambda b: f"budget_factor {b:g}, not {factor:g}"))
    finished = table[done & ~other]
    size = "train_size" if "train_size" in table.columns and table["train_size"].notna().all() else axis
    choices = []
    if "lr" in finished.columns and finished["lr"].notna().all():
        for (model, _), rows in finished.groupby(["model", size], sort=True):
            choice = _choose(rows, str(model), float(rows[size].iloc[0]))
            choices.append(choice)
            losers = table.index.isin(rows.index[rows["lr"] != choice.lr])
            why = table["lr"].map(lambda lr, best=choice.lr: f"learning rate {lr:g}: {best:g} has the lower val_error")
            reason = reason.mask(losers, why)
    left_out = table[reason != ""].assign(reason=reason[reason != ""])
    return Selection(table, finished, table[reason == ""], left_out, tuple(choices), factor)
