"""WebDataset shards: tar files in which members of one name are one image, with its class beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaling.config.columns import Columns
from scaling.data.errors import DataError
from scaling.data.sources.catalogue import portable
from scaling.data.sources.containers.listed import ListedImage
from scaling.data.sources.containers.parquet import split_of_file
from scaling.data.sources.containers.unpack import unpacked_items
from scaling.data.sources.walk import is_image
from scaling.records.files import some

_TAR = (".tar", ".tar.gz", ".tgz")


def _files(root: str) -> list[str]:
    if os.path.isdir(root):
        found = sorted(str(path) for path in Path(root).rglob("*") if path.name.lower().endswith(_TAR))
    else:
        found = [root] if os.path.isfile(root) else []
    if not found:
        raise DataError(f"{root} is not there, or holds no tar files")
    return found


def read_shards(root: str, cache: Path, columns: Columns) -> list[ListedImage]:
    """The images of all shards, unpacked into the cache; a shard's split is in its name (`train-000000.tar`).

    Raises:
        DataError: the library is not installed, or a sample has no image or no class.
    """
    try:
        import webdataset
    except ImportError as error:
        needed = "data=webdataset needs the library webdataset"
        raise DataError(f"{needed}: pip install 'vit-scaling[webdataset]'") from error
    files = _files(root)

    def read(place: Path) -> Iterator[tuple[ListedImage, bytes]]:
        for number, path in enumerate(files):
            shard = webdataset.WebDataset(path, shardshuffle=False, empty_check=False)
            try:
                for row, sample in enumerate(shard):
                    yield _item(sample, path, split_of_file(path, root), f"{number:05d}/{row:07d}", columns)
            except DataError:
                raise
            except Exception as error:  # tar's errors come in many kinds
                raise DataError(f"{path} cannot be read as a shard ({str(error).splitlines()[0]})") from error

    return unpacked_items(files, cache, read, how=f"webdataset{columns!r}{[os.path.relpath(f, root) for f in files]}")


def _item(sample: dict[str, Any], path: str, split: str, place: str, columns: Columns) -> tuple[ListedImage, bytes]:
    """One sample: its image is the member that ends like one, its class `cls`, `label`, `txt`, or in its `json`."""
    key = sample["__key__"]
    members = {name: value for name, value in sample.items() if not name.startswith("__")}
    images = [name for name in members if is_image(f".{name}")]
    about = json.loads(members["json"]) if "json" in members else {}
    words = {name: str(value) for name, value in about.items()} if isinstance(about, dict) else {}
    words |= {
        name: members[name].decode(errors="replace").strip() for name in ("cls", "label", "txt") if name in members
    }
    label = next((words[name] for name in (columns.label, "cls", "class", "txt") if name in words), None)
    if len(images) != 1 or not label:
        what = "no image" if not images else "several images" if len(images) > 1 else "no class (cls, or label in json)"
        raise DataError(f"{path}: sample {key} has {what}; its members are {some(list(members))}")
    group = words.get(columns.group, "")
    name = f"{os.path.splitext(os.path.basename(path))[0]}/{key}.{images[0]}"  # shards may count from 0 anew
    return ListedImage(split, portable(label), name, place, group), members[images[0]]
