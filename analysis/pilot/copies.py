"""Files of training and test images in, the training files without copies out.

A training image that is a test image, too, makes the test easier for whoever remembers it; a second copy of a training
image is no further image.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

Files = dict[str, list[Path]]  # class -> files


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _groups_of_copies(paths: Iterable[tuple[str, str, Path]]) -> list[list[tuple[str, str, Path]]]:
    """Files of the same content, as lists of (split, class, path); only files of equal length are read."""
    by_size: dict[int, list[tuple[str, str, Path]]] = defaultdict(list)
    for item in paths:
        by_size[item[2].stat().st_size].append(item)
    groups: dict[str, list[tuple[str, str, Path]]] = defaultdict(list)
    for items in by_size.values():
        if len(items) > 1:
            for item in items:
                groups[_digest(item[2])].append(item)
    return [items for items in groups.values() if len(items) > 1]


def drop_copies(train: Files, test: Files) -> tuple[Files, int, int, int]:
    """(training files without copies, second copies, training images that are test images, copies in two classes)."""
    items = [
        (split, name, p) for split, files in (("test", test), ("train", train)) for name in files for p in files[name]
    ]
    gone: set[Path] = set()
    copies = leaks = disagree = 0
    for group in _groups_of_copies(items):
        tested = any(split == "test" for split, _, _ in group)
        extra = [path for split, _, path in group if split == "train"][0 if tested else 1 :]
        leaks, copies = leaks + (len(extra) if tested else 0), copies + (0 if tested else len(extra))
        disagree += len({name for _, name, _ in group}) > 1
        gone.update(extra)
    return {name: [p for p in files if p not in gone] for name, files in train.items()}, copies, leaks, disagree
