"""What a data set is, whatever its folder is called: a fingerprint of its pictures, labels, splits and groups."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.config.setting import hashed
from scaling.data.pixels.open_images import open_images
from scaling.data.sources.catalogue import SPLITS, Catalogue
from scaling.data.sources.read import OWN, Place, read_place
from scaling.data.sources.strokes import STROKES_VERSION, StrokesConfig
from scaling.data.subsets.chosen import chosen, groups_of, near
from scaling.records.files import cache_folder, try_write_whole

if TYPE_CHECKING:
    from scaling.config import DataConfig
    from scaling.data.pixels.cache import Decoded
    from scaling.data.sources.folder import Folder

_MOST_LISTED = 50_000  # images whose digests are written down one by one


def _splits(catalogue: Catalogue) -> list[str]:
    """The split of each row."""
    return [split for split in SPLITS for _ in range(catalogue.sizes[split])]


def fingerprint_of(
    catalogue: Catalogue, digests: np.ndarray, *, unreadable: set[int], groups: Sequence[str] | None = None
) -> str:
    """16 hex digits of the images that can be read, in any order and under any file names.

    Args:
        digests: uint64 (rows, 2) of each picture before it is resized.
        groups: of each row, where images go together; what counts is which do, not what a group is called.
    """
    members: dict[str, list[bytes]] = {}
    prints = [digest.tobytes() for digest in digests]
    if groups is not None:
        for row, group in enumerate(groups):
            if row not in unreadable:
                members.setdefault(group, []).append(prints[row])
    group_prints = {name: hashlib.sha256(b"".join(sorted(inside))).digest() for name, inside in members.items()}
    heads = {
        (split, label): hashlib.sha256(f"{split}\0{name}\0".encode("utf-8", "surrogateescape")).digest()
        for split in SPLITS
        for label, name in enumerate(catalogue.classes)
    }
    rows = []
    for row, (split, label) in enumerate(zip(_splits(catalogue), catalogue.labels.tolist(), strict=True)):
        if row not in unreadable:
            mark = group_prints[groups[row]] if groups is not None else b""
            rows.append(heads[split, label] + prints[row] + mark)
    return hashlib.sha256(b"".join(sorted(rows))).hexdigest()[:16]


def strokes_fingerprint(config: StrokesConfig) -> str:
    """16 hex digits of the settings that drawings follow from."""
    words = json.dumps([STROKES_VERSION, hashed(config)], sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=8)
def _of_decoded(decoded: Decoded, groups: tuple[str, ...] | None) -> str:
    unreadable = set(decoded.unreadable)
    return fingerprint_of(decoded.catalogue, decoded.facts.digests, unreadable=unreadable, groups=groups)


def data_fingerprint(config: DataConfig, *, in_memory: bool = False) -> str:
    """The fingerprint of a config's data; its images are decoded for it where the cache does not have them.

    Args:
        in_memory: whether a run of this process needs the images as well.

    Raises:
        DataError: they are not there.
    """
    if config.kind == "strokes":
        return strokes_fingerprint(config.strokes)
    decoded = open_images(config, in_memory=in_memory)
    return _of_decoded(decoded, groups_of(config, decoded))


def data_fields(config: DataConfig, folder: Path) -> dict[str, Any]:
    """The record's fields about the data of a run; what the data set holds is written into the sweep's `folder`, so
    that two of one name can be told apart later.

    Raises:
        DataError: the images are not there.
    """
    fingerprint = data_fingerprint(config, in_memory=True)
    if config.kind == "strokes":
        return dict(data_fingerprint=fingerprint)
    decoded = open_images(config)
    fields = dict(data_fingerprint=fingerprint, leaks=chosen(config, decoded).leaks.train)
    fields["near_leaks"] = near(config, decoded).held_out
    if config.kind not in OWN:
        return fields
    listing = read_place(Place.of(config), cache_folder(config.cache))
    path = folder / f"data_{fingerprint}.json"
    if not path.exists():
        try_write_whole(path, json.dumps(_about(config, decoded, listing, fingerprint)).encode())
    left_out = sum(one.count for one in listing.left_out) + len(decoded.unreadable)
    return fields | dict(files_left_out=left_out)


def _about(config: DataConfig, decoded: Decoded, listing: Folder, fingerprint: str) -> dict[str, Any]:
    catalogue = decoded.catalogue
    about: dict[str, Any] = {"name": config.name, "fingerprint": fingerprint, "classes": catalogue.classes}
    about |= {"sizes": catalogue.sizes, "unreadable": len(decoded.unreadable)}
    about["left_out"] = [str(one) for one in listing.left_out]
    if len(catalogue.keys) <= _MOST_LISTED:
        names = (f"{split}/{key}" for split, key in zip(_splits(catalogue), catalogue.keys, strict=True))
        shown = (digest.tobytes().hex()[:8] for digest in decoded.facts.digests)
        about["images"] = dict(zip(names, shown, strict=True))
    return about
