"""Images decoded once: an entry of the cache holds one data set at one size as uint8 pixels that processes map.

An entry is a folder named by a hash of contents and settings: `catalogue.json` (classes, keys, labels, what could not
be read), `rows.i8` (what `RowFacts` holds of each image) and `images.u8`. It is made beside its place and moved there
in one step, by one process while others wait; what is damaged is found by its checksums and made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data.pixels.decode import VERSION
from scaling.data.pixels.decode_all import decode_all
from scaling.data.pixels.facts import RowFacts, with_white
from scaling.data.pixels.square import Square
from scaling.data.sources.catalogue import Catalogue
from scaling.records.files import make_private

_CHECK_ALL = 1 << 30  # bytes; entries up to this size are checked whole when a process opens them

Loader = Callable[[], tuple[Catalogue, np.ndarray | None]]  # the catalogue, and pixels where there are no files


@dataclass(frozen=True)
class Source:
    """A data set on disk."""

    content: str  # a fingerprint that changes with anything that changes the decoded pixels or their order
    rows: int  # how many images there are
    paths: tuple[str, ...] | None  # of the files, one for each row
    load: Loader


class Damaged(Exception):
    """An entry of the cache that is not what was written."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A data set's catalogue with its pixels: mapped from the cache, in memory, or (None) still in their files.

    `unreadable` says of the rows that are no images why not; `note` why the cache does not hold the pixels.
    """

    catalogue: Catalogue
    square: Square
    unreadable: dict[int, str]
    facts: RowFacts
    images: np.ndarray | None  # uint8 (rows, channels, size, size)
    place: Path | None = None  # the entry; None: decoded by this process
    note: str | None = None
    _checked: set[int] = field(default_factory=set, repr=False, compare=False)

    def __reduce__(self) -> Any:
        """To another process goes the name of the entry, not its pixels."""
        if self.place is None:
            return super().__reduce__()
        return open_entry, (self.place, self.square, self.catalogue.paths)

    def check(self, rows: np.ndarray) -> None:
        """Compares images with their checksums, each once in a process.

        Raises:
            Damaged: one is not what was written.
        """
        if self.images is None or self.place is None:
            return
        for row in rows.tolist():
            if row not in self._checked:
                if zlib.crc32(self.images[row]) != self.facts.checks[row]:
                    raise Damaged(f"{self.place}: image {row} ({self.catalogue.keys[row]}) is damaged")
                self._checked.add(row)


def entry_name(content: str, square: Square) -> str:
    """Another content, size or way of decoding has another one."""
    size, channels, *later = square.words()
    words = [content, size, channels, VERSION, *later]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:32]


def _write_whole(path: Path, *parts: bytes) -> None:
    """The parts after a line with their checksum, on the disk when this returns."""
    digest = hashlib.sha256(b"".join(parts)).hexdigest().encode()
    with path.open("wb") as file:
        file.writelines([digest, b"\n", *parts])
        file.flush()
        os.fsync(file.fileno())


def _read_whole(path: Path) -> bytes:
    try:
        digest, content = path.read_bytes().split(b"\n", 1)
    except (OSError, ValueError) as error:
        raise Damaged(f"{path} cannot be read ({error})") from error
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise Damaged(f"{path} is damaged")
    return content


def open_entry(place: Path, square: Square, paths: tuple[str, ...] | None) -> Decoded | None:
    """What the cache holds under a name; None if there is nothing.

    Raises:
        Damaged: it is not what was written.
    """
    if not place.is_dir():
        return None
    values = json.loads(_read_whole(place / "catalogue.json"))
    keys, classes, labels = tuple(values["keys"]), tuple(values["classes"]), np.array(values["labels"], dtype=np.int64)
    catalogue = Catalogue(classes, keys, labels, values["sizes"], paths)
    facts = RowFacts.from_bytes(_read_whole(place / "rows.i8"), rows=len(labels), channels=square.channels)
    images, file, shape = None, place / "images.u8", (len(labels), *square.shape)
    if values["pixels"]:
        if not file.is_file() or file.stat().st_size != np.prod(shape):
            raise Damaged(f"{file} is not whole")
        # Copy on write: torch wants memory that it may write to, and the file stays as it is.
        images = np.memmap(file, dtype=np.uint8, mode="c", shape=shape)
    return Decoded(catalogue, with_white(square, facts), dict(values["unreadable"]), facts, images, place)


def _write_entry(making: Path, square: Square, load: Loader, keep: bool) -> None:
    catalogue, arrays = load()
    file, size = making / "images.u8", len(catalogue.labels) * int(np.prod(square.shape))
    if keep:
        with file.open("wb") as handle:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle.fileno(), 0, size)  # a full disk is said now, not after minutes
            else:
                handle.truncate(size)
    unreadable, facts = decode_all(catalogue, arrays, square, into=file if keep else None)
    _write_whole(making / "rows.i8", facts.to_bytes())
    values = {"classes": catalogue.classes, "keys": catalogue.keys, "labels": catalogue.labels.tolist()}
    values |= {"sizes": catalogue.sizes, "unreadable": sorted(unreadable.items()), "pixels": keep}
    _write_whole(making / "catalogue.json", json.dumps(values).encode())  # a name that is not UTF-8 is escaped
    if keep:
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())


def _make_entry(place: Path, square: Square, load: Loader, keep: bool) -> None:
    """Writes an entry beside its place and moves it there.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    for stale in place.parent.glob(f".making-{place.name}-*"):  # of a process that was killed: we hold the lock
        shutil.rmtree(stale, ignore_errors=True)
    making = place.parent / f".making-{place.name}-{os.getpid()}"
    making.mkdir()
    try:
        _write_entry(making, square, load, keep)
        try:
            os.rename(making, place)
        except OSError:
            if not place.is_dir():  # else another process was faster, on a file system without locks
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """While one process holds the lock, the others wait. A lock ends with its process, however that ends."""
    from filelock import FileLock

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(NotImplementedError):  # a file system without locks
            stack.enter_context(FileLock(lock))
        yield


def _open_or_make(place: Path, square: Square, load: Loader, paths: tuple[str, ...] | None, keep: bool) -> Decoded:
    try:
        found = open_entry(place, square, paths)
        if found is not None:
            if found.images is not None and found.images.nbytes <= _CHECK_ALL:
                found.check(np.arange(len(found.images)))
            return found
    except Damaged as error:
        discard(place, str(error))
    make_private(place.parent)
    with alone(place.parent / f".{place.name}.lock"):
        if not place.is_dir():
            _make_entry(place, square, load, keep)
    found = open_entry(place, square, paths)
    assert found is not None
    return found


def discard(place: Path, reason: str) -> None:
    """Takes a damaged entry away. Processes that have it mapped keep what they have."""
    print(f"{reason}; it is made again", file=sys.stderr)
    away = place.with_name(f".damaged-{place.name}-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        os.rename(place, away)
    shutil.rmtree(away, ignore_errors=True)


def open_decoded(folder: Path, source: Source, square: Square, *, limit: int, in_memory: bool = True) -> Decoded:
    """The entry of the cache, made now if it is not there or damaged.

    Where the cache cannot be written, the images are decoded into this process's memory, and `note` says so.

    Args:
        folder: of the cache.
        limit: bytes; above it only the catalogue is kept and the pixels stay in their files.
        in_memory: whether pixels that the cache cannot hold are wanted at all, not only what can be read.
    """
    load, paths = source.load, source.paths
    size = source.rows * int(np.prod(square.shape))
    place = folder / entry_name(source.content, square)
    keep = size <= limit or paths is None or place.is_dir()
    if not keep:
        place = folder / f"{place.name}-files"
    try:
        return _open_or_make(place, square, load, paths, keep)
    except OSError as error:
        reason = f"the cache {folder} cannot be used ({error.strerror or error})"
        note = f"{reason}: each process decodes the images for itself; data.cache=DIR names another place"
    catalogue, arrays = load()
    images = np.zeros((len(catalogue.labels), *square.shape), dtype=np.uint8) if in_memory and keep else None
    unreadable, facts = decode_all(catalogue, arrays, square, into=images)
    return Decoded(catalogue, with_white(square, facts), unreadable, facts, images, note=note)
