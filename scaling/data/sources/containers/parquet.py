"""Parquet files in Hugging Face's layout: a column of image bytes and one of labels, files named by their split."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaling.config.columns import Columns
from scaling.data.errors import DataError
from scaling.data.sources.catalogue import portable
from scaling.data.sources.containers.listed import ListedImage, split_of
from scaling.data.sources.containers.unpack import unpacked_items
from scaling.data.sources.split_names import one_split
from scaling.records.files import some


def _files(root: str) -> list[str]:
    if os.path.isdir(root):
        found = sorted(str(path) for path in Path(root).rglob("*") if path.suffix.lower() in (".parquet", ".pq"))
    else:
        found = [root] if os.path.isfile(root) else []
    if not found:
        raise DataError(f"{root} is not there, or holds no .parquet files")
    return found


def split_of_file(path: str, root: str) -> str:
    """The split by the file's name (train-00000-of-00002.parquet), or by its folder; else it is for training."""
    relative = os.path.relpath(path, root) if os.path.isdir(root) else os.path.basename(path)
    for part in reversed(Path(relative).with_suffix("").parts):
        split = one_split(part.split("-")[0]) or one_split(part)
        if split:
            return split
    return "train"


def _read(path: str) -> Any:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError("data=parquet needs pyarrow: pip install 'vit-scaling[parquet]'") from error
    try:
        return pq.read_table(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise DataError(f"{path} cannot be read as Parquet ({str(error).splitlines()[0]})") from error


def _class_names(table: Any, column: str) -> list[str] | None:
    """The names that Hugging Face's metadata give a column of class numbers."""
    try:
        about = json.loads(table.schema.metadata[b"huggingface"])
        return about["info"]["features"][column]["names"]
    except (TypeError, KeyError, ValueError):
        return None


def _column(table: Any, wanted: str, key: str, path: str) -> list[Any]:
    names = table.column_names
    if wanted not in names:
        raise DataError(
            f"{path} has no column {wanted}; its columns are {some(names, at_most=8)}: data.columns.{key}=NAME"
        )
    return table.column(wanted).to_pylist()


def bytes_and_name(value: Any, path: str) -> tuple[bytes, str]:
    """The content of an image's file and its name, as Hugging Face keeps them.

    Raises:
        DataError: it is none.
    """
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return value["bytes"], str(value.get("path") or "")
    if isinstance(value, bytes):
        return value, ""
    raise DataError(f"{path}: its images are no bytes of image files; data.columns.image=NAME names their column")


def read_parquet(root: str, cache: Path, columns: Columns) -> list[ListedImage]:
    """The images of Parquet files, unpacked into the cache.

    Raises:
        DataError: they cannot be read, or a column is missing.
    """
    files = _files(root)

    def read(place: Path) -> Iterator[tuple[ListedImage, bytes]]:
        for number, path in enumerate(files):
            yield from _items(path, root, number, columns)

    return unpacked_items(files, cache, read, how=repr(columns) + repr([os.path.relpath(path, root) for path in files]))


def _items(path: str, root: str, number: int, columns: Columns) -> Iterator[tuple[ListedImage, bytes]]:
    table = _read(path)
    labels = _column(table, columns.label, "label", path)
    names = _class_names(table, columns.label)
    splits = _column(table, columns.split, "split", path) if columns.split in table.column_names else None
    groups = _column(table, columns.group, "group", path) if columns.group in table.column_names else None
    for row, (value, label) in enumerate(zip(_column(table, columns.image, "image", path), labels, strict=True)):
        content, name = bytes_and_name(value, path)
        split = split_of(str(splits[row]), root=path) if splits else split_of_file(path, root)
        place = f"{number:05d}/{row:07d}"
        group = str(groups[row]) if groups else ""
        yield ListedImage(split, portable(names[label] if names else str(label)), name or place, place, group), content
