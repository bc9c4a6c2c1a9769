"""SHA-256 of many files' contents, remembered by the files' names, sizes and times so that a start need not read them.

What is remembered counts only if nothing could have changed unseen: size, modification time and the time of the last
change of the file's entry (which no program can set back) are all as they were, and older than the hashing itself.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from scaling.records.files import try_write_whole

_GRAIN = 2_000_000_000  # ns; file systems keep times no coarser than 2 s (FAT)
_SIZE = hashlib.sha256().digest_size


def _states(paths: Sequence[str]) -> tuple[bytes, int]:
    """A digest of what the file system says of the files, and the latest change among them in ns."""
    digest = hashlib.sha256()
    latest = 0
    for path in paths:
        try:
            status = os.stat(path)
            state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
            latest = max(latest, status.st_mtime_ns, status.st_ctime_ns)
        except OSError as error:
            state = f"errno {error.errno}"
        digest.update(os.fsencode(os.path.abspath(path)) + b"\0" + state.encode() + b"\0")
    return digest.digest(), latest


def _content_hash(path: str) -> bytes:
    """Of a file that cannot be read, the hash of nothing: that it is unreadable is found, and said, by decoding."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return hashlib.sha256().digest()


def _memory(state: bytes, cache: Path) -> Path:
    return cache / "hashes" / state.hex()[:32]


def were_read(paths: Sequence[str], *, cache: Path) -> bool:
    """Whether the files' contents are known from before, so that nothing need be read of them."""
    return _memory(_states(paths)[0], cache).exists()


def content_hashes(paths: Sequence[str], *, cache: Path) -> list[bytes]:
    """32 bytes for each file, remembered in the folder `cache` where that is safe."""
    state, latest = _states(paths)
    memory = _memory(state, cache)
    try:
        known = memory.read_bytes()
    except OSError:
        known = b""
    body, check = known[:-_SIZE], known[-_SIZE:]
    if len(body) == _SIZE * len(paths) and hashlib.sha256(body).digest() == check:
        return [body[i : i + _SIZE] for i in range(0, len(body), _SIZE)]
    start = time.time_ns()
    hashes = [_content_hash(path) for path in paths]
    if latest < start - _GRAIN:
        body = b"".join(hashes)
        try_write_whole(memory, body + hashlib.sha256(body).digest())
    return hashes
