"""Reads what `results=` names into tables: records, CSV, Parquet, JSONL or a W&B project; rows know their source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.rows.files.sniff import Sniffed, read_any
from analysis.estimator.rows.wrong_files import with_wrong_files
from scaling.records.design_plan import DESIGN, LARGEST, PLAN_FILE, PlanError, largest_of, read_plan
from scaling.records.files import undefused
from scaling.records.record import RecordError, find_records, read_record

PROVENANCE = "provenance"  # where a row was read: a file, or wandb:ENTITY/PROJECT/RUN; a table's own is kept
_WANDB, _OFFLINE = "wandb:", "wandb-offline:"


def _is_record(path: Path) -> bool:
    """Whether a JSON file is one run's record, as in a cell's folder."""
    if path.suffix.lower() != ".json":
        return False
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return path.name == "record.json"
    return isinstance(found, dict) and {"config_hash", "status"} <= set(found)


def _read_file(path: Path, trust: bool) -> Sniffed:
    if not _is_record(path):
        return read_any(path)
    try:
        return Sniffed(pd.DataFrame([read_record(path, trust=trust).to_dict()]))
    except (RecordError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _read_folder(path: Path, trust: bool) -> pd.DataFrame:
    files = find_records(path)
    if not files:
        raise InputError(f"{path}: no record.json in this folder or below")
    try:
        table = pd.DataFrame([read_record(file, trust=trust).to_dict() | {PROVENANCE: str(file)} for file in files])
    except RecordError as error:
        raise InputError(str(error)) from error
    try:
        return _with_plans(table)
    except PlanError as error:
        raise InputError(str(error)) from error


def _with_plans(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a folder, with DESIGN and LARGEST where the plan of an adaptive design lies beside their runs."""
    places = [Path(record).parent.parent / PLAN_FILE for record in table[PROVENANCE]]
    plans = {place: largest_of(read_plan(place)) for place in set(places) if place.is_file()}
    if not plans:
        return table
    largest = [plans.get(place, {}).get(str(name)) for place, name in zip(places, table["name"], strict=True)]
    column = pd.Series(largest, table.index, dtype=float)
    return table.assign(**{DESIGN: column.notna().map({True: "adaptive", False: None}), LARGEST: column})


def _read_wandb(project: str, filters: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    from scaling.tracking import TrackingError
    from scaling.tracking.wandb_read import read_runs

    if not project.strip("/") or project.count("/") > 1:
        raise InputError(f"wandb:{project} is not of the form wandb:ENTITY/PROJECT")
    try:
        rows = read_runs(project, filters)
    except TrackingError as error:
        raise InputError(str(error)) from error
    return pd.DataFrame([row | {PROVENANCE: f"wandb:{project}/{row['run_id']}"} for row in rows])


def _read_offline(folder: Path) -> pd.DataFrame:
    from scaling.tracking import TrackingError
    from scaling.tracking.wandb_local import read_folders

    try:
        return pd.DataFrame([row | {PROVENANCE: str(path)} for path, row in read_folders(folder)])
    except TrackingError as error:
        raise InputError(f"{_OFFLINE}{error}") from error


def read_source(
    path: Path, filters: Mapping[str, tuple[str, ...]], *, trust: bool = False
) -> tuple[pd.DataFrame, list[str]]:
    """The rows of one source, as they stand there, and what was noticed while they were read.

    Args:
        path: a folder, a file, or `wandb:ENTITY/PROJECT` or `wandb-offline:DIR` where there is no file of that name.
        trust: take records that were changed after they were written.
        filters: column -> values; what a service can leave out by itself need not be fetched.

    Raises:
        InputError: it is not there or cannot be read, in one line.
    """
    name, notes = str(path), tuple[str, ...]()
    if not path.exists() and name.startswith(_OFFLINE):
        table = _read_offline(Path(name.removeprefix(_OFFLINE)))
    elif not path.exists() and name.startswith(_WANDB):
        table = _read_wandb(name.removeprefix(_WANDB), filters)
    elif not path.exists():
        raise InputError(f"{path}: no such file or folder")
    elif path.is_dir():
        table = _read_folder(path, trust)
    else:
        sniffed = _read_file(path, trust)
        table, notes = sniffed.table, sniffed.notes
        if "config_hash" in table.columns:  # a report's own table
            texts = [c for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])]
            table = table.assign(**{c: table[c].map(undefused) for c in texts})
    if table.empty:
        raise InputError(f"{path}: no rows")
    if name.startswith((_WANDB, _OFFLINE)) and "config_hash" in table.columns and "init_from" not in table.columns:
        table["init_from"] = None  # W&B keeps no empty values: these runs are from scratch
    if PROVENANCE not in table.columns:
        table[PROVENANCE] = None
    table = table.assign(**{PROVENANCE: table[PROVENANCE].where(table[PROVENANCE].notna(), name)})
    return with_wrong_files(table, path, table[PROVENANCE] if path.is_dir() else None), list(notes)
