"""A CSV file with a line for each image: path, label, and split and group if there are any."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from scaling.config.columns import Columns
from scaling.data.errors import DataError
from scaling.data.sources.catalogue import portable
from scaling.data.sources.containers.listed import ListedImage, split_of
from scaling.data.sources.split_names import one_split
from scaling.records.files import some


def _rows(root: str) -> tuple[list[str], list[list[str]]]:
    try:
        with open(root, encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
            first = file.readline()
            if "\0" in first:
                raise DataError(f"{root} is no text: save the table as CSV, and give that")
            file.seek(0)
            separator = max(",;\t|", key=first.count)
            rows = [row for row in csv.reader(file, delimiter=separator) if any(row)]
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{root} cannot be read as a table: {reason}") from error
    if len(rows) < 2:
        raise DataError(
            f"{root} has no rows; a table has a line with names (path,label[,split][,group]) and one an image"
        )
    return [name.strip() for name in rows[0]], rows[1:]


def _place(names: list[str], wanted: str, key: str, root: str) -> int | None:
    if wanted in names:
        return names.index(wanted)
    alike = [i for i, name in enumerate(names) if name.lower() == wanted.lower()]
    if len(alike) == 1:
        return alike[0]
    if key in ("split", "group") and wanted == key:
        return None
    raise DataError(f"{root} has no column {wanted}; its columns are {some(names, at_most=8)}: data.columns.{key}=NAME")


def read_table(root: str, columns: Columns) -> Iterator[ListedImage]:
    """The images that a table lists. Paths are relative to the table's folder.

    Raises:
        DataError: a column is missing, a line is too short, or a split is none.
    """
    names, rows = _rows(root)
    found = {key: _place(names, getattr(columns, key), key, root) for key in ("path", "label", "split", "group")}
    if found["split"] is None:
        _refuse_unused_split(names, rows, root)
    folder = os.path.dirname(os.path.abspath(root))
    absolute = [row[found["path"] or 0] for row in rows if len(row) == len(names)]
    shared = os.path.commonpath(absolute) if absolute and all(map(os.path.isabs, absolute)) else ""
    for line, row in enumerate(rows, start=2):
        if len(row) != len(names):
            raise DataError(f"{root}, line {line}: {len(row)} values for {len(names)} columns")
        value = {key: row[place].strip() if place is not None else "" for key, place in found.items()}
        if not value["path"] or not value["label"]:
            raise DataError(f"{root}, line {line}: {'path' if not value['path'] else 'label'} is empty")
        split = split_of(value["split"], root=root) if found["split"] is not None else "train"
        path = _file_of(folder, value["path"])
        name = os.path.relpath(value["path"], shared) if shared else value["path"]
        name = name.replace("\\", "/") if os.sep == "/" and not os.path.exists(os.path.join(folder, name)) else name
        yield ListedImage(split, portable(value["label"]), Path(name).as_posix(), path, value["group"])


def _file_of(folder: str, path: str) -> str:
    """The file that a row means; paths that were written on Windows are understood elsewhere."""
    place = os.path.join(folder, os.path.expanduser(path))
    if "\\" in path and os.sep == "/" and not os.path.exists(place):
        return os.path.join(folder, path.replace("\\", "/"))
    return place


def refuse_absent(paths: Sequence[str], root: str) -> None:
    """Raises:
    DataError: none of the first files is there: the paths are meant in another way.
    """
    tried = paths[:100]
    if not any(map(os.path.exists, tried)):
        suffix = "" if os.path.splitext(tried[0])[1] else ", with the suffix of the file"
        raise DataError(
            f"{root}: no file of its column of paths is there, as {tried[0]}: paths are absolute or relative to the"
            f" table{suffix}; data.columns.path=NAME names another column"
        )


def _refuse_unused_split(names: list[str], rows: list[list[str]], root: str) -> None:
    """Raises:
    DataError: a column that is not called so holds nothing but the names of splits.
    """
    for place, name in enumerate(names):
        words = {row[place].strip() for row in rows if len(row) > place}
        if len(words) > 1 and all(map(one_split, words)):
            raise DataError(
                f"{root}: the column {name or place + 1} holds splits ({some(sorted(words))}):"
                f" data.columns.split={name or 'NAME'} uses it, and renaming or removing it leaves it out"
            )
