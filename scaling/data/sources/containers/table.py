"""A CSV file with a line for each image: path, label, and split and group if there are any."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from scaling.config.columns import Columns
from scaling.data.errors import DataError
from scaling.data.sources.catalogue import portable
from scaling.data.sources.containers.listed import ListedImage, split_of
from scaling.records.files import some


def _rows(root: str) -> tuple[list[str], list[list[str]]]:
    try:
        with open(root, encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
            first = file.readline()
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
        path = os.path.join(folder, os.path.expanduser(value["path"]))
        name = os.path.relpath(value["path"], shared) if shared else value["path"]
        yield ListedImage(split, portable(value["label"]), Path(name).as_posix(), path, value["group"])
