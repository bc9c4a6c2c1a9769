"""One cell is run by one process at a time: a lock in the cell's folder that the system frees when its holder dies.

POSIX record locks (`lockf`) are used: forked helpers of a worker do not inherit them, so they end with the worker
itself, and they are the kind that network file systems carry (docs/sweeps.md says which were tried). The lock file is
removed when its holder is done; one that a killed process left behind is free, and is taken over.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"
_TAKEN = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


_held: set[Path] = set()  # by this process: to open and close such a file once more would free its lock


class Busy(RuntimeError):
    """Another process is at this cell."""


@functools.cache
def _warn_once(place: str, why: str) -> None:
    print(f"warning: {place}: no file locks here ({why}); do not run two sweeps on one folder", file=sys.stderr)


def _try_lock(handle: int, folder: Path) -> None:
    """Takes the lock.

    Raises:
        Busy: another process holds it.
    """
    if fcntl is None:
        return _warn_once(str(folder.parent), "this system has none")
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            raise Busy(str(folder)) from error
        if error.errno not in _NO_LOCKS:
            raise
        _warn_once(str(folder.parent), error.strerror or "unknown")


def _is_same_file(handle: int, path: Path) -> bool:
    """Whether the file at `path` is still the one that is open: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def cell_lock(folder: Path) -> Iterator[None]:
    """Holds the lock of the cell whose folder this is; makes the folder. Within it, the same process may ask again.

    Raises:
        Busy: another process holds it.
        OSError: the folder cannot be written.
    """
    path = (folder / LOCK_FILE).resolve()
    if path in _held:
        yield
        return
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:  # the folder was deleted in between
            continue
        try:
            _try_lock(handle, folder)
        except BaseException:
            os.close(handle)
            raise
        if _is_same_file(handle, path):
            break
        os.close(handle)
    _held.add(path)
    try:
        with contextlib.suppress(OSError):  # only for people and for `scaling.status`; a full disk must not matter
            os.truncate(handle, 0)
            os.write(handle, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode())
        yield
    finally:
        _held.remove(path)
        if _is_same_file(handle, path):  # not, if the folder was deleted and another process began anew
            with contextlib.suppress(OSError):
                path.unlink()
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Whether another process is at this cell."""
    if (folder / LOCK_FILE).resolve() in _held:
        return False
    try:
        handle = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if fcntl is not None:
            fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _TAKEN
    finally:
        os.close(handle)
    return False


def holder(folder: Path) -> str:
    """ "HOST, process PID" of the process running a cell, as far as it could write it down."""
    try:
        values = json.loads((folder / LOCK_FILE).read_text())
        return f"{values['host']}, process {values['pid']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown process"
