"""Data sets of Hugging Face's `datasets`: a folder that `save_to_disk` wrote, or one that the library has here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaling.config.columns import Columns
from scaling.data.errors import DataError
from scaling.data.sources.catalogue import portable
from scaling.data.sources.containers.listed import ListedImage, split_of
from scaling.data.sources.containers.parquet import bytes_and_name
from scaling.data.sources.containers.unpack import unpacked_items
from scaling.records.files import some


def _load(root: str) -> dict[str, Any]:
    """The library's own object for each split; one without splits is for training.

    Raises:
        DataError: the library is not installed, or has nothing under this name.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError("data=hub needs the library datasets: pip install 'vit-scaling[hub]'") from error
    saved = any(os.path.exists(os.path.join(root, name)) for name in ("dataset_dict.json", "state.json"))
    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_from_disk(root) if saved else datasets.load_dataset(root)
    except Exception as error:  # the library raises what its readers and the network lead it into
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{root} is no data set that the library datasets has here ({reason})") from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def _column(features: Any, wanted: str, kind: str, key: str, root: str) -> str:
    """The wanted column, or the only one of its kind (Image, ClassLabel)."""
    if wanted in features:
        return wanted
    alike = [name for name, feature in features.items() if type(feature).__name__ == kind]
    if len(alike) == 1:
        return alike[0]
    raise DataError(
        f"{root} has no column {wanted}; its columns are {some(list(features), at_most=8)}: data.columns.{key}=NAME"
    )


def read_hub(root: str, cache: Path, columns: Columns) -> list[ListedImage]:
    """The images of all splits, unpacked into the cache.

    Raises:
        DataError: they cannot be read, a column is missing, or a split is none.
    """
    parts = _load(root)
    files = [str(file["filename"]) for part in parts.values() for file in part.cache_files]
    if not files:
        raise DataError(f"{root} lies in no files: save it with save_to_disk, and give that folder")
    how = repr(columns) + repr([(split, len(part)) for split, part in parts.items()])
    return unpacked_items(files, cache, lambda place: _items(parts, root, columns), how=f"hub{how}")


def _items(parts: dict[str, Any], root: str, columns: Columns) -> Iterator[tuple[ListedImage, bytes]]:
    import datasets

    for number, (word, part) in enumerate(parts.items()):
        features = part.features
        image = _column(features, columns.image, "Image", "image", root)
        label = _column(features, columns.label, "ClassLabel", "label", root)
        names = getattr(features[label], "names", None)
        if type(features[image]).__name__ == "Image":
            part = part.cast_column(image, datasets.Image(decode=False))
        for row, values in enumerate(part):
            value = values[image]
            if isinstance(value, dict) and value.get("bytes") is None and os.path.isfile(value.get("path") or ""):
                value = {"bytes": Path(value["path"]).read_bytes(), "path": value["path"]}
            content, name = bytes_and_name(value, root)
            place = f"{number:05d}/{row:07d}"
            split = split_of(str(values[columns.split]) if columns.split in features else word, root=root)
            group = str(values[columns.group]) if columns.group in features else ""
            text = str(names[values[label]] if names else values[label])
            yield ListedImage(split, portable(text), name or place, place, group), content
