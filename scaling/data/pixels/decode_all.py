"""Decodes a whole data set: rows of a catalogue to uint8 pixels in a file or an array, side by side on all cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data.errors import DataError, UnreadableImage
from scaling.data.pixels.decode import decode_array, see, to_square
from scaling.data.pixels.facts import RowFacts, checksums, pixel_sums, with_white
from scaling.data.pixels.looks import look_hashes, thumbnail
from scaling.data.pixels.square import Square
from scaling.data.sources.catalogue import Catalogue
from scaling.records.files import cores

_CHUNK = 256  # images
_MANY = 2000  # images from which on it pays to start processes, and to say what takes so long


@dataclass(frozen=True)
class _Part:
    """Decoded rows: uint8 pixels (rows, channels, size, size), what is known of them, and by row what is unreadable."""

    pixels: np.ndarray
    facts: RowFacts
    unreadable: dict[int, str]


def _from_files(sources: Sequence[str | bytes], square: Square) -> _Part:
    rows = len(sources)
    pixels = np.zeros((rows, *square.shape), dtype=np.uint8)
    digests, sides = np.zeros((rows, 2), dtype=np.uint64), np.zeros((rows, 2), dtype=np.int64)
    depths, tops = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    looks, greys, unreadable = np.zeros(rows, dtype=np.uint64), {}, {}
    for i, source in enumerate(sources):
        try:
            seen = see(source, square)
            pixels[i], digests[i], sides[i] = to_square(seen.picture, square), seen.digest(), seen.picture.size
            depths[i], tops[i], greys[i] = seen.depth, seen.top, thumbnail(seen.picture)
        except UnreadableImage as error:
            unreadable[i] = str(error)
    looks[list(greys)] = look_hashes(list(greys.values()))
    return _Part(pixels, _facts(pixels, digests, depths, tops, sides, looks), unreadable)


def _from_arrays(arrays: np.ndarray, square: Square) -> _Part:
    from PIL import Image as PIL

    pixels, digests = decode_array(arrays, square)
    rows = len(arrays)
    sides = np.tile(np.array([arrays.shape[2], arrays.shape[1]], dtype=np.int64), (rows, 1))
    depths, tops = np.full(rows, 8, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    looks = look_hashes([thumbnail(PIL.fromarray(array)) for array in arrays])
    return _Part(pixels, _facts(pixels, digests, depths, tops, sides, looks), {})


def _facts(pixels: np.ndarray, *others: np.ndarray) -> RowFacts:
    return RowFacts(checksums(pixels), pixel_sums(pixels), *others)


def decode_rows(sources: Sequence[str | bytes], square: Square) -> tuple[np.ndarray, dict[int, str]]:
    """uint8 (len(sources), channels, size, size); what cannot be read stays black and is named with its reason.

    Args:
        sources: paths of files, or their contents.
    """
    part = _from_files(sources, square)
    return part.pixels, part.unreadable


def _one_chunk(source: Any, square: Square, first: int, into: Path | np.ndarray | None) -> Any:
    """Decodes one chunk of rows into its place; returns what is unreadable in it, and the facts of its rows."""
    part = (_from_arrays if isinstance(source, np.ndarray) else _from_files)(source, square)
    if isinstance(into, Path):
        _write(into, first, part.pixels)
    elif into is not None:
        into[first : first + len(part.pixels)] = part.pixels
    return {first + i: reason for i, reason in part.unreadable.items()}, part.facts


def _write(file: Path, first: int, pixels: np.ndarray) -> None:
    with file.open("r+b") as handle:
        handle.seek(first * pixels[0].size)
        handle.write(pixels.tobytes())


def decode_all(
    catalogue: Catalogue, arrays: np.ndarray | None, square: Square, *, into: Path | np.ndarray | None
) -> tuple[dict[int, str], RowFacts]:
    """Decodes every row, from its file or from `arrays` (rows, height, width[, 3]); images with more than 8 bits once
    more when it is known what is white among them.

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
    # Files only: arrays are at hand already. A daemonic process may not have children, and an array is not shared.
    alone = arrays is not None or isinstance(into, np.ndarray) or multiprocessing.current_process().daemon
    done = _decode_chunks(chunks, alone=alone)
    found = with_white(square, RowFacts.joined([facts for _, facts in done]))
    if found != square:
        wide = [i for i, (_, facts) in enumerate(done) if (facts.depths > 8).any()]
        again = [(part, found, first, place) for part, _, first, place in (chunks[i] for i in wide)]
        for i, part in zip(wide, _decode_chunks(again, alone=alone), strict=True):
            done[i] = part
    unreadable = {row: reason for bad, _ in done for row, reason in bad.items()}
    return unreadable, RowFacts.joined([facts for _, facts in done])


def _decode_chunks(chunks: list[tuple[Any, Square, int, Any]], *, alone: bool) -> list[tuple[dict[int, str], RowFacts]]:
    rows, helpers = sum(len(source) for source, *_ in chunks), cores()
    if alone or rows < _MANY or helpers == 1:
        return [_one_chunk(*chunk) for chunk in chunks]
    print(f"decoding {rows:,} images, once ({helpers} processes)", file=sys.stderr)
    try:
        context = multiprocessing.get_context(_start_method())
        with ProcessPoolExecutor(helpers, mp_context=context, initializer=_end_with_parent) as pool:
            return list(pool.map(_one_chunk, *zip(*chunks, strict=True)))
    except BrokenProcessPool as error:
        raise DataError("a process that decoded images was killed; is there too little memory?") from error


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
