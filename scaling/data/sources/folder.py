"""A user's images in class folders: `train/<class>/*` with `test/` and `val/` or without, or `<class>/*` alone."""

from __future__ import annotations

import functools
import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.data.errors import DataError
from scaling.data.sources.catalogue import SPLITS, Catalogue, portable
from scaling.data.sources.fingerprint import content_hashes
from scaling.records.files import some

# torchvision's IMG_EXTENSIONS, and more of what Pillow reads.
SUFFIXES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
SUFFIXES += (".gif", ".jfif", ".jpe", ".jp2", ".avif", ".dib", ".pbm", ".pnm", ".tga")
_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
LAYOUT = "train/<class>/* (with test/ and val/ or without them) or <class>/*"


@dataclass(frozen=True)
class Folder:
    """A folder that was listed. `fingerprint` is of names and contents; `ignored` counts other files by suffix."""

    catalogue: Catalogue
    fingerprint: str
    ignored: dict[str, int]


def _walk(folder: str, seen: frozenset[tuple[int, int]] = frozenset()) -> list[str]:
    """Every file below, links followed but not in circles; hidden files and folders are left out."""
    found: list[str] = []
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in seen:
        return found
    for entry in os.scandir(folder):
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_dir():
            found += _walk(entry.path, seen | {here})
        elif entry.is_file() or entry.is_symlink():  # a link that leads nowhere is a damaged image, a pipe is nothing
            found.append(entry.path)
    return found


def _class_files(folder: Path, ignored: Counter[str]) -> dict[str, list[str]]:
    """The images of each class, in one order on every machine."""
    classes: dict[str, list[str]] = {}
    loose = 0
    for entry in sorted(os.scandir(folder), key=lambda entry: portable(entry.name)):
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if not entry.is_dir():
            loose += entry.name.lower().endswith(SUFFIXES)
            continue
        images = []
        for path in _walk(entry.path):
            suffix = os.path.splitext(path)[1].lower()
            if suffix in SUFFIXES:
                images.append(path)
            else:
                ignored[suffix or os.path.basename(path)] += 1
        name = portable(entry.name)
        if name in classes:
            raise DataError(f"{folder}: two class folders have the same name in different spellings: {name}")
        classes[name] = sorted(images, key=lambda path: portable(path).split(os.sep))
    if not classes:
        what = f"{loose} images but no class folders" if loose else "no class folders"
        raise DataError(f"{folder} has {what}; data.root must hold {LAYOUT}")
    empty = [name for name, paths in classes.items() if not paths]
    if empty:
        raise DataError(f"{folder} has class folders without images: {some(empty)}; images end in {' '.join(SUFFIXES)}")
    return classes


def _split_folders(root: Path) -> dict[str, Path]:
    """Where each split lies. Without train/, val/ and test/ the folder itself holds the classes."""
    if not root.is_dir():
        raise DataError(f"{root} is not there; data.root must hold {LAYOUT}")
    found: dict[str, Path] = {}
    for split, names in _NAMES.items():
        there = [root / name for name in names if (root / name).is_dir()]
        if len(there) > 1:
            raise DataError(f"{root} has {' and '.join(path.name for path in there)}/; keep one of them")
        if there:
            found[split] = there[0]
    if not found:
        return {"train": root}
    if "train" not in found:
        there_are = " and ".join(f"{path.name}/" for path in found.values())
        raise DataError(f"{root / 'train'} is not there beside {there_are}; data.root must hold {LAYOUT}")
    if "val" in found and "test" not in found:  # as in ImageNet's folders: the labelled images that are not trained on
        found["test"] = found.pop("val")
    return found


@functools.lru_cache(maxsize=4)
def read_layout(root: str, cache: Path | None) -> Folder:
    """Lists the folder and hashes what is in it; the hashes are remembered in `cache` (None: contents do not matter).

    Raises:
        DataError: the folder does not have the shape that is needed.
    """
    folders = _split_folders(Path(root))
    ignored: Counter[str] = Counter()
    try:
        files = {split: _class_files(path, ignored) for split, path in folders.items()}
    except OSError as error:
        raise DataError(f"{root} cannot be listed: {error.strerror}: {error.filename}") from error
    classes = tuple(files["train"])
    if len(classes) < 2:
        raise DataError(f"{root}: only one class ({classes[0]}); at least two are needed")
    for split in files:
        odd = sorted(set(classes) ^ set(files[split]))
        if odd:
            names = f"{folders['train'].name}/ and {folders[split].name}/"
            raise DataError(f"{root}: {names} have different classes: {some(odd)} only in one of them")
    keys: list[str] = []
    labels: list[int] = []
    paths: list[str] = []
    for split in (name for name in SPLITS if name in files):
        start = len(str(folders[split])) + 1
        for label, name in enumerate(classes):
            for path in files[split][name]:
                keys.append(portable(path[start:]).replace(os.sep, "/"))
                labels.append(label)
                paths.append(path)
    sizes = {split: sum(map(len, files.get(split, {}).values())) for split in SPLITS}
    catalogue = Catalogue(classes, tuple(keys), np.array(labels, dtype=np.int64), sizes, tuple(paths))
    return Folder(catalogue, _fingerprint(catalogue, cache) if cache else "", dict(ignored))


def _fingerprint(catalogue: Catalogue, cache: Path) -> str:
    """16 hex digits of classes, names and contents; where the folder itself lies does not matter."""
    assert catalogue.paths is not None
    digest = hashlib.sha256()
    if not catalogue.sizes["test"] or catalogue.sizes["val"]:  # train and test alone are hashed as they always were
        digest.update(repr(catalogue.sizes).encode())
    hashes = content_hashes(catalogue.paths, cache=cache)
    for key, path, content in zip(catalogue.keys, catalogue.paths, hashes, strict=True):
        name = f"{key.split('/', 1)[0]}/{portable(os.path.basename(path))}"
        digest.update(name.encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()[:16]
