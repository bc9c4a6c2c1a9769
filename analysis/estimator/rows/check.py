"""Checks a table and makes numbers of its columns: what cannot be used is refused in a line that says what would do."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.rows import columns as tidy
from analysis.estimator.rows.families import row_number, tidy_families, which_row
from analysis.estimator.rows.files.shapes import header_below, lies_on_its_side, only_means
from analysis.estimator.rows.metric import (
    Metric,
    check_values,
    fitted_values,
    is_validation,
    known_metric,
    metric_columns,
    metric_of,
)
from analysis.estimator.rows.names import family_of, tokens
from analysis.estimator.rows.numbers import INTERVAL, Column, each_once, parse_number, read_column
from analysis.estimator.rows.sources import PROVENANCE
from analysis.estimator.rows.starts import SOURCE_SIZE
from analysis.estimator.rows.wrong_files import WRONG
from scaling.records.record import COLUMNS

ERRORS = ("train_error", "val_error", "test_error")
NUMBERS = (
    *ERRORS,
    "test_loss",
    "train_size",
    "seen_examples",
    "train_flops",
    "lr",
    "test_examples",
    "val_examples",
    "num_classes",
    "locality",
    "image_size",
    "budget_factor",
    "pretrain_size",
    "pretrain_image_size",
    "feature_dim",
    "strength",
    "available_images",
)
LOWEST = {"test_examples": 1, "val_examples": 1, "num_classes": 2}
SPREAD = "fitted_spread"  # over seeds, of what is fitted, where the table gives means with their spread
MANY = 200_000  # rows that are sorted by their columns, not by their text: it takes a minute otherwise


_OVER_TIME = {"epoch", "step", "global_step", "wall_time", "iteration", "iter"}  # columns of a run's log
_PER_CLASS = re.compile(r"per_class$|^(n_|num_)?shots?$")


def _names_tell(models: pd.Series) -> bool:
    return {"vit", "cnn"} <= {family_of(m) for m in set(each_once(models, str))}


def _missing(table: pd.DataFrame, metric: str, axis: str) -> None:
    missing = [c for c in dict.fromkeys(("family", "model", axis, metric)) if c not in table.columns]
    if not missing:
        return
    names = [str(c) for c in table.columns if c != PROVENANCE]
    _refuse_second_header(table, names)
    if lies_on_its_side(table[names]):
        raise InputError("the table lies on its side, with a run in each column: turn it, so that each run is a row")
    if {"model", axis} <= set(missing) and (
        any(tokens(c) in _OVER_TIME for c in names) or all(known_metric(c) for c in names)
    ):
        raise InputError(
            f"the columns {', '.join(names[:8])} are the log of one run or of several, without {axis}: write a table"
            f" with a row per run (model, {axis}, seed and its last {metric})"
        )
    if axis in missing and (few := [c for c in names if _PER_CLASS.search(tokens(c))]):
        raise InputError(
            f"columns missing: {axis}; {few[0]} counts images of a class: make a column {axis}, which is that times"
            " the number of classes"
        )
    if len(missing) > 1 and "model" in table.columns:
        missing = [c for c in missing if c != "family"] if _names_tell(table["model"]) else missing
    if missing == ["family"]:
        raise InputError("columns missing: family; say family.vit=[...] family.cnn=[...]")
    others = metric_columns(table.columns)
    if missing == [metric] and others:
        hint = f"; name it by columns.{metric}=Y, or say metric={others[0]}, which is there"
    elif len(missing) == 1:
        hint = f"; name it by columns.{missing[0]}=Y"
    else:
        hint = "; name them by columns.X=Y"
    there = ", ".join([str(c) for c in table.columns if c != PROVENANCE][:20])
    raise InputError(f"columns missing: {', '.join(missing)}{hint}; there are {there}")


def _refuse_second_header(table: pd.DataFrame, columns: list[str]) -> None:
    if word := header_below(table, columns):
        raise InputError(
            f"below the header stands another, or a row of units ({word}): write one header, with a name a column"
            " (model error, or a column model), and delete the other rows"
        )


def _where(table: pd.DataFrame, mask: pd.Series) -> str:
    return f"row {row_number(table, mask)} ({which_row(table[mask].iloc[0])})"


def _numbers(table: pd.DataFrame, column: str) -> Column:
    """A column as numbers.

    Raises:
        InputError: a word in it, with its row.
    """
    read = read_column(table[column])
    bad = read.bad | np.isinf(read.values)
    if bad.any():
        value = table[column][bad].iloc[0]
        drop = "" if column in ("train_size",) else f"; columns.{column}= drops the column"
        raise InputError(f"{column}={value!r} is not a finite number, in {_where(table, bad)}{drop}")
    return read


def _spread_columns(table: pd.DataFrame, metric: str) -> list[str]:
    """The column of the spread over seeds beside means, where there is one row a model and size."""
    if f"{metric}_spread" in table.columns:
        return [f"{metric}_spread"]
    if table.duplicated([c for c in ("model", "train_size") if c in table.columns]).any():
        return []
    plain = re.sub(r"[ _./-]*\(?(mean|avg|average)\)?$", "", metric, flags=re.IGNORECASE)
    wanted = {tokens(f"{plain}_{end}") for end in ("std", "sd", "stdev", "stddev")}
    return [str(c) for c in table.columns if tokens(str(c)) in wanted][:1]


def _metric_numbers(table: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The metric as numbers in its own unit, and the spread where cells give one.

    Raises:
        InputError: words or some percent signs in it.
    """
    read = read_column(table[metric.name])
    finished = table["status"] == "finished"
    bad = (read.bad | np.isinf(read.values)) & finished
    if bad.any():
        value = table[metric.name][bad].iloc[0]
        raise InputError(
            f"{metric.name}={value!r} is not a finite number, in {_where(table, bad)}; delete the row, or say in a"
            " column status that it is failed or diverged"
        )
    percent = read.percent & read.values.notna()
    values, spread = read.values, read.spread
    if percent.any():
        if not percent[finished & values.notna()].all():
            without = finished & values.notna() & ~percent
            raise InputError(f"{metric.name}: percent signs in some rows, none in {_where(table, without)}")
        values, spread = values / (100 / metric.unit), spread / (100 / metric.unit)
        values = values.round(12)
    table = table.assign(**{metric.name: values})
    for given in _spread_columns(table, metric.name):
        spread = read_column(table[given]).values.fillna(spread)
    if spread.notna().any():
        table[SPREAD] = spread.abs() / metric.unit
    return table


def _validation(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """`val_error` from a validation accuracy, AUROC or the like, where there is none: rates are chosen by it."""
    if "val_error" in table.columns:
        return table, []
    for column in table.columns:
        known = known_metric(str(column))
        if known is None or not known.bounded or not is_validation(str(column)):
            continue
        read = read_column(table[column])
        values = read.values
        if values.notna().sum() == 0 or read.bad.any():
            continue
        top = "0..100" if values.max() > 1 else "0..1"
        if read.percent.any():
            values, top = values / 100, "0..1"
        metric = metric_of(str(column), range=top)
        table = table.assign(val_error=metric.cost(values.to_numpy(float)))
        return table, [f"validation by {metric.describe()}"]
    return _validation_loss(table)


def _validation_loss(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """`val_error` from a validation loss, where rates have to be chosen and there is nothing else to choose by."""
    if "lr" not in table.columns:
        return table, []
    for column in table.columns:
        known = known_metric(str(column))
        if known is None or known.bounded or known.higher or not is_validation(str(column)):
            continue
        read = read_column(table[column])
        highest = read.values[np.isfinite(read.values)].max()
        if read.bad.any() or not highest > 0 or read.values.min() < 0:
            continue
        text = f"rates are chosen by {column}, as val_error in shares of its highest ({highest:.3g})"
        return table.assign(val_error=(read.values / highest).where(np.isfinite(read.values))), [text]
    return table, []


def check(
    table: pd.DataFrame, *, metric: str | Metric = "test_error", axis: str = "train_size", told: bool = False
) -> pd.DataFrame:
    """The table with numbers as numbers and `status` filled in, its rows in an order of their own.

    Raises:
        InputError: columns missing, values outside the metric's range, or metrics empty in finished rows.
    """
    return checked(table, metric=metric, axis=axis, told=told)[0]


def checked(
    table: pd.DataFrame,
    *,
    metric: str | Metric = "test_error",
    axis: str = "train_size",
    told: bool = False,
    source: str | None = None,
    total_images: int | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """`check`, and what was understood on the way.

    Args:
        told: the user said the metric's range.
        source: what the column of sizes was called.
        total_images: how many images a share of them is a share of.

    Raises:
        InputError: see `check`.
    """
    metric = metric_of(metric) if isinstance(metric, str) else metric
    table = tidy.sane(table)
    _missing(table, metric.name, axis)
    if all(parse_number(str(v)) is None for v in table[[axis, metric.name]].iloc[:1].to_numpy().ravel()):
        _refuse_second_header(table, [axis, metric.name])
    table, notes = tidy.drop_summaries(table, axis)
    table, said = only_means(table)
    notes += said
    table = table.reset_index(drop=True)
    if table.empty and notes:
        raise InputError("no rows of runs")
    nameless = each_once(table["model"], lambda v: v is None or v != v or not str(v).strip())
    if nameless.any():
        raise InputError(f"model is empty in some rows: {_where(table, nameless)}")
    table["model"] = table["model"].astype(str)
    table = tidy_families(table)
    for step in (tidy.tidy_status, tidy.tidy_seeds):
        table, said = step(table)
        notes += said
    table = tidy.tidy_image_size(table)
    texts = pd.Series(table[metric.name].unique()) if table[metric.name].dtype != object else table[metric.name]
    if texts.astype(str).str.contains(INTERVAL).any():
        notes.append(f"intervals in brackets behind {metric.name} are not used: a spread is given by ± or a column")
    table = _metric_numbers(table, metric)
    for column in dict.fromkeys(NUMBERS):
        if column in table.columns and column not in (axis, metric.name):
            read = _numbers(table, column)
            table[column] = read.values / 100 if read.percent.any() and column in ERRORS else read.values
    if axis != metric.name:
        table, total_images = tidy.full_sizes(table, axis, total_images)
        _numbers(table, axis)
        table[axis] = tidy.sizes_of(table, axis, source, total_images)
    if axis == SOURCE_SIZE:  # runs from scratch have none
        notes += [f"{count} runs without {axis} left out"] if (count := int(table[axis].isna().sum())) else []
        table = table[table[axis].notna()].reset_index(drop=True)
    finished = table["status"] == "finished"
    for column in (axis, metric.name):
        empty = finished & table[column].isna()
        if empty.any():
            raise InputError(
                f"{column} is empty in {int(empty.sum())} finished rows, first in {_where(table, empty)}; delete them,"
                " or say in a column status that they are failed or diverged"
            )
    if (table[axis][finished] <= (-1 if axis == SOURCE_SIZE else 0)).any():  # 0: untrained, drawn apart
        raise InputError(f"{axis} must be > 0")
    check_values(metric, table[metric.name][finished], told=told)
    for column, lowest in LOWEST.items():
        used = finished & table["val_error"].notna() if column == "val_examples" and "val_error" in table else finished
        if column in table.columns and (few := used & (table[column] < lowest)).any():
            value = f"{column}={table[column][few].iloc[0]:g}"
            raise InputError(f"{value} is below {lowest}, in {_where(table, few)}; columns.{column}= drops the column")
    for column in ERRORS:
        if column in table.columns and column != metric.name:
            check_values(metric_of(column), table[column][finished])
    table, said = _validation(table)
    if metric.column != metric.name:
        table[metric.column] = fitted_values(metric, table)
        if metric.words in ("accuracy", "error") and "test_error" not in table.columns:
            table["test_error"] = table[metric.column]  # what the audit and other views know it by
    return in_own_order(table), notes + said


def in_own_order(table: pd.DataFrame) -> pd.DataFrame:
    """The rows in an order of their own, not the files'."""
    if len(table) > MANY:
        names = sorted(table.columns, key=str)
        return table.sort_values(names, kind="stable", key=_sortable).reset_index(drop=True)
    key = row_keys(table).sort_values(["row", "from"], kind="stable")
    return table.loc[key.index].reset_index(drop=True)


def _sortable(column: pd.Series) -> pd.Series:
    return column if pd.api.types.is_numeric_dtype(column) else column.astype(str)


def row_keys(table: pd.DataFrame) -> pd.DataFrame:
    """Per row what it says, and where it was read: a row of ours is what its record says, whatever its source adds."""
    hashed = table["config_hash"].notna() if "config_hash" in table.columns else pd.Series(False, table.index)
    own = [c for c in table.columns if c not in (PROVENANCE, WRONG)]
    record = [c for c in own if c in COLUMNS]
    filled = table.astype(object).where(table.notna(), None)
    texts = {True: _row_texts(filled, record), False: _row_texts(filled, own)}
    key = pd.DataFrame({"row": texts[False].mask(hashed, texts[True])})
    key["from"] = filled[PROVENANCE].astype(str) if PROVENANCE in table.columns else ""
    return key


def _row_texts(table: pd.DataFrame, columns: list[str]) -> pd.Series:
    rows: Any = table[sorted(columns, key=str)].itertuples(index=False, name=None)
    return pd.Series([repr(row) for row in rows], table.index, dtype=object)


def drop_repeats(table: pd.DataFrame, *, within: bool = False) -> tuple[pd.DataFrame, int]:
    """Rows given twice (a folder, its results.csv and its runs in W&B) count once, and how many were.

    Without a column that would tell one run from another, equal rows are runs of their own, unless every row is there
    as often as all others: then the table was given several times.

    Args:
        within: only of one file, since the files are questions of their own.
    """
    if len(table) > MANY:
        columns = [c for c in table.columns if c != WRONG and (within or c != PROVENANCE)]
        again = table.duplicated(columns)
    else:
        key = row_keys(table)
        by = ["row", "from"] if within else ["row"]
        again = key.duplicated(by)
        if not {"name", "config_hash", "seed"} & set(table.columns):
            counts = key.groupby(by).size()
            again &= bool(counts.min() == counts.max() and len(counts) > 2)
    if len(table) > MANY and not {"name", "config_hash", "seed"} & set(table.columns):
        again &= False
    return table[~again].reset_index(drop=True), int(again.sum())
