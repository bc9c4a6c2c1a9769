"""Joins tables of any source into one checked table: a row per run, columns named as in the record."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import InputError, TableArguments
from analysis.estimator.rows.check import check as check
from analysis.estimator.rows.check import checked, drop_repeats
from analysis.estimator.rows.columns import find_names, map_columns
from analysis.estimator.rows.data_sets import FINGERPRINT, data_notes, data_sets
from analysis.estimator.rows.families import fill_down, set_families
from analysis.estimator.rows.files.wide import lengthen
from analysis.estimator.rows.metric import Metric, known_metric, metric_of
from analysis.estimator.rows.mixed import last_of_each_run, question_columns
from analysis.estimator.rows.numbers import each_once, read_column
from analysis.estimator.rows.sources import PROVENANCE, read_source
from analysis.estimator.rows.starts import ADAPT, OF_STARTS, SOURCE_SIZE, START, refuse_mixed_starts, with_starts
from analysis.estimator.rows.wrong_files import WRONG
from scaling.records.files import defused
from scaling.records.question import IN_EVERY_KEY, QUESTION
from scaling.records.record import COLUMNS


@dataclass(frozen=True)
class Reading:
    """What was read: the checked rows, the metric as understood, and notes for the user.

    `extra`: columns beyond the usual ones whose values are questions of their own.
    """

    table: pd.DataFrame
    metric: Metric
    axis: str
    notes: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)

    def parts(self) -> list[tuple[dict[str, Any], pd.DataFrame]]:
        return split_questions(self.table, self.extra)

    def lines(self) -> list[str]:
        """What was understood, in a line or two."""
        rows = self.table[self.table["status"] == "finished"]
        models = [
            f"{rows.loc[rows['family'] == f, 'model'].nunique()} {name}" for f, name in (("vit", "ViT"), ("cnn", "CNN"))
        ]
        sizes = sorted(set(rows[self.axis]))
        span = f"{len(sizes)} sizes from {sizes[0]:,.0f} to {sizes[-1]:,.0f}" if sizes else "no sizes"
        seeds = f", {rows['seed'].nunique()} seeds" if "seed" in rows.columns else ""
        other = len(self.table) - len(rows)
        left = f", {other} not finished" if other else ""
        first = f"{len(rows)} runs{left}: models {' and '.join(models)}; {span} ({self.axis}){seeds}"
        return [
            f"Understood: {first}; metric {self.metric.describe()}.",
            *([f"Note: {'; '.join(self.notes)}."] if self.notes else []),
        ]


def _keep(table: pd.DataFrame, filters: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    for column, wanted in filters.items():
        if column not in table.columns:
            raise InputError(f"filters.{column}: no such column; there are {', '.join(map(str, table.columns))}")
        values = table[column]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            numbers = read_column(pd.Series(list(wanted), dtype=object)).values
            chosen = values.isin(numbers.dropna())
        else:
            chosen = values.astype(str).str.lower().isin([w.lower() for w in wanted])
        if chosen.any() and column in OF_STARTS and "init_from" in table.columns:
            chosen |= values.isna() & table["init_from"].isna()  # it chooses among starts; fresh models have none
        kept = table[chosen]
        if kept.empty:
            there = ", ".join(sorted({str(v) for v in values.dropna().unique()[:8]}))
            raise InputError(f"filters.{column}={','.join(wanted)} leaves no rows; there are {there}")
        table = kept
    return table


def _plain(value: Any) -> Any:
    return shlex.join(map(str, value)) if isinstance(value, (list, tuple, np.ndarray)) else value


def _sources(arguments: TableArguments) -> tuple[pd.DataFrame, list[str]]:
    """All sources as one table with a row per run, and notes."""
    tables, notes = [], []
    for path in arguments.results:
        table, said = read_source(path, arguments.filters, trust=arguments.trust)
        renamed = {
            source: name for name, source in arguments.columns.items() if source in table.columns and name not in table
        }
        if arguments.wide or "config_hash" not in table.columns:
            long, understood = lengthen(
                table.rename(columns=renamed) if arguments.axis in renamed.values() else table,
                arguments.wide,
                axis=arguments.axis,
                metric=arguments.metric,
            )
            table, said = long, [*said, *([understood] if understood else [])]
        tables.append(table)
        notes += said
    table = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    for column in [c for c in table.columns if pd.api.types.is_object_dtype(table[c])]:
        table[column] = table[column].map(_plain)
    return table, notes


def _refuse_opposite(columns: Mapping[str, str]) -> None:
    """An accuracy that is called an error would turn every answer round."""
    source = columns.get("test_error", "")
    known = known_metric(source) if source else None
    if known is not None and known.higher:
        raise InputError(
            f"columns.test_error={source}: {source} is by its name {known.words}, of which more is better;"
            f" say metric={source}"
        )


def read_results(arguments: TableArguments, *, one_start: bool = True) -> Reading:
    """All rows that `results=` names, mapped, filtered and checked, and what was understood.

    Args:
        one_start: refuse a model that stands for several starting points, which no curve may mix.

    Raises:
        InputError: a path, a column or a value that cannot be used, in one line.
    """
    metric = metric_of(arguments.metric, better=arguments.better, range=arguments.range)
    _refuse_opposite(arguments.columns)
    table, notes = _sources(arguments)
    given = {n: s for n, s in arguments.columns.items() if not (s and s not in table.columns and n in table.columns)}
    table = map_columns(table, given)
    table = _keep(table, {k: v for k, v in arguments.filters.items() if k in table.columns})
    dropped = frozenset(n for n, source in arguments.columns.items() if not source)
    before = list(map(str, table.columns))
    table, said = find_names(table, axis=arguments.axis, metric=metric.name, dropped=dropped)
    table, told = with_starts(table)
    said += told
    table = _keep(table, {k: v for k, v in arguments.filters.items() if k not in before})
    notes += said
    table, said = fill_down(table, ("family", "model", arguments.axis))
    notes += said
    if "family" in given and not arguments.families:
        table = table.assign(family=table["family"])
    table, said = set_families(table, arguments.families, guess=arguments.axis in table.columns)
    notes += said
    source = arguments.columns.get(arguments.axis) or next(
        (s.split(" is ")[1] for s in notes if s.startswith(f"{arguments.axis} is ")), arguments.axis
    )
    table, said = checked(
        table, metric=metric, axis=arguments.axis, told=arguments.range is not None, source=source,
        total_images=arguments.total_images,
    )  # fmt: skip
    return questions_of(table, metric, arguments.axis, [*notes, *said], one_start=one_start)


def questions_of(
    table: pd.DataFrame, metric: Metric, axis: str, notes: list[str], *, one_start: bool = True
) -> Reading:
    """A checked table with its rows told apart by question, and those that were given twice counted once."""
    table, said = with_starts(table)
    notes = [*notes, *said]
    table = _ignore_paths(table, notes)
    unique, again = drop_repeats(table)
    extra = ["train_size"] if axis == SOURCE_SIZE and "train_size" in unique.columns else []
    notes += _start_notes(unique)
    foreign = unique["status"] == "finished"
    if "config_hash" in unique.columns:
        foreign &= unique["config_hash"].isna()
    last, column = last_of_each_run(unique[foreign], metric=metric.column, axis=axis, question=QUESTION)
    if column:
        kept = last.reindex(unique.index, fill_value=True)
        notes.append(
            f"{int((~kept).sum())} rows before the last {column} of their runs left out (filters.{column}=N keeps one)"
        )
        unique, foreign = unique[kept].reset_index(drop=True), foreign[kept].reset_index(drop=True)
    found = (
        question_columns(unique[foreign], metric=metric.column, axis=axis, question=QUESTION) if foreign.any() else []
    )
    if again_in := _sweeps_apart(unique, axis):
        found = [*found, again_in]
    if PROVENANCE in found:
        unique, again = drop_repeats(table, within=True)
    for column in found:
        count = unique[column].nunique(dropna=False)
        notes.append(
            f"{column} differs between runs of one model and size: {count} questions, one for each of its values"
            f" (filters.{column}=VALUE keeps one, columns.data={column} names them by it)"
            if column != PROVENANCE
            else f"the files hold other values for the same runs: {count} questions, one per file"
        )
    if again:
        notes.append(f"{again} rows that were given twice count once")
    read = Reading(unique, metric, axis, tuple(notes), (*extra, *found))
    if one_start and START in unique.columns and unique[START].eq("pretrained").any():
        for _, rows in read.parts():
            refuse_mixed_starts(rows, axis)
    return read


def _sweeps_apart(table: pd.DataFrame, axis: str) -> str:
    """`sweep`, where sweeps of ours hold other runs under one model, size, seed and rate: they differ in a setting."""
    if not {"config_hash", "sweep"} <= set(table.columns) or table["sweep"].nunique() < 2:
        return ""
    own = table[(table["status"] == "finished") & table["config_hash"].notna()]
    if "purpose" in own.columns:
        own = own[own["purpose"] != "tune"]
    question = (*QUESTION, FINGERPRINT, START, ADAPT)
    named = ("model", axis, "train_size", *question, "seed", "subset_seed", "lr", "budget_factor")
    by = [c for c in dict.fromkeys(named) if c in own.columns]
    cells = own.groupby(by, dropna=False)[["config_hash", "sweep"]].nunique()
    return "sweep" if ((cells["config_hash"] > 1) & (cells["sweep"] > 1)).any() else ""


def _start_notes(table: pd.DataFrame) -> list[str]:
    """Says that rows of several kinds of start are questions of their own."""
    if START not in table.columns:
        return []
    done = table[table["status"] == "finished"]
    kinds = {"scratch": "from scratch", "probe": "of frozen features", "full": "fine-tuned"}
    found = set(done[ADAPT].where(done[ADAPT].notna(), done[START]).dropna())
    named = [words for kind, words in kinds.items() if kind in found]
    return [f"runs {' and '.join(named)} are questions of their own (init, adapt)"] if len(named) > 1 else []


def _ignore_paths(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Without a column `data` that differs from run to run: paths of runs are no data sets."""
    if "data" not in table.columns or ("config_hash" in table.columns and table["config_hash"].notna().any()):
        return table
    count = table["data"].nunique(dropna=False)
    if count > 2 and count > 0.5 * len(table):
        notes.append(f"data has {count} values in {len(table)} rows, which are taken for paths and not for data sets")
        return table.rename(columns={"data": "data_path"})
    return table


def load(arguments: TableArguments) -> pd.DataFrame:
    """All rows that `results=` names, mapped, filtered and checked, one by one: no curve is asked of them.

    Raises:
        InputError: a path, a column or a value that cannot be used, in one line.
    """
    return read_results(arguments, one_start=False).table


def split_questions(table: pd.DataFrame, extra: Iterable[str] = ()) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """One part per question (data, locality, image_size, init, adapt; num_classes where it varies; data_fingerprint
    where a data's name has several; `extra`), most local first. `attrs["notes"]` of a part are warnings about its data.

    A key's value is None where its column is absent.
    """
    extra = list(extra)
    sets, notes = data_sets(table), data_notes(table)
    present = [c for c in (*QUESTION, START, ADAPT, *extra) if c in table.columns]
    parts = []
    groups: Iterable[Any] = table.groupby([*present, sets.rename(FINGERPRINT)], dropna=False, sort=True)
    for values, rows in groups:
        found = dict(zip((*present, FINGERPRINT), values, strict=True))
        key = {c: _key_value(found.get(c)) for c in (*IN_EVERY_KEY, START, ADAPT)}
        if "num_classes" in found and table["num_classes"].nunique() > 1:
            key["num_classes"] = _key_value(found["num_classes"])
        key |= {c: _key_value(found[c]) for c in extra if c in found}
        name = str(found.get("data", ""))
        if (name, found[FINGERPRINT]) in notes and sum(known == name for known, _ in notes) > 1:
            key[FINGERPRINT] = found[FINGERPRINT] or None
        rows = rows.reset_index(drop=True)
        rows.attrs["notes"] = notes.get((name, found[FINGERPRINT]), [])
        parts.append((key, rows))
    if not parts:
        parts = [(dict.fromkeys((*IN_EVERY_KEY, START, ADAPT)), table)]
    # The images as they are come first: they are the question, lower localities its control.
    return sorted(parts, key=lambda p: (str(p[0]["data"]), -(p[0]["locality"] or 0), str(p[0]["image_size"])))


def _key_value(value: Any) -> Any:
    if value is None or value != value:
        return None
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return int(value)
    return value.item() if isinstance(value, np.generic) else value


def csv_text(table: pd.DataFrame) -> str:
    """The rows in the record's columns, columns of the table's own after them; no cell is a spreadsheet's formula."""
    known = [c for c in COLUMNS if c in table.columns]
    kept = table[known + [c for c in table.columns if c not in (*COLUMNS, WRONG)]]
    return defuse_table(kept).to_csv(index=False)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes `csv_text` into a file."""
    path.write_text(csv_text(table), encoding="utf-8", newline="")


def defuse_table(table: pd.DataFrame) -> pd.DataFrame:
    """The same with texts that a spreadsheet would take for formulas made plain, in cells and names of columns."""
    texts = {c: each_once(table[c], defused) for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])}
    return table.assign(**texts).rename(columns=defused) if texts else table
