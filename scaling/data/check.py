"""Checks the data part of a config against what can be known without decoding: refused here, nothing has started."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.data.errors import DataError
from scaling.data.pixels.square import FITS
from scaling.data.sources.published import PUBLISHED
from scaling.data.sources.read import OWN, Place, read_place
from scaling.data.sources.strokes import STROKES_VERSION
from scaling.data.subsets.leaks import LEAKS
from scaling.data.subsets.parts import examples_to_train_on
from scaling.records.files import cache_folder

if TYPE_CHECKING:
    from scaling.config import DataConfig

KINDS = ("strokes", *OWN, *PUBLISHED)
LAYOUTS = ("auto", "classes")
AUGMENTATIONS = ("none", "flip", "crop", "flip_crop", "resized_crop")


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
    _require(data.augment in AUGMENTATIONS, f"data.augment={data.augment} is not one of {', '.join(AUGMENTATIONS)}")
    autos = ("none", "trivial", "rand")
    _require(data.auto_augment in autos, f"data.auto_augment={data.auto_augment} is not one of {', '.join(autos)}")
    _require(0 < data.crop_area <= 1, f"data.crop_area={data.crop_area} is not a share of the area")
    _require(data.rand_layers > 0, f"data.rand_layers={data.rand_layers} is not positive")
    _require(0 <= data.rand_magnitude <= 30, f"data.rand_magnitude={data.rand_magnitude} lies outside 0 to 30")
    for key in ("erase", "cutout"):
        _require(0 <= getattr(data, key) <= 1, f"data.{key}={getattr(data, key)} is not a share between 0 and 1")
    for key in ("mixup", "cutmix"):
        _require(getattr(data, key) >= 0, f"data.{key}={getattr(data, key)} is negative")
    _require(0 <= data.locality <= 1, f"data.locality={data.locality} lies outside [0, 1]")
    _require(data.image_size > 0, f"data.image_size={data.image_size} is not a size")
    _require(data.subset_seed >= 0, f"data.subset_seed={data.subset_seed} is negative")
    _require(data.channels in (1, 3), f"data.channels={data.channels} is neither 3 (RGB) nor 1 (grey)")
    _require(data.fit in FITS, f"data.fit={data.fit} is not one of {', '.join(FITS)}")
    _require(_is_white(data.white), f"data.white={data.white} is neither auto nor a number above 0, as 4095 or 1.0")
    _require(data.leaks in LEAKS, f"data.leaks={data.leaks} is not one of {', '.join(LEAKS)}")
    for key in ("val_share", "test_share"):
        share = getattr(data, key)
        _require(0 < share < 1, f"data.{key}={share} is not a share between 0 and 1")
    _require(data.cache_gb >= 0, f"data.cache_gb={data.cache_gb} is negative")
    _require(data.loaders is None or data.loaders >= 0, f"data.loaders={data.loaders} is negative")
    _require(data.layout in LAYOUTS, f"data.layout={data.layout} is not one of {', '.join(LAYOUTS)}")
    streams = ("auto", "true", "false")
    _require(data.stream in streams, f"data.stream={data.stream} is not one of {', '.join(streams)}")
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
    n, available = data.train_size, None
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
    _require(n >= classes, f"data.train_size={n} is below the number of classes ({classes})")
    if available is not None and not data.group:  # of groups nobody knows yet how many images they take along
        parts = [f"{data.val_share:.0%} for validation"] if not sizes["val"] else []
        parts += [f"{data.test_share:.0%} for the test"] if not sizes["test"] else []
        kept = f" ({' and '.join(parts)} are kept apart)" if parts else ""
        _require(n <= available, f"data.train_size={n} is more than the {available} images to train on{kept}")
    return data, classes, fingerprint
