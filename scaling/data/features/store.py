"""Rows of features by the digest of their picture: blocks of rows in a folder, each written whole, each row checked.

A folder belongs to one way of computing (`store_folder`), so a picture has one row in it, whichever data set, subset or
split it comes from. A process killed while computing loses the block that it was at, and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scaling.data.pixels.cache import alone
from scaling.records.files import TEMPORARY, set_aside, write_whole

_VERSION = 1  # of how features are computed; another number, and all are computed again
BLOCK = 256  # rows, of which a kill loses one block at most
FEATURES_FOLDER = "features"  # below the cache
_MAGIC = b"features"
_HEAD = np.dtype([("magic", "S8"), ("rows", "<u4"), ("dim", "<u4"), ("seconds", "<f8"), ("check", "<u4")])


def store_folder(cache: Path, way: Sequence[Any]) -> Path:
    """The folder of one way of computing: `way` holds whatever changes the numbers from the same picture."""
    words = json.dumps([_VERSION, *way], sort_keys=True, default=str)
    return cache / FEATURES_FOLDER / hashlib.sha256(words.encode()).hexdigest()[:32]


def _checks(digests: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A row's checksum covers its digest: the right numbers of another picture are wrong numbers."""
    pairs = zip(np.ascontiguousarray(digests), np.ascontiguousarray(rows), strict=True)
    return np.array([zlib.crc32(row, zlib.crc32(digest)) for digest, row in pairs], dtype="<u4")


@dataclass(frozen=True, eq=False)
class _Block:
    path: Path
    digests: np.ndarray  # uint64 (rows, 2)
    checks: np.ndarray  # uint32 (rows,)
    rows: np.ndarray  # float32 (rows, dim), mapped
    seconds: float  # that computing one of its rows took
    sound: np.ndarray  # bool (rows,), those that this process has held against their checksums


def _head(count: int, dim: int, seconds: float) -> np.ndarray:
    head = np.array([(_MAGIC, count, dim, seconds, 0)], dtype=_HEAD)
    head["check"] = zlib.crc32(head.tobytes())
    return head


def _read_block(path: Path) -> _Block | None:
    """A block, its rows not yet checked; None if the file is not what was written."""
    try:
        content = np.memmap(path, dtype=np.uint8, mode="r")
        head = np.frombuffer(content[: _HEAD.itemsize].tobytes(), dtype=_HEAD)[0]
    except (OSError, ValueError):  # empty, or gone
        return None
    count, dim, seconds = int(head["rows"]), int(head["dim"]), float(head["seconds"])
    parts = np.cumsum([_HEAD.itemsize, 16 * count, 4 * count, 4 * count * dim])
    if head.tobytes() != _head(count, dim, seconds).tobytes() or len(content) != parts[-1]:
        return None
    digests, checks, rows = (content[start:end] for start, end in itertools.pairwise(parts))
    shaped = rows.view("<f4").reshape(count, dim)
    known = np.array(digests).view("<u8").reshape(count, 2), np.array(checks).view("<u4")
    return _Block(path, *known, shaped, seconds, np.zeros(count, dtype=bool))


class FeatureStore:
    """What is known of one way of computing features. Files that other processes add are seen by `look`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blocks: dict[Path, _Block] = {}
        self._keys = np.zeros(0, dtype=np.uint64)  # first halves of the digests, sorted
        self._places = np.zeros((0, 2), dtype=np.int64)  # (block, row) of each
        self.look()

    def look(self) -> None:
        """Reads the blocks that are new in the folder; a file that is no whole block is set aside."""
        found = dict(self._blocks)
        for path in sorted(self.folder.glob("*.block")):
            if path not in found:
                block = _read_block(path)
                if block is not None:
                    found[path] = block
                elif path.exists():
                    self._set_aside(path)
        self._index({path: block for path, block in found.items() if path.exists()})

    def _index(self, blocks: dict[Path, _Block]) -> None:
        self._blocks = blocks
        digests = [block.digests for block in blocks.values()]
        keys = np.concatenate([np.zeros(0, dtype=np.uint64), *(part[:, 0] for part in digests)])
        places = [np.stack([np.full(len(part), i), np.arange(len(part))], axis=1) for i, part in enumerate(digests)]
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._places = np.concatenate([np.zeros((0, 2), dtype=np.int64), *places])[order]

    def _set_aside(self, path: Path) -> None:
        print(f"{path} is damaged; its features are computed again", file=sys.stderr)
        with contextlib.suppress(OSError):  # another process was faster
            set_aside(path)

    @property
    def dim(self) -> int | None:
        """Numbers a row; None while there is none."""
        return next((block.rows.shape[1] for block in self._blocks.values()), None)

    def _place(self, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether there may be a row, bool (n,), and in which block and row it is, int64 (n, 2)."""
        if not len(self._keys):
            return np.zeros(len(digests), dtype=bool), np.zeros((len(digests), 2), dtype=np.int64)
        at = np.minimum(np.searchsorted(self._keys, digests[:, 0]), len(self._keys) - 1)
        return self._keys[at] == digests[:, 0], self._places[at]

    def find(self, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What there is for pictures.

        Args:
            digests: uint64 (n, 2).

        Returns:
            rows: float32 (n, dim), zeros where there is none; (n, 0) while there are no rows at all.
            there: bool (n,).
            seconds: float64 (n,), what computing each took.
        """
        while True:
            there, places = self._place(digests)
            rows = np.zeros((len(digests), self.dim or 0), dtype=np.float32)
            seconds = np.zeros(len(digests))
            damaged = []
            for number, block in enumerate(self._blocks.values()):
                mine = np.flatnonzero(there & (places[:, 0] == number))
                if not len(mine):
                    continue
                inside = places[mine, 1]
                rows[mine], seconds[mine] = block.rows[inside], block.seconds
                there[mine] = (block.digests[inside] == digests[mine]).all(axis=1)
                if not self._sound(block, inside, rows[mine]):
                    damaged.append(block.path)
            if not damaged:
                return rows, there, seconds
            for path in damaged:
                self._set_aside(path)
            self._index({path: block for path, block in self._blocks.items() if path not in damaged})

    def _sound(self, block: _Block, inside: np.ndarray, rows: np.ndarray) -> bool:
        """Whether rows are what was written; each is looked at once in a process."""
        new = ~block.sound[inside]
        if (_checks(block.digests[inside[new]], rows[new]) != block.checks[inside[new]]).any():
            return False
        block.sound[inside] = True
        return True

    def add(self, digests: np.ndarray, rows: np.ndarray, *, seconds: float) -> None:
        """Writes a block, whole and to the disk.

        Args:
            digests: uint64 (n, 2) of the pictures.
            rows: float32 (n, dim).
            seconds: that computing them took.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        rows = np.ascontiguousarray(rows, dtype="<f4")
        digests = np.ascontiguousarray(digests, dtype="<u8")
        head = _head(len(rows), rows.shape[1], seconds / max(1, len(rows)))
        content = b"".join(part.tobytes() for part in (head, digests, _checks(digests, rows), rows))
        write_whole(self.folder / f"{time.time_ns():020d}-{os.getpid()}.block", content)


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """While one process computes, the others wait, and then find what it wrote. Where the cache cannot be written each
    computes for itself."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(alone(folder / ".lock"))
            for stale in folder.glob(TEMPORARY):  # of a process that was killed: we hold the lock
                stale.unlink(missing_ok=True)
        yield


def fill(
    store: FeatureStore, digests: np.ndarray, compute: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of pictures; those that the store lacks are computed, block by block, and kept.

    Args:
        store: which is looked at anew first; the caller is its only writer (`one_writer`).
        digests: uint64 (n, 2) of the pictures.
        compute: float32 (m, dim) from the places (m,) of pictures.

    Returns:
        rows: float32 (n, dim).
        seconds: float64 (n,), what computing each took, whenever that was.
    """
    store.look()
    rows, there, seconds = store.find(digests)
    _, firsts = np.unique(digests, axis=0, return_index=True)  # a picture that is there twice is computed once
    missing = np.array(sorted(set(firsts.tolist()) & set(np.flatnonzero(~there).tolist())), dtype=np.int64)
    if not len(missing):
        return rows, seconds
    computed: dict[bytes, tuple[np.ndarray, float]] = {}
    for start in range(0, len(missing), BLOCK):
        places = missing[start : start + BLOCK]
        begin = time.perf_counter()
        new = compute(places)
        took = time.perf_counter() - begin
        _try_add(store, digests[places], new, seconds=took)
        computed |= {
            digests[place].tobytes(): (row, took / len(places)) for place, row in zip(places, new, strict=True)
        }
    if rows.shape[1] == 0:
        rows = np.zeros((len(digests), new.shape[1]), dtype=np.float32)
    for place in np.flatnonzero(~there):
        rows[place], seconds[place] = computed[digests[place].tobytes()]
    return rows, seconds


def _try_add(store: FeatureStore, digests: np.ndarray, rows: np.ndarray, *, seconds: float) -> None:
    try:
        store.add(digests, rows, seconds=seconds)
    except OSError as error:
        reason = error.strerror or error
        print(f"the cache {store.folder} cannot be written ({reason}): these features are not kept", file=sys.stderr)
