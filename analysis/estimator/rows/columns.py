"""Makes our columns of a foreign table's: names, families, status words, seeds and sizes, each change with a note."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.rows.families import row_number, which_row
from analysis.estimator.rows.names import column_for
from analysis.estimator.rows.numbers import each_once, is_empty, read_column

OPTIONAL = ("seed", "status", "lr", "test_examples", "val_examples", "num_classes", "data")
FINISHED = {"finished", "completed", "complete", "done", "success", "succeeded", "ok", "finish"}
FAILED = {"failed", "crashed", "killed", "error", "preempted", "aborted", "cancelled", "canceled", "timeout", "oom",
          "failure", "crash", "stopped"}  # fmt: skip
UNFINISHED = {"running", "pending", "queued", "scheduled", "starting", "created", "active", "waiting"}
DIVERGED = {"diverged", "nan", "diverge"}
SUMMARY = {"mean", "average", "avg", "median", "std", "sd", "stdev", "total", "sum", "overall", "min", "max", "all",
           "mittelwert", "mean ± std", "moyenne", "media"}  # fmt: skip
FULL = {"full", "all", "whole", "entire", "full data", "full dataset", "full set", "total"}
SHARE = re.compile(r"frac|share|pct|percent|ratio|proportion", re.IGNORECASE)


def sane(table: pd.DataFrame) -> pd.DataFrame:
    """Any frame as one with text for names, a plain index, and columns of numbers or of objects that can be compared.

    Raises:
        InputError: a column's name stands twice.
    """
    table = table.reset_index(drop=True)
    names = [" ".join(map(str, c)) if isinstance(c, tuple) else str(c) for c in table.columns]
    twice = [n for i, n in enumerate(names) if n in names[:i]]
    if twice:
        raise InputError(f"column {twice[0]} is there twice")
    made: dict[str, Any] = {}
    for i, name in enumerate(names):
        made[name] = _plain_column(table.iloc[:, i])
    return pd.DataFrame(made, index=table.index, columns=pd.Index(names, dtype=object))


def _plain_column(column: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(column) and not isinstance(column.dtype, np.dtype):
        return column.astype(object).where(column.notna(), None)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return column if isinstance(column.dtype, np.dtype) else column.astype(float)
    if pd.api.types.is_object_dtype(column):
        return column.map(_plain_value)
    if pd.api.types.is_string_dtype(column) and not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    return column.astype(object).map(_plain_value)


def _plain_value(value: Any) -> Any:
    if isinstance(value, (str, bool, int, float, np.number)) or value is None:
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        return " ".join(map(str, value))
    try:
        return None if pd.isna(value) else str(value)
    except (TypeError, ValueError):
        return str(value)


def map_columns(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """The table with our names for the columns that the user names, and without those that `columns.X=` drops."""
    kept = table.drop(columns=[name for name, source in columns.items() if not source and name in table.columns])
    given = {name: source for name, source in columns.items() if source}
    found = {}
    for name, source in given.items():
        if source in table.columns:
            found[name] = table[source]
        elif (same := column_for(list(map(str, table.columns)), source)) is not None:
            found[name] = table[same]
        else:
            raise InputError(f"columns.{name}={source}: no such column; there are {', '.join(map(str, table.columns))}")
    return kept.assign(**found)


def find_names(
    table: pd.DataFrame, *, axis: str, metric: str, dropped: frozenset[str] = frozenset()
) -> tuple[pd.DataFrame, list[str]]:
    """Our names for columns that bear another one for the same thing, and what was taken for what."""
    columns = [str(c) for c in table.columns]
    ours = "config_hash" in columns
    wanted = ["family", "model", axis, metric, *(() if ours else OPTIONAL)]
    renamed: dict[str, str] = {}
    for name in dict.fromkeys(wanted):
        source = None if name in columns or name in dropped else column_for(columns, name)
        if source is not None and source not in (*wanted, *renamed):
            renamed[source] = name
    said = [f"{name} is {source}" for source, name in renamed.items()]
    return table.rename(columns=renamed), said


def full_sizes(table: pd.DataFrame, axis: str, total_images: int | None) -> tuple[pd.DataFrame, int | None]:
    """Sizes with `full` or `all` as numbers, and what shares among them are of: None where they are numbers.

    Raises:
        InputError: nothing says how many images that is.
    """
    if axis != "train_size" or pd.api.types.is_numeric_dtype(table[axis]):
        return table, total_images
    words = each_once(table[axis], lambda v: str(v).strip().lower() in FULL)
    if not words.any():
        return table, total_images
    if total_images is None:
        raise InputError(f"{axis}={table[axis][words].iloc[0]}: total_images=N says how many images that is")
    rest = read_column(table[axis].where(~words))
    known = rest.values.dropna()
    if rest.percent.any():
        return table.assign(**{axis: table[axis].mask(words, "100%")}), total_images
    if len(known) and (known <= 1).all():
        return table.assign(**{axis: rest.values.mask(words, 1.0)}), total_images
    return table.assign(**{axis: rest.values.mask(words, float(total_images))}), None


def tidy_status(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """`status` in our words, from those of W&B and MLflow in any case; `finished` where there is no such column.

    Raises:
        InputError: another word.
    """
    if "status" not in table.columns:
        return table.assign(status="finished"), []
    words = each_once(table["status"], lambda v: "" if v is None or v != v else str(v).strip().lower())
    words = each_once(words, lambda w: w.removeprefix("runstatus."))
    made = (
        dict.fromkeys(FINISHED, "finished")
        | dict.fromkeys(FAILED | UNFINISHED, "failed")
        | dict.fromkeys(DIVERGED, "diverged")
    )
    unknown = sorted(set(words) - set(made))
    if unknown:
        shown = ", ".join(w or "an empty cell" for w in unknown[:5])
        raise InputError(f"status must be finished, failed or diverged, not {shown}; columns.status= drops the column")
    running = int(words.isin(UNFINISHED).sum())
    notes = [f"{running} runs are not finished yet and left out"] if running else []
    return table.assign(status=words.map(made)), notes


def _says_nothing(value: Any) -> bool:
    """Whether a cell is empty, or bears a summary's name."""
    if isinstance(value, str):
        return is_empty(value) or value.strip().lower() in SUMMARY
    return value is None or value != value


def drop_summaries(table: pd.DataFrame, axis: str) -> tuple[pd.DataFrame, list[str]]:
    """Without footers and subtotals: rows of means without a family or a size of their own."""
    if "model" not in table.columns or axis not in table.columns:
        return table, []
    words = each_once(table["model"], lambda v: "" if v is None or v != v else str(v).strip().lower().rstrip(":"))
    first = each_once(table.iloc[:, 0], lambda v: str(v).strip().lower().rstrip(":") if isinstance(v, str) else "")
    no_size = each_once(table[axis], _says_nothing).astype(bool)
    mean = (words.isin(SUMMARY) | first.isin(SUMMARY) | (words == "")) & no_size
    if "family" in table.columns:
        mean &= each_once(table["family"], _says_nothing).astype(bool)
    if not mean.any():
        return table, []
    names = sorted({str(v) for v in table["model"][mean] if v == v and v is not None} | set(first[mean]) - {""})
    return table[~mean], [f"{int(mean.sum())} rows of summaries left out ({', '.join(names) or 'no model, no size'})"]


def tidy_seeds(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Seeds as numbers: `seed1` is 1, other words are numbered.

    Raises:
        InputError: a finished row without one.
    """
    notes = []
    for name in ("seed", "subset_seed"):
        if name not in table.columns or pd.api.types.is_integer_dtype(table[name]):
            continue
        column = table[name]
        if column.isna().all():
            table = table.drop(columns=name)
            continue
        numbers = read_column(column).values
        whole = numbers.isna() | (numbers == numbers.round())
        if not (numbers.notna() == column.notna()).all() or not whole.all():
            texts = column.map(lambda v: None if v is None or v != v else str(v).strip())
            digits = texts.map(lambda t: re.fullmatch(r"\D*?(\d{1,15})\D*", t) if isinstance(t, str) else None)
            if (digits.notna() == texts.notna()).all() and digits.dropna().map(
                lambda m: m[1]
            ).nunique() == texts.nunique():
                numbers = digits.map(lambda m: float(m[1]) if m else np.nan).astype(float)
            else:
                order = {t: float(i) for i, t in enumerate(sorted(texts.dropna().unique()))}
                numbers = texts.map(order).astype(float)
                notes.append(f"{name}: words, numbered in their order")
        empty = numbers.isna() & (table["status"] == "finished" if "status" in table.columns else True)
        if empty.any():
            raise InputError(
                f"{name} is empty in row {row_number(table, empty)} ({which_row(table[empty].iloc[0])});"
                f" columns.{name}= drops the column"
            )
        table = table.assign(**{name: numbers})
    return table, notes


def tidy_image_size(table: pd.DataFrame) -> pd.DataFrame:
    """`224x224` as 224."""
    if "image_size" in table.columns and not pd.api.types.is_numeric_dtype(table["image_size"]):
        square = re.compile(r"\s*(\d+)\s*(?:px)?\s*[x\u00d7*,]\s*(\d+)\s*(?:px)?\s*", re.IGNORECASE)

        def side(value: Any) -> Any:
            match = square.fullmatch(str(value))
            return float(match[1]) if match and match[1] == match[2] else value

        return table.assign(image_size=table["image_size"].map(side))
    return table


def sizes_of(table: pd.DataFrame, axis: str, source: str | None, total_images: int | None) -> pd.Series:
    """The sizes as whole numbers of images.

    Args:
        source: what the column was called, which may say that it is a share; None for a frame of Python's, where sizes
            may come from a formula and need not be whole.
        total_images: what a share is a share of.

    Raises:
        InputError: shares without `total_images`, sizes below 1 or not whole, with how to say what they are.
    """
    read = read_column(table[axis])
    values = read.values
    if axis != "train_size":
        return values
    found = values.dropna()
    if found.empty:
        return values
    share = bool((found <= 1).all() and (found > 0).all() and (found < 1).any())
    percent = bool(read.percent.any()) or bool(source and SHARE.search(source) and (found <= 100).all() and not share)
    if share or percent:
        if total_images is None:
            kind = "percentages" if percent else "shares"
            raise InputError(
                f"{axis} holds {kind} of the data ({source or axis}: {found.min():g} to {found.max():g}), not"
                " numbers of images; total_images=N says of how many"
            )
        return (values / (100 if percent else 1) * total_images).round()
    if total_images is not None:
        raise InputError(
            f"total_images={total_images}: {axis} holds numbers of images ({found.min():g} to"
            f" {found.max():g}), no shares"
        )
    broken = (values - values.round()).abs() > 1e-6 * values.abs()
    odd = values.notna() & ((values < 1) | (broken if source is not None else False))
    if odd.any() and np.isfinite(values[odd]).all():
        value, row = float(values[odd].iloc[0]), table[odd].iloc[0]
        what = "must be > 0, and at least 1" if value < 1 else "is not a whole number of images"
        raise InputError(f"{axis} {what}: {value:g} in row {row_number(table, odd)} ({which_row(row)})")
    return values
