"""One question's rows in, the rows that are fitted out, with the learning rate chosen and a reason for every other row.

- Rows that did not finish are never fitted.
- Rows of another `budget_factor` never share a curve: factor 1 is fitted (else the most common one); the others are
  evidence for the audit.
- Per model and size the learning rate with the lowest mean `val_error` over its seeds is fitted, as the contract says,
  even where it has fewer seeds than the recipe's; ties go to the lower rate. Never on `test_error`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.arguments import InputError


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
    return Choice(model, size, float(means.idxmin()), tried, tuple(float(v) for v in means))


def select(table: pd.DataFrame, *, axis: str = "train_size") -> Selection:
    """Chooses the rows to fit among one question's checked rows.

    Raises:
        InputError: several learning rates at a model and size, and no `val_error` to choose by.
    """
    reason = pd.Series("", table.index, dtype=object)
    done = table["status"] == "finished"
    reason[~done] = table["status"][~done].astype(object)
    budget = _budget(table)
    values = budget[done].value_counts()
    factor = 1.0 if 1.0 in values.index or values.empty else float(values[values == values.max()].index.min())
    other = done & (budget != factor)
    reason[other] = [f"budget_factor {b:g}, not {factor:g}" for b in budget[other]]
    finished = table[done & ~other]
    size = "train_size" if "train_size" in table.columns and table["train_size"].notna().all() else axis
    choices = []
    if "lr" in finished.columns and finished["lr"].notna().all():
        for (model, at), rows in finished.groupby(["model", size], sort=True):
            choice = _choose(rows, str(model), float(at))
            choices.append(choice)
            losers = rows.index[rows["lr"] != choice.lr]
            reason[losers] = [
                f"learning rate {lr:g}: {choice.lr:g} has the lower val_error" for lr in table["lr"][losers]
            ]
    left_out = table[reason != ""].assign(reason=reason[reason != ""])
    return Selection(table, finished, table[reason == ""], left_out, tuple(choices), factor)
