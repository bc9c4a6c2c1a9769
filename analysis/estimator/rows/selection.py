"""Selects the rows of one question that are fitted: chooses the learning rate, with a reason for every other row.

- Rows that did not finish are never fitted.
- A cell that two sweeps hold is one run.
- Rows of another `budget_factor` never share a curve: factor 1 is fitted (else the most common one); the others are
  evidence for the audit. Nor do rows of another `budget_rule`: per model the question's most common one is fitted.
- Rows that differ in another setting of the recipe, such as a tuner's trials of the weight decay, never share a curve:
  the better one is fitted, by the same rule.
- Per model and size the learning rate with the lowest mean `val_error` over the sweep's seeds is fitted, among the
  rates that ran with all of them; ties go to the lower rate. A rate with fewer seeds is compared with it on the
  seeds that both have, and has to beat it by more than noise: the lowest of several single runs is low by luck, too.
  Never on `test_error`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.rows.wrong_files import difference_variance

SEED_SPREAD = 0.05  # between seeds, relative to the error
NOISE = 2.0  # standard deviations
MOST_SHARED = 0.5  # share of the images there are up to which subsets count as apart


def overrides_of(row: Mapping[str, Any]) -> list[str] | None:
    """The row's overrides, or None where it has none that could be run."""
    value = row.get("overrides")
    if value is None or value != value:
        return None
    words = list(map(str, value)) if isinstance(value, (list, tuple)) else shlex.split(str(value))
    return words if any(w.startswith("model=") for w in words) else None


def overlaps(rows: pd.DataFrame) -> pd.Series | None:
    """Per row the share of their images that two subsets of its size have in common, where that is more than half;
    else 0. None where there is one subset only, or no column tells."""
    known = {"available_images", "train_size"} <= set(rows.columns) and bool(rows["available_images"].notna().any())
    if not known or ("subset_seed" in rows.columns and rows["subset_seed"].nunique() == 1):
        return None
    share = (rows["train_size"] / rows["available_images"]).clip(upper=1.0)
    return share.where(share > MOST_SHARED, 0.0).fillna(0.0)


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


def _of_another_rule(table: pd.DataFrame, among: pd.Series) -> pd.Series:
    """Rows whose model also ran under the question's most common budget rule, which is not theirs; where a model did
    not, its own most common one counts. Rows of before the rule was recorded fit to any."""
    if "budget_rule" not in table.columns:
        return pd.Series(False, table.index)
    rules = table["budget_rule"].where(among)
    if rules.nunique() < 2:
        return pd.Series(False, table.index)
    common = rules.mode().max()  # of a tie "steps", the default

    def fitted(own: pd.Series) -> object:
        return common if (own == common).any() or own.isna().all() else own.mode().max()

    return rules.notna() & (rules != rules.groupby(table["model"]).transform(fitted))


def _told_before(table: pd.DataFrame, among: pd.Series) -> pd.Series:
    """Rows that are the cell of another one (two sweeps that were read together share cells): no run of its own. The
    row of a sweep is kept before a tuner's."""
    repeated = pd.Series(False, table.index)
    if "config_hash" in table.columns:
        order = [key for key in ("purpose", "sweep", "test_error") if key in table.columns]
        rows = table[among & table["config_hash"].notna()].sort_values(order)
        # A hash alone would do for our records; rows that were copied and renamed are runs of their own.
        same = [key for key in ("config_hash", "model", "train_size", "seed") if key in table.columns]
        repeated[rows.index[rows.duplicated(same)]] = True
    return repeated


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
    return Choice(model, size, float(_best(rows, "lr")), tried, tuple(float(v) for v in means))


def _why_not(choice: Choice, lr: float) -> str:
    means = dict(zip(choice.tried, choice.val_errors, strict=True)) if choice.val_errors else {}
    if means.get(lr, 1.0) < means.get(choice.lr, 0.0):
        return f"learning rate {lr:g}: not clearly better than {choice.lr:g} on the seeds that both have"
    return f"learning rate {lr:g}: {choice.lr:g} has the lower val_error"


def _by_seed(rows: pd.DataFrame, by: str) -> dict[Any, pd.Series]:
    """Validation errors of every value of the column `by`, by seed and subset; by place where there are no seeds."""
    keys = [key for key in ("seed", "subset_seed") if key in rows.columns and rows[key].notna().all()]
    if "seed" not in keys:
        return {value: part["val_error"].reset_index(drop=True) for value, part in rows.groupby(by)}
    return {value: part.groupby(keys)["val_error"].mean() for value, part in rows.groupby(by)}


def _complete(rows: pd.DataFrame, by: str, errors: dict[Any, pd.Series]) -> tuple[list[Any], pd.Index]:
    """Learning rates that ran with every sweep seed, and that set of seeds. Tuner trials do not add seeds. If no rate
    is complete, the seeds of the rate with the most runs are used."""
    trial = rows["purpose"].eq("tune") if "purpose" in rows.columns else pd.Series(False, rows.index)
    seeds = max((series.index for series in errors.values()), key=len)
    if not trial.all():
        own = _by_seed(rows[~trial], by)
        union = pd.Index(sorted({seed for series in own.values() for seed in series.index}))
        seeds = union if any(union.isin(series.index).all() for series in errors.values()) else seeds
    return [lr for lr, series in errors.items() if seeds.isin(series.index).all()], seeds


def _noise(error: float, images: float, runs: float, *, paired: bool, counted: float | None) -> float:
    """What the difference of two rates' mean errors may come to by luck. Runs of one seed share their validation
    images, which halves the part of the images; `counted` is the variance of that part where runs kept their bits."""
    of_images = error * (1 - error) / images
    part = (of_images if paired else 2 * of_images) / runs if counted is None else counted
    return float(NOISE * np.sqrt(part + 2 * (SEED_SPREAD * error) ** 2 / runs))


def _best(rows: pd.DataFrame, by: str) -> Any:
    """The value of the column `by` with the lowest mean among those that have all the seeds, or one with fewer that is
    lower by more than noise."""
    if rows[by].nunique() == 1:
        return rows[by].iloc[0]
    errors = _by_seed(rows, by)
    complete, seeds = _complete(rows, by, errors)
    means = {lr: float(errors[lr][seeds].mean()) for lr in complete}
    best = min(complete, key=lambda lr: (means[lr], lr))
    known = "val_examples" in rows.columns and rows["val_examples"].notna().all()
    images = float(rows["val_examples"].mean()) if known else np.inf
    leads = {}
    for lr in errors.keys() - set(complete):
        shared = errors[lr].index.intersection(errors[best].index)
        if len(shared):
            mean, other, runs = errors[lr][shared].mean(), errors[best][shared].mean(), float(len(shared))
        else:
            mean, other = errors[lr].mean(), errors[best].mean()
            runs = 2 / (1 / len(errors[lr]) + 1 / len(errors[best]))
        counted = difference_variance(rows, by, (lr, best)) if len(shared) else None
        if other - mean > _noise(mean, images, runs, paired=bool(len(shared)), counted=counted):
            leads[lr] = other - mean
    return max(sorted(leads), key=lambda lr: leads[lr]) if leads else best


def _of_another_recipe(finished: pd.DataFrame, size: str) -> pd.Series:
    """Why rows are not fitted that differ from others of their model, size and learning rate in a setting that is no
    column, such as the weight decay: the one with the lower `val_error` is."""
    no_rows = pd.Series("", finished.index[:0], dtype=object)
    if not {"overrides", "val_error"} <= set(finished.columns) or finished["val_error"].isna().any():
        return no_rows
    words = pd.Series([_recipe(row) for row in finished.to_dict("records")], finished.index, dtype=object)
    reasons = [no_rows]
    for _, rows in finished.groupby(["model", size, "lr"]):
        mine = words[rows.index]
        if mine.nunique() > 1:
            best = _best(rows.assign(recipe=mine), "recipe")
            losers = mine[mine != best]
            reasons.append(losers.map(lambda w, b=best: f"{w}: {b} has the lower val_error"))
    return pd.concat(reasons)


def _recipe(row: dict[Any, Any]) -> str:
    """The settings of a row's recipe that are not its config file's, the learning rate aside."""
    words = [w for w in overrides_of(row) or () if w.startswith(("optim.", "model.")) and not w.startswith("optim.lr=")]
    return ", ".join(sorted(words)) or "the usual recipe"


def chosen_at(rows: pd.DataFrame, axis: str) -> str:
    """The column of the sizes that learning rates are chosen at."""
    known = "train_size" in rows.columns and rows["train_size"].notna().all()
    return "train_size" if known and axis != "pretrain_size" else axis


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
    strange = done & ~other & _of_another_rule(table, done & ~other)
    if strange.any():
        reason = reason.mask(strange, table["budget_rule"].map(lambda rule: f"budget_rule {rule}, not the other runs'"))
    again = done & ~other & ~strange & _told_before(table, done & ~other & ~strange)
    reason = reason.mask(again, "the same cell as another row, from another sweep")
    finished = table[done & ~other & ~strange & ~again]
    untrained = done & (table[axis] == 0)
    reason = reason.mask(untrained & (reason == ""), "an untrained start: drawn apart")
    finished = finished[finished[axis] != 0]
    size = chosen_at(table, axis)
    choices = []
    if "lr" in finished.columns and finished["lr"].notna().all():
        worse = _of_another_recipe(finished, size)
        reason.update(worse)
        for (model, _), rows in finished.drop(index=worse.index).groupby(["model", size], sort=True):
            choice = _choose(rows, str(model), float(rows[size].iloc[0]))
            choices.append(choice)
            losers = table.index.isin(rows.index[rows["lr"] != choice.lr])
            reason = reason.mask(losers, table["lr"].map(lambda lr, choice=choice: _why_not(choice, lr)))
    left_out = table[reason != ""].assign(reason=reason[reason != ""])
    return Selection(table, finished, table[reason == ""], left_out, tuple(choices), factor)
