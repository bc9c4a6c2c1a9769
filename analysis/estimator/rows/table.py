"""Tables of any source in, one checked table out: a row per run, columns named as in the record."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import InputError, TableArguments
from analysis.estimator.rows.data_sets import FINGERPRINT, data_notes, data_sets
from analysis.estimator.rows.sources import PROVENANCE, read_source
from analysis.estimator.rows.wrong_files import WRONG
from scaling.records.question import QUESTION
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
    "num_classes",
    "locality",
    "image_size",
    "budget_factor",
)


def _map_columns(table: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    for name, source in columns.items():
        if source not in table.columns:
            raise InputError(f"columns.{name}={source}: no such column; there are {', '.join(map(str, table.columns))}")
    return table.assign(**{name: table[source] for name, source in columns.items()})


def _keep(table: pd.DataFrame, filters: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    for column, wanted in filters.items():
        if column not in table.columns:
            raise InputError(f"filters.{column}: no such column; there are {', '.join(map(str, table.columns))}")
        values = table[column]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            numbers = pd.to_numeric(pd.Series(wanted), errors="coerce")
            kept = table[values.isin(numbers.dropna())]
        else:
            kept = table[values.astype(str).str.lower().isin([w.lower() for w in wanted])]
        if kept.empty:
            raise InputError(f"filters.{column}={','.join(wanted)} leaves no rows")
        table = kept
    return table


def _set_families(table: pd.DataFrame, families: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Rows of models that no list names keep their `family`, and are left out where there is no such column."""
    models = table["model"].astype(str)
    family = table["family"].astype(object) if "family" in table.columns else pd.Series(None, table.index, dtype=object)
    for name, listed in families.items():
        unknown = sorted(set(listed) - set(models))
        if unknown:
            raise InputError(
                f"family.{name}: no rows of {', '.join(unknown)}; there are {', '.join(sorted(set(models)))}"
            )
        family = family.mask(models.isin(listed), name)
    return table.assign(family=family)[family.notna()]


def check(table: pd.DataFrame, *, metric: str = "test_error", axis: str = "train_size") -> pd.DataFrame:
    """The table with numbers as numbers and `status` filled in, its rows in an order of their own.

    Raises:
        InputError: columns missing, errors outside [0, 1], or metrics empty in finished rows.
    """
    missing = [c for c in dict.fromkeys(("family", "model", axis, metric)) if c not in table.columns]
    if missing:
        hint = "; name them by columns.X=Y" if missing != ["family"] else "; say family.vit=[...] family.cnn=[...]"
        raise InputError(f"columns missing: {', '.join(missing)}{hint}")
    table = table.reset_index(drop=True)
    for column in dict.fromkeys((*NUMBERS, axis, metric)):
        if column in table.columns:
            numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
            bad = table[column].notna() & (numbers.isna() | np.isinf(numbers))
            if bad.any():
                raise InputError(f"{column}={table[column][bad].iloc[0]!r} is not a finite number")
            table[column] = numbers
    families = set(table["family"].astype(str)) - {"vit", "cnn"}
    if families:
        raise InputError(f"family must be vit or cnn, not {', '.join(sorted(families))}")
    if table["model"].isna().any():
        raise InputError("model is empty in some rows")
    table["model"] = table["model"].astype(str)
    table["status"] = table["status"].astype(str) if "status" in table.columns else "finished"
    unknown = set(table["status"]) - {"finished", "failed", "diverged"}
    if unknown:
        raise InputError(f"status must be finished, failed or diverged, not {', '.join(sorted(unknown))}")
    finished = table[table["status"] == "finished"]
    for column in (axis, metric):
        if finished[column].isna().any():
            raise InputError(f"{column} is empty in {int(finished[column].isna().sum())} finished rows")
    if (finished[axis] <= 0).any():
        raise InputError(f"{axis} must be > 0")
    for column in dict.fromkeys((*ERRORS, metric)):
        if column in finished.columns:
            values = finished[column].dropna()
            high = 1.0 if column.endswith("_error") else np.inf
            outside = values[(values < 0) | (values > high)]
            if len(outside):
                hint = "; metric=accuracy_percent (or accuracy, error_percent) says that it is one" * (high == 1)
                raise InputError(f"{column}={outside.iloc[0]:g} lies outside [0, {high:g}]{hint}")
    return _in_own_order(table)


def _in_own_order(table: pd.DataFrame) -> pd.DataFrame:
    """The rows in an order of their own, not the files'. Rows given twice (a folder, its results.csv and its runs in
    W&B) count once, if there is a column that would tell one run from another."""
    hashed = table["config_hash"].notna() if "config_hash" in table.columns else pd.Series(False, table.index)
    own = [c for c in table.columns if c not in (PROVENANCE, WRONG)]
    record = [c for c in own if c in COLUMNS]  # a row of ours is what its record says, whatever its source adds
    filled = table.astype(object).where(table.notna(), None)
    texts = {True: _row_texts(filled, record), False: _row_texts(filled, own)}
    key = pd.DataFrame({"row": texts[False].mask(hashed, texts[True])})
    key["from"] = filled[PROVENANCE].astype(str) if PROVENANCE in table.columns else ""
    key = key.sort_values(["row", "from"], kind="stable")
    if {"name", "config_hash", "seed"} & set(own):
        key = key[~key["row"].duplicated()]
    return table.loc[key.index].reset_index(drop=True)


def _row_texts(table: pd.DataFrame, columns: list[str]) -> pd.Series:
    rows = table[sorted(columns, key=str)].itertuples(index=False, name=None)
    return pd.Series([repr(row) for row in rows], table.index, dtype=object)


def _convert(table: pd.DataFrame, given: str) -> pd.DataFrame:
    """The table with `test_error` from a column that holds an accuracy or a percentage, because the user says so."""
    if given not in table.columns:
        raise InputError(f"columns missing: {given}; name it by columns.{given}=Y")
    values = pd.to_numeric(table[given], errors="coerce").astype(float)
    top = 100.0 if given.endswith("_percent") else 1.0
    outside = values[(values < 0) | (values > top)]
    if len(outside):
        raise InputError(f"{given}={outside.iloc[0]:g} lies outside [0, {top:g}]")
    return table.assign(test_error=values / top if given.startswith("error") else 1 - values / top)


def _plain(value: Any) -> Any:
    return shlex.join(map(str, value)) if isinstance(value, (list, tuple, np.ndarray)) else value


def load(arguments: TableArguments) -> pd.DataFrame:
    """All rows that `results=` names, mapped, filtered and checked.

    Raises:
        InputError: a path, a column or a value that cannot be used, in one line.
    """
    tables = [read_source(path, arguments.filters) for path in arguments.results]
    table = pd.concat(tables, ignore_index=True)
    for column in [c for c in table.columns if pd.api.types.is_object_dtype(table[c])]:
        table[column] = table[column].map(_plain)
    table = _keep(_map_columns(table, arguments.columns), arguments.filters)
    if arguments.families:
        if "model" not in table.columns:
            raise InputError("columns missing: model; name it by columns.model=Y")
        table = _set_families(table, arguments.families)
    if arguments.convert:
        table = _convert(table, arguments.convert)
    return check(table, metric=arguments.metric, axis=arguments.axis)


def split_questions(table: pd.DataFrame) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """One part per question (data, locality, image_size; num_classes where it varies; data_fingerprint where a data's
    name has several), most local first. `attrs["notes"]` of a part are warnings about its data.

    A key's value is None where its column is absent.
    """
    sets, notes = data_sets(table), data_notes(table)
    present = [c for c in QUESTION if c in table.columns]
    parts = []
    groups: Iterable[Any] = table.groupby([*present, sets.rename(FINGERPRINT)], dropna=False, sort=True)
    for values, rows in groups:
        found = dict(zip((*present, FINGERPRINT), values, strict=True))
        key = {c: _key_value(found.get(c)) for c in QUESTION[:3]}
        if "num_classes" in found and table["num_classes"].nunique() > 1:
            key["num_classes"] = _key_value(found["num_classes"])
        name = str(found.get("data", ""))
        if (name, found[FINGERPRINT]) in notes and sum(known == name for known, _ in notes) > 1:
            key[FINGERPRINT] = found[FINGERPRINT] or None
        rows = rows.reset_index(drop=True)
        rows.attrs["notes"] = notes.get((name, found[FINGERPRINT]), [])
        parts.append((key, rows))
    # The images as they are come first: they are the question, lower localities its control.
    return sorted(parts, key=lambda p: (str(p[0]["data"]), -(p[0]["locality"] or 0), str(p[0]["image_size"])))


def _key_value(value: Any) -> Any:
    if value is None or value != value:
        return None
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    return value.item() if isinstance(value, np.generic) else value


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """The rows in the record's columns, columns of the table's own after them."""
    known = [c for c in COLUMNS if c in table.columns]
    table[known + [c for c in table.columns if c not in (*COLUMNS, WRONG)]].to_csv(path, index=False)
