"""Before the first run of a sweep: data are downloaded, decoded into the cache and counted, or refused in one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.data.errors import DataError
from scaling.data.found import found_lines
from scaling.data.pixels.cache import alone
from scaling.data.pixels.notes import pixel_notes
from scaling.data.pixels.open_images import open_images, refuse_unreadable, unreadable_text
from scaling.data.sources.published import PUBLISHED, prepare_published
from scaling.data.sources.read import OWN, Place, read_place
from scaling.data.subsets.chosen import chosen
from scaling.data.subsets.notes import leaks_text, subset_notes
from scaling.data.subsets.parts import Chosen
from scaling.records.files import cache_folder

if TYPE_CHECKING:
    from scaling.config import DataConfig
    from scaling.data.pixels.cache import Decoded


def _make_ready(config: DataConfig) -> None:
    """Downloads or unpacks a published set, once if several processes want it."""
    folder = cache_folder(config.cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / f".{config.kind}.lock"
        lock.touch()
    except OSError:
        prepare_published(config.kind, str(config.root))
        return
    with alone(lock):
        prepare_published(config.kind, str(config.root))


def _check(config: DataConfig, decoded: Decoded) -> list[str]:
    notes = [decoded.note] if decoded.note else []
    if decoded.unreadable:
        notes.append(unreadable_text(config, decoded, at_most=20) + "; they are left out")
    notes += pixel_notes(config, decoded)
    about, count = PUBLISHED.get(config.kind), len(decoded.catalogue.classes)
    if about is not None and count != about.num_classes:
        raise DataError(f"{config.root} has {count} classes, {about.title} has {about.num_classes}; use data=folder")
    return notes


def parts_of(config: DataConfig, decoded: Decoded) -> Chosen:
    """The rows of each part, of which every run takes a share.

    Raises:
        DataError: there are copies across the split, and data.leaks=refuse.
    """
    parts = chosen(dataclasses.replace(config, subset_seed=0), decoded)
    text = leaks_text(parts.leaks)
    if config.leaks == "refuse" and text:
        raise DataError(f"{config.root}: {text}; remove them, or keep them out of training with data.leaks=drop")
    return parts


def prepare(configs: Iterable[DataConfig]) -> list[str]:
    """Makes the data of all runs ready, and returns what a user should know about them, one line each.

    Raises:
        DataError: data are missing, damaged or too few; nothing has been trained.
    """
    notes: dict[str, None] = {}
    seen: dict[tuple[object, ...], int] = {}
    for config in configs:
        if config.kind == "strokes":
            continue
        pixels = (config.image_size, config.channels, config.fit, config.white, config.resize, config.crop_share)
        one = (Place.of(config), *pixels, config.cache, config.skip_unreadable)
        if one not in seen:
            if config.kind not in OWN:
                _make_ready(config)
            # Only whether everything can be read: the runs decode for themselves what the cache cannot hold.
            decoded = open_images(config, in_memory=False)
            refuse_unreadable(config, decoded)
            notes |= dict.fromkeys(_check(config, decoded))
            seen[one] = 0
        key = (*one, config.val_share, config.test_share, config.leaks, config.group)
        if key not in seen:
            decoded = open_images(config, in_memory=False)
            parts = parts_of(config, decoded)
            seen[key] = len(parts.train)
            if config.kind in OWN:
                listing = read_place(Place.of(config), cache_folder(config.cache))
                notes |= dict.fromkeys(found_lines(config, listing, parts))
            notes |= dict.fromkeys(subset_notes(config, decoded, parts))
        if config.train_size > seen[key]:
            raise DataError(
                f"data.train_size={config.train_size} is more than the {seen[key]:,} images to train on in "
                f"{Path(str(config.root))}"
            )
    return list(notes)
