"""Finds the files that say which images a table's runs got wrong, reads those of given rows, and compares two of them.

A run of our own has `wrong.npz` beside its record, a report has the bits of all its runs beside `results.csv`. Which
file a row's bits are in stands in the column WRONG; like the provenance it is no part of a row.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
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


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=512)
def _kept(path: str, changed: int, size: int) -> dict[str, WrongImages]:
    """A file's runs, unpacked once as long as the file stays as it is: every choice of a learning rate asks again."""
    return read_wrong_images(Path(path))


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
    for label, path, own, error in zip(
        known.index, known[WRONG], known["config_hash"], known["test_error"], strict=True
    ):
        try:
            runs = _kept(str(path), *_stamp(str(path)))
        except WrongImagesError as problem:
            raise InputError(f"{problem}; remove it to go on without") from problem
        run = runs.get("" if set(runs) == {""} else str(own))
        if run is not None and len(run.test) and abs(run.test.mean() - error) < 0.5 / len(run.test):
            found[label] = run
    return found


def pack_bits(rows: pd.DataFrame) -> bytes | None:
    """The content of the `wrong.npz` beside a table of these rows; None where no row has bits."""
    bits = read_bits(rows)
    return pack_all({str(rows.at[label, "config_hash"]): run for label, run in bits.items()}) if bits else None


def _by_seed(
    bits: Mapping[object, WrongImages], rows: pd.DataFrame, keys: Sequence[str]
) -> dict[Hashable, WrongImages]:
    found: dict[Hashable, WrongImages] = {}
    for label, *seed in rows[list(keys)].itertuples(name=None):
        if label in bits:
            found[tuple(seed)] = bits[label]
    return found


def difference_variance(rows: pd.DataFrame, by: str, values: tuple[object, object]) -> float | None:
    """The variance that the drawing of the validation images gives the difference of two values' mean errors.

    Args:
        rows: of one model and size, with the bits of their runs where there are some.
        by: the column of the setting.
        values: the two that are compared, on the seeds that both have.

    Returns:
        None where the runs have no bits, or no seed and image in common.
    """
    keys = [k for k in ("seed", "subset_seed") if k in rows.columns and rows[k].notna().all()]
    if "seed" not in keys:
        return None
    bits = read_bits(rows[rows[by].isin(list(values))])
    one, other = (_by_seed(bits, rows[rows[by] == value], keys) for value in values)
    sums: dict[int, list[float]] = {}  # per image of the pool the differences of the seeds
    for seed in one.keys() & other.keys():
        images, at, there = np.intersect1d(one[seed].val_index, other[seed].val_index, return_indices=True)
        away = one[seed].val[at].astype(float) - other[seed].val[there]
        for image, d in zip(images.tolist(), away.tolist(), strict=True):
            sums.setdefault(image, []).append(d)
    means = np.array([np.mean(d) for d in sums.values()])
    return float(means.var(ddof=1) / len(means)) if len(means) > 1 else None
