"""Checks the data part of a config against what can be known without decoding: refused here, nothing has started."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.config.setting import limit_problem
from scaling.data.errors import DataError
from scaling.data.sources.published import PUBLISHED
from scaling.data.sources.read import OWN, Place, read_place
from scaling.data.sources.strokes import STROKES_VERSION
from scaling.data.subsets.parts import examples_to_train_on
from scaling.records.files import cache_folder

if TYPE_CHECKING:
    from scaling.config import DataConfig

KINDS = ("strokes", *OWN, *PUBLISHED)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise DataError(message)


def _is_white(word: str) -> bool:
    try:
        return word == "auto" or 0 < float(word) < math.inf
    except ValueError:
        return False


def _check_values(data: DataConfig) -> None:
    _require(data.kind in KINDS, f"data.kind={data.kind} is not one of {', '.join(KINDS)}")
    problem = limit_problem(data, "data.")
    _require(problem is None, str(problem))
    _require(_is_white(data.white), f"data.white={data.white} is neither auto nor a number above 0, as 4095 or 1.0")
    if data.locality < 1:
        divides = data.permute_patch > 0 and data.image_size % data.permute_patch == 0
        _require(divides, f"data.permute_patch={data.permute_patch} does not divide data.image_size={data.image_size}")


def _folder_name(root: str) -> str:
    path = Path(root).resolve()
    return unicodedata.normalize("NFC", path.name if path.is_dir() else path.name.split(".")[0])


def _expanded(root: str) -> str:
    return str(Path(root).expanduser()) if root.startswith("~") else root


def check_own_data(data: DataConfig, *, own: tuple[str, ...] = ()) -> DataConfig:
    """A config of a user's own data with its name filled in; how many images it trains on is not looked at.

    Args:
        own: folders of this project's output.

    Raises:
        DataError: a value is wrong, or data of this kind are not the user's own.
    """
    _require(data.kind in OWN, f"data={data.kind} is not one of {', '.join(OWN)}: your own images")
    _require(bool(data.root), f"data={data.kind} needs data.root=DIR")
    root = _expanded(str(data.root))
    own = (*own, str(cache_folder(data.cache)))
    data = dataclasses.replace(data, stream=data.stream.lower(), own=own, root=root)
    _check_values(data)
    return dataclasses.replace(data, name=data.name or _folder_name(root))


def check_data(data: DataConfig, *, own: tuple[str, ...] = ()) -> tuple[DataConfig, int, str]:
    """The data config with its name filled in, the number of classes and the fingerprint of names and contents.

    Args:
        own: folders of this project's output.

    Raises:
        DataError: a value is wrong, or the data cannot be what it asks for.
    """
    own = (*own, str(cache_folder(data.cache))) if data.kind in OWN else ()
    data = dataclasses.replace(data, stream=data.stream.lower(), own=own)
    _check_values(data)
    available = None
    if data.kind == "strokes":
        classes, fingerprint = data.strokes.num_classes, f"strokes-{STROKES_VERSION}"
        _require(classes >= 2, f"data.strokes.num_classes={classes}: at least two are needed")
        _require(data.channels == 1, f"data.channels={data.channels}: strokes are grey (1)")
    else:
        _require(bool(data.root), f"data={data.kind} needs data.root=DIR")
        if data.kind in OWN:
            data = dataclasses.replace(data, root=_expanded(str(data.root)))
            layout = read_place(Place.of(data), cache_folder(data.cache))
            classes, fingerprint, sizes = len(layout.catalogue.classes), layout.fingerprint, layout.catalogue.sizes
            data = dataclasses.replace(data, name=data.name or _folder_name(str(data.root)))
        else:
            about = PUBLISHED[data.kind]
            classes, fingerprint = about.num_classes, f"{data.kind}-torchvision"
            sizes = {"train": about.train_examples, "val": 0, "test": 1}
        available = examples_to_train_on(
            sizes, num_classes=classes, val_share=data.val_share, test_share=data.test_share
        )
    _require(bool(data.name), "data.name is empty")
    if data.per_class:
        data = dataclasses.replace(data, train_size=data.per_class * classes)
    n = data.train_size
    _require(n >= classes, f"data.train_size={n} is below the number of classes ({classes})")
    if available is not None and not data.group:  # of groups nobody knows yet how many images they take along
        parts = [f"{data.val_share:.0%} for validation"] if not sizes["val"] else []
        parts += [f"{data.test_share:.0%} for the test"] if not sizes["test"] else []
        kept = f" ({' and '.join(parts)} are kept apart)" if parts else ""
        _require(n <= available, f"data.train_size={n} is more than the {available} images to train on{kept}")
    return data, classes, fingerprint
