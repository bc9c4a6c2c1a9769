"""Which images belong together (a patient, a video, a burst), by their folder or by a table, and splits that keep them
so."""

from __future__ import annotations

import csv
import functools
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scaling.data.errors import DataError
from scaling.data.sources.catalogue import Catalogue, portable
from scaling.records.files import some


def read_groups(catalogue: Catalogue, group: str, root: str) -> tuple[str, ...]:
    """The group of every row.

    Args:
        group: parent, for the folder below the class that holds an image (the same name in two classes is one group,
            an image directly in its class stands for itself), or the path of a CSV file with columns path and group,
            whose paths are relative to `root` or absolute.

    Raises:
        DataError: the file cannot be read, or lacks images.
    """
    if group == "parent":
        return tuple(_parent(key) for key in catalogue.keys)
    table = _read_table(Path(group).expanduser())
    names = [_group_of(table, key, path, root) for key, path in _named(catalogue)]
    lacking = [key for key, name in zip(catalogue.keys, names, strict=True) if name is None]
    if lacking:
        raise DataError(f"data.group={group} has no group for {len(lacking):,} images: {some(lacking)}")
    return tuple(name or "" for name in names)


def _parent(key: str) -> str:
    inside = key.split("/")[1:-1]
    return "/".join(inside) if inside else f"/{key}"  # no folder is called so


def subfolders(catalogue: Catalogue) -> list[str]:
    """The folders inside classes that hold images, in order."""
    return sorted({"/".join(key.split("/")[1:-1]) for key in catalogue.keys} - {""})


def same_in_each(catalogue: Catalogue) -> bool:
    """Whether every class has the same two folders or more inside, and no image beside them."""
    inside: dict[str, set[str]] = defaultdict(set)
    for key in catalogue.keys:
        parts = key.split("/")
        inside[parts[0]].add(parts[1] if len(parts) > 2 else "")
    first, *others = inside.values()
    return len(first) > 1 and "" not in first and all(names == first for names in others)


def _named(catalogue: Catalogue) -> list[tuple[str, str | None]]:
    paths = catalogue.paths or (None,) * len(catalogue.keys)
    return list(zip(catalogue.keys, paths, strict=True))


def _group_of(table: dict[str, str], key: str, path: str | None, root: str) -> str | None:
    ways = [] if path is None else [os.path.relpath(path, root), os.path.abspath(path)]
    return next((table[way] for way in map(_spelled, [*ways, key]) if way in table), None)


def _spelled(path: str) -> str:
    path = portable(path).replace("\\", "/")
    return path.removeprefix("./")


def _read_table(file: Path) -> dict[str, str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            columns = set(reader.fieldnames or ())
            if not {"path", "group"} <= columns:
                raise DataError(f"data.group={file} needs columns path and group, not {', '.join(sorted(columns))}")
            return {_spelled(row["path"]): str(row["group"]) for row in reader if row["path"] and row["group"]}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"data.group={file} is neither parent nor a CSV file that can be read ({error})") from error


@functools.lru_cache(maxsize=4)
def groups_digest(groups: tuple[str, ...]) -> str:
    """16 hex digits of which images belong together, whatever the groups are called."""
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    return hashlib.sha256(repr(sorted(members.values())).encode()).hexdigest()[:16]


def carve_groups(
    labels: np.ndarray, groups: Sequence[str], *, share: float, salt: str
) -> tuple[np.ndarray, np.ndarray]:
    """Splits a pool into indices that stay and indices that are taken out, whole groups at a time: class by class as
    near to the share as the groups allow, and at least one group with images of every class."""
    taken: set[str] = set()
    for label in np.unique(labels):
        sizes = Counter(groups[i] for i in np.flatnonzero(labels == label).tolist())
        _take(taken, sizes, target=share * sum(sizes.values()), salt=salt)
    out = np.array([group in taken for group in groups], dtype=bool)
    return np.flatnonzero(~out), np.flatnonzero(out)


def _take(taken: set[str], sizes: Counter[str], *, target: float, salt: str) -> None:
    """Adds groups of one class (`sizes`: its images in each) until there are about `target` images."""
    count = sum(size for name, size in sizes.items() if name in taken)
    ranks = {name: hashlib.sha256(f"{salt}\0{name}".encode("utf-8", "surrogateescape")).digest() for name in sizes}
    for name in sorted(set(sizes) - taken, key=ranks.__getitem__):
        if count + sizes[name] / 2 <= target:
            taken.add(name)
            count += sizes[name]
    if not count:  # every group is larger than twice the share
        taken.add(min(sizes, key=lambda name: (sizes[name], ranks[name])))
