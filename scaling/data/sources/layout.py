"""Finds where training, validation and test images lie in a user's folder, or says in one line what is unclear."""

from __future__ import annotations

import os
from collections.abc import Sequence

from scaling.data.errors import DataError
from scaling.data.sources.instead import AS_CLASSES as _AS_CLASSES
from scaling.data.sources.instead import not_a_folder
from scaling.data.sources.split_names import choose_splits, is_fold, split_names
from scaling.data.sources.walk import Walk
from scaling.records.files import printable, some

LAYOUT = "train/<class>/* (with test/ and val/ or without them) or <class>/*"
_DEEPEST = 4  # folders inside each other that hold nothing else


def find_splits(root: str, walk: Walk, *, layout: str) -> dict[str, str]:
    """The folder of each split that holds its class folders. Without splits, or with layout=classes, that is the root.

    Raises:
        DataError: the folders' names can be understood in more than one way, or in none.
    """
    if not os.path.isdir(root):
        raise DataError(f"{root} {not_a_folder(root) or f'is not there; data.root must hold {LAYOUT}'}")
    folders = {entry.name: entry.path for entry in walk.folders(root)}
    if layout == "classes":
        return {"train": root}
    _refuse_folds(root, list(folders))
    chosen, unused = choose_splits(split_names(folders))
    if not chosen:
        _refuse_wrapped(root, folders, walk)
        _refuse_inner_splits(root, folders)
        return {"train": root}
    for names in chosen.values():
        if len(names) > 1:
            raise DataError(f"{root} has {' and '.join(sorted(names))}/; keep one of them ({_AS_CLASSES})")
    _refuse_without_train(root, {split: names[0] for split, names in chosen.items()})
    taken = {names[0] for names in chosen.values()}
    _leave_out_rest(root, [name for name in folders if name not in taken], unused, walk, alone=len(chosen) == 1)
    found = {split: _unwrapped(folders[names[0]], split) for split, names in chosen.items()}
    found = _with_classes(found, walk)
    if "val" in found and "test" not in found:  # as in ImageNet's folders: the labelled images that are not trained on
        found["test"] = found.pop("val")
    return found


def _refuse_folds(root: str, names: Sequence[str]) -> None:
    folds = [name for name in names if is_fold(name)]
    if len(folds) > 1:
        raise DataError(
            f"{root} holds folds of a cross-validation ({some(folds)}): put those to train on into train/ and one into"
            f" test/, or give one fold that has train/ and test/ as data.root; {_AS_CLASSES}"
        )


def _refuse_without_train(root: str, chosen: dict[str, str]) -> None:
    if "train" not in chosen:
        there_are = " and ".join(f"{printable(name)}/" for name in chosen.values())
        where = os.path.join(root, "train")
        raise DataError(f"{where} is not there beside {there_are}; data.root must hold {LAYOUT}; {_AS_CLASSES}")


def _leave_out_rest(root: str, rest: Sequence[str], unused: Sequence[str], walk: Walk, *, alone: bool) -> None:
    """Remembers the folders beside the splits that are not used; beside a lone train/ they may be classes."""
    counts = {name: walk.count_images(os.path.join(root, name)) for name in rest}
    beside = [name for name, count in counts.items() if count and name not in unused]
    if alone and beside:
        raise DataError(
            f"{root} has train/ and beside it {some([f'{name}/' for name in beside])}: if train/ holds the training"
            f" images, move the others away; if it is a class like them, data.layout=classes says so"
        )
    for name, count in counts.items():
        if count:
            walk.leave_out("pictures in folders beside the splits", os.path.join(root, name), count, folder=True)
    for name in walk.loose(root):
        walk.leave_out("pictures outside class folders", os.path.join(root, name))


def _with_classes(found: dict[str, str], walk: Walk) -> dict[str, str]:
    """The splits that have class folders; pictures of a val/ or test/ without them have no labels."""
    kept = dict(found)
    for split in ("val", "test"):
        if split in found and not walk.folders(found[split]):
            names = walk.loose(found[split])
            if names:
                del kept[split]
                what = "pictures without labels, since they lie in no class folders"
                walk.leave_out(what, found[split], len(names), folder=True)
    return kept


def _plain_folders(folder: str) -> dict[str, str]:
    """The folders in a folder by name, without remembering what is left out."""
    return {entry.name: entry.path for entry in Walk().folders(folder)}


def _unwrapped(folder: str, split: str) -> str:
    """The folder that holds a split's classes: seg_train/seg_train/<class> and train/images/<class> are understood."""
    for _ in range(_DEEPEST):
        inside = _plain_folders(folder)
        if len(inside) != 1 or Walk().loose(folder):
            return folder
        [(name, path)] = inside.items()
        same = name.lower() == os.path.basename(folder).lower() or name.lower() in ("images", "data")
        means = [one for one in split_names([name]) if one.split == split]
        if not (same or means) or not _plain_folders(path):
            return folder
        folder = path
    return folder


def _looks_whole(folder: str) -> bool:
    """Whether a folder could be a data.root: class folders, or splits."""
    inside = _plain_folders(folder)
    return len(inside) > 1 and any(Walk().count_images(path) for path in inside.values())


def _refuse_wrapped(root: str, folders: dict[str, str], walk: Walk) -> None:
    """One folder with folders inside is a data set in a folder, not a class."""
    filled = {name: path for name, path in folders.items() if walk.count_images(path)}
    if len(filled) != 1:
        return
    [(name, path)] = filled.items()
    for _ in range(_DEEPEST):
        if _looks_whole(path):
            count = len(_plain_folders(path))
            raise DataError(
                f"{root} holds one folder with images, {printable(name)}, and that {count} folders: give the inner one,"
                f" data.root={path}"
            )
        inside = _plain_folders(path)
        if len(inside) != 1:
            return
        [(_, path)] = inside.items()


def _refuse_inner_splits(root: str, folders: dict[str, str]) -> None:
    """Splits inside what would be classes: another data set, or the order <class>/<split>."""
    for name, path in folders.items():
        chosen, _ = choose_splits(split_names(_plain_folders(path)))
        if "train" in chosen and len(chosen) > 1:
            inner = os.path.join(path, chosen["train"][0])
            if _plain_folders(inner):
                raise DataError(f"{root}: {printable(name)}/ holds splits of its own: give it alone, data.root={path}")
            raise DataError(
                f"{root}: splits lie inside class folders ({printable(name)}/{chosen['train'][0]}/): turn them round to"
                f" <split>/<class>/*, or list the images in a table (data=table)"
            )
