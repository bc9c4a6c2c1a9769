"""Decodes a whole data set: rows of a catalogue to uint8 pixels in a file or an array, side by side on all cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data.errors import DataError, UnreadableImage
from scaling.data.pixels.decode import decode, decode_array
from scaling.data.sources.catalogue import Catalogue
from scaling.records.files import cores

_CHUNK = 256  # images
_MANY = 2000  # images from which on it pays to start processes, and to say what takes so long


@dataclass(frozen=True)
class Square:
    """The shape that every image is brought to."""

    image_size: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.image_size, self.image_size)


@dataclass(frozen=True)
class RowFacts:
    """What is known of every image: its checksum, and the sums from which any subset's mean and deviation follow."""

    checks: np.ndarray  # uint32 (rows,) CRC-32
    sums: np.ndarray  # int64 (rows, channels, 2): of the values and of their squares

    @classmethod
    def of(cls, pixels: np.ndarray) -> RowFacts:
        flat = pixels.reshape(*pixels.shape[:2], -1)
        squares = np.square(flat, dtype=np.uint16).sum(2, dtype=np.int64)  # 255 squared fits
        checks = np.array([zlib.crc32(image) for image in pixels], dtype=np.uint32)
        return cls(checks, np.stack([flat.sum(2, dtype=np.int64), squares], axis=2))

    @classmethod
    def joined(cls, parts: list[RowFacts]) -> RowFacts:
        return cls(np.concatenate([part.checks for part in parts]), np.concatenate([part.sums for part in parts]))


def decode_rows(paths: tuple[str, ...], square: Square) -> tuple[np.ndarray, dict[int, str]]:
    """uint8 (len(paths), channels, size, size); what cannot be read stays black and is named with its reason."""
    pixels = np.zeros((len(paths), *square.shape), dtype=np.uint8)
    unreadable = {}
    for i, path in enumerate(paths):
        try:
            pixels[i] = decode(path, image_size=square.image_size, channels=square.channels)
        except UnreadableImage as error:
            unreadable[i] = str(error)
    return pixels, unreadable


def _one_chunk(source: tuple[str, ...] | np.ndarray, square: Square, first: int, into: Path | np.ndarray | None) -> Any:
    """Decodes one chunk of rows into its place; returns what is unreadable in it, and the facts of its rows."""
    if isinstance(source, np.ndarray):
        pixels = decode_array(source, image_size=square.image_size, channels=square.channels)
        unreadable: dict[int, str] = {}
    else:
        pixels, unreadable = decode_rows(source, square)
    if isinstance(into, Path):
        _write(into, first, pixels)
    elif into is not None:
        into[first : first + len(pixels)] = pixels
    return {first + i: reason for i, reason in unreadable.items()}, RowFacts.of(pixels)


def _write(file: Path, first: int, pixels: np.ndarray) -> None:
    with file.open("r+b") as handle:
        handle.seek(first * pixels[0].size)
        handle.write(pixels.tobytes())


def decode_all(
    catalogue: Catalogue, arrays: np.ndarray | None, square: Square, *, into: Path | np.ndarray | None
) -> tuple[dict[int, str], RowFacts]:
    """Decodes every row, from its file or from `arrays` (rows, height, width[, 3]).

    Args:
        into: a file of the right size, an array (rows, channels, size, size), or None only to see what can be read.

    Returns:
        unreadable: the reason by row.
        facts: of all rows.

    Raises:
        DataError: a process that decodes was killed.
        OSError: the file cannot be written.
    """
    source = arrays if arrays is not None else catalogue.paths
    assert source is not None
    rows = len(catalogue.labels)
    chunks = [(source[first : first + _CHUNK], square, first, into) for first in range(0, rows, _CHUNK)]
    helpers = cores()
    # Files only: arrays are at hand already. A daemonic process may not have children, and an array is not shared.
    alone = arrays is not None or isinstance(into, np.ndarray) or multiprocessing.current_process().daemon
    if alone or rows < _MANY or helpers == 1:
        done = [_one_chunk(*chunk) for chunk in chunks]
    else:
        print(f"decoding {rows:,} images, once ({helpers} processes)", file=sys.stderr)
        try:
            context = multiprocessing.get_context(_start_method())
            with ProcessPoolExecutor(helpers, mp_context=context, initializer=_end_with_parent) as pool:
                done = list(pool.map(_one_chunk, *zip(*chunks, strict=True)))
        except BrokenProcessPool as error:
            raise DataError("a process that decoded images was killed; is there too little memory?") from error
    unreadable = {row: reason for bad, _ in done for row, reason in bad.items()}
    return unreadable, RowFacts.joined([facts for _, facts in done])


def _end_with_parent() -> None:
    """A helper leaves Ctrl-C to its parent, and ends when that is killed: it would keep waiting, and hold the lock."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start_method() -> str:
    """Forking is quick and safe here: the children only decode; elsewhere they import what they need."""
    return "fork" if sys.platform == "linux" else "spawn"
