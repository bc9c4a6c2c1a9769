"""A user's images in class folders: `train/<class>/*` with `test/` and `val/` or without, or `<class>/*` alone."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.data.errors import DataError
from scaling.data.sources.catalogue import SPLITS, Catalogue, portable
from scaling.data.sources.fingerprint import content_hashes
from scaling.data.sources.instead import holds_instead, refuse_masks
from scaling.data.sources.layout import LAYOUT, find_splits
from scaling.data.sources.walk import SUFFIXES, LeftOut, Walk
from scaling.records.files import some


@dataclass(frozen=True)
class Folder:
    """A folder that was listed. `fingerprint` is of names and contents; `ignored` counts other files by suffix,
    `left_out` holds everything that is not used; `places` are the folders of the splits, relative to the root."""

    catalogue: Catalogue
    fingerprint: str
    ignored: dict[str, int]
    left_out: tuple[LeftOut, ...] = ()
    places: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] | None = None  # of each row, where the data say which images go together


def _class_files(folder: str, walk: Walk) -> dict[str, list[str]]:
    """The images of each class, in one order on every machine."""
    classes: dict[str, list[str]] = {}
    loose = walk.loose(folder)
    for entry in walk.folders(folder):
        name = portable(entry.name)
        if name in classes:
            raise DataError(f"{folder}: two class folders have the same name in different spellings: {name}")
        classes[name] = sorted(walk.images(entry.path), key=lambda path: portable(path).split(os.sep))
    if not classes:
        what = f"{len(loose):,} images but no class folders" if loose else "no class folders"
        raise DataError(f"{folder} has {what}{holds_instead(folder)}; data.root must hold {LAYOUT}")
    empty = [name for name, paths in classes.items() if not paths]
    if empty:
        most = next(iter(walk.ignored.most_common(1)), None)
        others = f" (but {most[0] if most[0].startswith('.') else 'others'} files)" if most else ""
        raise DataError(
            f"{folder} has class folders without images: {some(empty)}{others}; images end in {' '.join(SUFFIXES)}"
        )
    for name in loose:
        walk.leave_out("pictures outside class folders", os.path.join(folder, name))
    return classes


@functools.lru_cache(maxsize=4)
def read_layout(root: str, cache: Path | None, layout: str = "auto", own: tuple[str, ...] = ()) -> Folder:
    """Lists the folder and hashes what is in it; the hashes are remembered in `cache` (None: contents do not matter).

    Args:
        layout: auto, or classes: every folder in `root` is a class, whatever its name.
        own: folders of this project's output, which are no classes.

    Raises:
        DataError: the folder does not have the shape that is needed.
    """
    walk = Walk(own)
    root = root.rstrip(os.sep) or root
    try:
        folders = find_splits(root, walk, layout=layout)
        files = {split: _class_files(path, walk) for split, path in folders.items()}
        if layout == "auto":
            refuse_masks(root, list(files["train"]))
    except OSError as error:
        raise DataError(f"{root} cannot be listed: {error.strerror}: {error.filename}") from error
    classes = tuple(files["train"])
    if len(classes) < 2:
        raise DataError(f"{root}: only one class ({classes[0]}); at least two are needed")
    for split in files:
        odd = sorted(set(classes) ^ set(files[split]))
        if odd:
            names = f"{os.path.basename(folders['train'])}/ and {os.path.basename(folders[split])}/"
            raise DataError(f"{root}: {names} have different classes: {some(odd)} only in one of them")
    keys: list[str] = []
    labels: list[int] = []
    paths: list[str] = []
    for split in (name for name in SPLITS if name in files):
        start = len(folders[split]) + 1
        for label, name in enumerate(classes):
            for path in files[split][name]:
                keys.append(portable(path[start:]).replace(os.sep, "/"))
                labels.append(label)
                paths.append(path)
    sizes = {split: sum(map(len, files.get(split, {}).values())) for split in SPLITS}
    catalogue = Catalogue(classes, tuple(keys), np.array(labels, dtype=np.int64), sizes, tuple(paths))
    places = tuple((split, os.path.relpath(path, root)) for split, path in folders.items())
    fingerprint = folder_fingerprint(catalogue, cache) if cache else ""
    return Folder(catalogue, fingerprint, dict(walk.ignored), walk.left_out(), places)


def folder_fingerprint(catalogue: Catalogue, cache: Path) -> str:
    """16 hex digits of classes, names and contents; where the folder itself lies does not matter."""
    assert catalogue.paths is not None
    digest = hashlib.sha256()
    if not catalogue.sizes["test"] or catalogue.sizes["val"]:  # train and test alone are hashed as they always were
        digest.update(repr(catalogue.sizes).encode())
    hashes = content_hashes(catalogue.paths, cache=cache)
    for key, content in zip(catalogue.keys, hashes, strict=True):
        name = f"{key.split('/', 1)[0]}/{key.rsplit('/', 1)[-1]}"
        digest.update(name.encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()[:16]
