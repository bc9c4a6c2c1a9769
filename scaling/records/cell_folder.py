"""What lies on disk of a cell: its record, whether it is due to run, and what a process that was killed there left."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sys
from pathlib import Path

from scaling.config import CellConfig, ConfigError
from scaling.records.files import TEMPORARY, set_aside
from scaling.records.lock import LOCK_FILE, Busy, cell_lock
from scaling.records.record import FILE_NAME, NewerRecordError, Record, RecordError, read_record

WEIGHTS_FILE = "weights.pt"  # of keep=last
BEST_FILE = "best.pt"  # of keep=best: lowest validation error
PICTURES_FILE = "pictures.npy"  # of the training images behind kept weights: uint64 (n, 2), their digests
CHECKPOINTS = "checkpoint-*.pt"

Stamp = tuple[int, int] | None


def record_stamp(folder: Path) -> Stamp:
    """Changes whenever a record is written, whatever the clock says: (inode, modification time); None without one."""
    try:
        found = (folder / FILE_NAME).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def recorded(cell: CellConfig) -> Record | None:
    """The cell's record, or None where there is none.

    Raises:
        RecordError: it is not valid.
        ConfigError: it is not this cell's, or of a later version; it is left as it is.
    """
    path = cell.folder / FILE_NAME
    try:
        record = read_record(path, trust=cell.records == "trust")
    except FileNotFoundError:
        return None
    except NewerRecordError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if record.config_hash != cell.config_hash:
        raise ConfigError(
            f"{path} belongs to another configuration ({record.config_hash}); choose another out= or sweep="
        )
    return record


def recorded_status(cell: CellConfig) -> str | None:
    """The status in the cell's record, or None where there is none; a damaged record is set aside and named.

    Raises:
        ConfigError: the record is not this cell's, or of a later version; it is left as it is.
    """
    try:
        record = recorded(cell)
    except RecordError:
        try:
            with cell_lock(cell.folder):
                record = _undamaged(cell)
        except Busy:  # whoever is at the cell has seen to it
            return None
        except OSError as error:
            raise ConfigError(
                f"{cell.folder}: a damaged record, and nothing can be written: {error.strerror}"
            ) from error
    return record.status if record else None


def _undamaged(cell: CellConfig) -> Record | None:
    """The record after all (another process may have set the damaged one aside and run the cell since), or None."""
    try:
        return recorded(cell)
    except RecordError as error:
        aside = set_aside(cell.folder / FILE_NAME)
        print(f"warning: {error}; set aside as {aside.name}, the cell runs again", file=sys.stderr)
        return None


def is_due(status: str | None, retry: str | None) -> bool:
    """Whether a cell with this recorded status is to be run."""
    return status is None or (status != "finished" and retry in (status, "all"))


def lacks_weights(cell: CellConfig, status: str | None) -> bool:
    """Whether a finished cell is asked to keep weights that it did not keep: only another run can make them."""
    wanted = {"last": WEIGHTS_FILE, "best": BEST_FILE}.get(cell.keep)
    return status == "finished" and wanted is not None and not (cell.folder / wanted).exists()


def remove_leftovers(cell: CellConfig) -> None:
    """Removes what a process that was killed right after its record left: its lock, checkpoints, temporary files."""
    try:
        names = os.listdir(cell.folder)
    except OSError:
        return
    leftovers = [
        cell.folder / name
        for name in names
        if name == LOCK_FILE or any(fnmatch.fnmatchcase(name, pattern) for pattern in (TEMPORARY, CHECKPOINTS))
    ]
    if leftovers:
        with contextlib.suppress(Busy, OSError), cell_lock(cell.folder):  # removes the lock file, too
            for path in leftovers:
                if path.name != LOCK_FILE:
                    path.unlink(missing_ok=True)
