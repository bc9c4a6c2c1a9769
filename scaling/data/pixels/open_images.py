"""From a data config to its decoded images: finds the files, and opens or makes their entry of the cache."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scaling.data.errors import DataError
from scaling.data.pixels.cache import Damaged, Decoded, Source, discard, open_decoded
from scaling.data.pixels.square import Square
from scaling.data.sources import published
from scaling.data.sources.catalogue import Catalogue
from scaling.data.sources.fingerprint import content_hashes
from scaling.data.sources.folder import read_layout
from scaling.data.sources.read import OWN, Place, read_place
from scaling.records.files import cache_folder, some

if TYPE_CHECKING:
    from scaling.config import DataConfig


def _by_contents(kind: str, root: str, cache: Path) -> Source:
    """A set whose few large files hold arrays."""
    about = published.PUBLISHED[kind]
    hashes = content_hashes([str(Path(root) / name) for name in about.files], cache=cache)
    content = hashlib.sha256(kind.encode() + b"".join(hashes)).hexdigest()
    return Source(content, about.train_examples, None, functools.partial(published.read_arrays, kind, root))


def _by_sizes(kind: str, catalogue: Catalogue) -> Source:
    """A published set of many files: its names and sizes say whether it is the same; to read it all takes long."""
    assert catalogue.paths is not None
    digest = hashlib.sha256(f"{kind}{catalogue.sizes}".encode())
    for key, path in zip(catalogue.keys, catalogue.paths, strict=True):
        try:
            size = os.stat(path).st_size
        except OSError:
            size = -1
        digest.update(key.encode("utf-8", "surrogateescape") + f"\0{size}\0".encode())
    return Source(digest.hexdigest(), len(catalogue.keys), catalogue.paths, lambda: (catalogue, None))


@functools.lru_cache(maxsize=4)
def find_source(place: Place, cache: Path) -> Source:
    """Where the images of a config are.

    Raises:
        DataError: they are not there.
    """
    kind, root = place.kind, place.root
    if kind == "food101":
        return _by_sizes(kind, published.read_food101(root))
    if kind == "imagenet":
        return _by_sizes(kind, read_layout(root, None).catalogue)
    if kind not in OWN:
        return _by_contents(kind, root, cache)
    layout = read_place(place, cache)
    catalogue = layout.catalogue
    names = "\0".join(catalogue.keys).encode("utf-8", "surrogateescape")
    content = hashlib.sha256(f"{layout.fingerprint}{catalogue.sizes}".encode() + names).hexdigest()
    return Source(content, len(catalogue.keys), catalogue.paths, lambda: (catalogue, None))


@functools.lru_cache(maxsize=2)
def _open(place: Place, square: Square, cache: Path, limit: int, in_memory: bool) -> Decoded:
    return open_decoded(cache, find_source(place, cache), square, limit=limit, in_memory=in_memory)


def stated_white(white: str) -> float | None:
    """What `data.white` says: a number, or None for auto."""
    return None if white == "auto" else float(white)


def open_images(config: DataConfig, *, in_memory: bool = True) -> Decoded:
    """The decoded images of a config, kept open for the next run of this process.

    Args:
        in_memory: whether to decode into memory if the cache cannot be written, or only to see what can be read.

    Raises:
        DataError: the images are not there.
    """
    square = Square(
        config.image_size,
        config.channels,
        config.fit,
        stated_white(config.white),
        resize=config.resize or "bilinear",
        crop_share=config.crop_share or 1.0,
    )
    limit = int(config.cache_gb * 1e9)
    return _open(Place.of(config), square, cache_folder(config.cache), limit, in_memory)


def with_whole_rows(config: DataConfig, rows_of: Callable[[Decoded], np.ndarray]) -> Decoded:
    """The decoded images, with the rows in question checked; an entry of which one is damaged is made again.

    Raises:
        DataError: it is damaged again at once.
    """
    for _ in range(2):
        decoded = open_images(config)
        try:
            decoded.check(rows_of(decoded))
            return decoded
        except Damaged as error:
            assert decoded.place is not None
            discard(decoded.place, str(error))
            _open.cache_clear()
    raise DataError(f"{decoded.place} is damaged again as soon as it is written; data.cache=DIR names another place")


def unreadable_text(config: DataConfig, decoded: Decoded, *, at_most: int) -> str:
    """How many files cannot be read, with the first few by name and reason."""
    catalogue, count = decoded.catalogue, len(decoded.unreadable)
    own = config.kind in OWN  # what the cache has of it lacks the container's name
    names = (read_place(Place.of(config), cache_folder(config.cache)).catalogue if own else catalogue).names()
    listed = some([f"{names[row]} ({reason})" for row, reason in decoded.unreadable.items()], at_most=at_most)
    return f"{count:,} of {len(catalogue.labels):,} images in {config.root} cannot be read: {listed}"


def refuse_unreadable(config: DataConfig, decoded: Decoded) -> None:
    """Raises:
    DataError: files cannot be read, and the config does not say that they are to be left out.
    """
    if decoded.unreadable and not config.skip_unreadable:
        found = unreadable_text(config, decoded, at_most=5)
        raise DataError(f"{found}; repair or remove them, or leave them out with data.skip_unreadable=true")


def forget() -> None:
    """Looks at the disk anew."""
    for function in (find_source, read_layout, read_place, _open):
        function.cache_clear()
