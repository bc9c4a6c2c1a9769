"""What `results=` names in, tables out: records, CSV, Parquet, JSONL or a W&B project; rows know their source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.rows.wrong_files import with_wrong_files
from scaling.records.record import RecordError, find_records, read_record

PROVENANCE = "provenance"  # where a row was read: a file, or wandb:ENTITY/PROJECT/RUN; a table's own is kept
_WANDB, _OFFLINE = "wandb:", "wandb-offline:"


def _read_file(path: Path) -> pd.DataFrame:
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            return pd.read_csv(path)
        if suffix in (".parquet", ".pq"):
            return pd.read_parquet(path)
        if suffix in (".jsonl", ".ndjson"):
            lines = path.read_text(encoding="utf-8").splitlines()
            return pd.DataFrame([json.loads(line) for line in lines if line.strip()])
        if suffix == ".json":
            return pd.DataFrame([read_record(path).to_dict()])
    except ImportError as error:
        raise InputError(f"{path}: reading Parquet needs pyarrow (pip install 'vit-scaling[parquet]')") from error
    except (ValueError, OSError) as error:  # pandas' and json's errors are ValueErrors
        raise InputError(f"{path}: cannot be read ({error})") from error
    raise InputError(f"{path}: neither a folder of records nor .csv, .parquet, .jsonl")


def _read_folder(path: Path) -> pd.DataFrame:
    files = find_records(path)
    if not files:
        raise InputError(f"{path}: no record.json in this folder or below")
    try:
        return pd.DataFrame([read_record(file).to_dict() | {PROVENANCE: str(file)} for file in files])
    except RecordError as error:
        raise InputError(str(error)) from error


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


def read_source(path: Path, filters: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """The rows of one source, as they stand there.

    Args:
        path: a folder, a file, or `wandb:ENTITY/PROJECT` or `wandb-offline:DIR` where there is no file of that name.
        filters: column -> values; what a service can leave out by itself need not be fetched.

    Raises:
        InputError: it is not there or cannot be read, in one line.
    """
    name = str(path)
    if not path.exists() and name.startswith(_OFFLINE):
        table = _read_offline(Path(name.removeprefix(_OFFLINE)))
    elif not path.exists() and name.startswith(_WANDB):
        table = _read_wandb(name.removeprefix(_WANDB), filters)
    elif not path.exists():
        raise InputError(f"{path}: no such file or folder")
    else:
        table = _read_folder(path) if path.is_dir() else _read_file(path)
    if table.empty:
        raise InputError(f"{path}: no rows")
    if PROVENANCE not in table.columns:
        table[PROVENANCE] = None
    table = table.assign(**{PROVENANCE: table[PROVENANCE].where(table[PROVENANCE].notna(), name)})
    return with_wrong_files(table, path, table[PROVENANCE] if path.is_dir() else None)
