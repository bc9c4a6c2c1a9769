"""Finds the files that say which images a table's runs got wrong, and reads those of given rows.

A run of our own has `wrong.npz` beside its record, a report has the bits of all its runs beside `results.csv`. Which
file a row's bits are in stands in the column WRONG; like the provenance it is no part of a row.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from analysis.arguments import InputError
from scaling.records.wrong_images import WRONG_FILE, WrongImages, WrongImagesError, pack_all, read_wrong_images

WRONG = "wrong_file"


def with_wrong_files(table: pd.DataFrame, source: Path, records: Iterable[str] | None) -> pd.DataFrame:
    """The table with the column WRONG, where there are such files.

    Args:
        table: the rows of one source.
        source: the file or folder that they were read from.
        records: per row the path of its record; None where the rows are those of one file.
    """
    if "config_hash" not in table.columns or not source.exists():
        return table
    folders = [source.parent] * len(table) if records is None else [Path(path).parent for path in records]
    present = {folder: str(folder / WRONG_FILE) if (folder / WRONG_FILE).is_file() else None for folder in set(folders)}
    files = pd.Series([present[folder] for folder in folders], table.index, dtype=object)
    return table.assign(**{WRONG: files}) if files.notna().any() else table


def read_bits(rows: pd.DataFrame) -> dict[object, WrongImages]:
    """Per label of `rows` the images that its run got wrong: of finished rows that have such a file which agrees.

    A row that was changed since, or whose error is another column's, has other images than its file says: it has none.

    Raises:
        InputError: a file is there and cannot be read.
    """
    if WRONG not in rows.columns or "test_error" not in rows.columns:
        return {}
    found: dict[object, WrongImages] = {}
    known = rows[rows[WRONG].notna() & rows["config_hash"].notna() & rows["test_error"].notna()]
    for path, part in known.groupby(WRONG):
        try:
            runs = read_wrong_images(Path(str(path)))
        except WrongImagesError as error:
            raise InputError(f"{error}; remove it to go on without") from error
        for label, row in part.iterrows():
            run = runs.get("" if set(runs) == {""} else str(row["config_hash"]))
            if run is not None and len(run.test) and abs(run.test.mean() - row["test_error"]) < 0.5 / len(run.test):
                found[label] = run
    return found


def pack_bits(rows: pd.DataFrame) -> bytes | None:
    """The content of the `wrong.npz` beside a table of these rows; None where no row has bits."""
    bits = read_bits(rows)
    return pack_all({str(rows.at[label, "config_hash"]): run for label, run in bits.items()}) if bits else None
