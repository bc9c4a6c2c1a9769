"""A pool of worker processes that stay alive between cells; one that dies costs the cell it was at, and is replaced.

The supervising process is free of torch. `Pool.give` hands a cell to an idle worker, `Pool.wait` says which ended and
how. The death of a worker becomes its cell's record (status failed, with the signal or exit code).
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import multiprocessing.util
import signal
import sys
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from scaling.config import CellConfig
from scaling.records.cell_fields import unfinished_record
from scaling.records.cell_folder import Stamp, record_stamp
from scaling.records.lock import Busy, cell_lock
from scaling.records.record import write_record
from scaling.sweep.worker import serve

GRACE_SECONDS = 5.0  # for a worker to write a checkpoint after SIGTERM
_LEAVE_SECONDS = 20.0  # for an idle worker to end what its libraries began
_MAX_FALSE_STARTS = 3


class PoolError(RuntimeError):
    """Workers cannot start here at all."""


@dataclass(frozen=True)
class End:
    """How an attempt to run a cell ended.

    status: finished, failed or diverged (there is a record); "unrecorded" (it could not be written, see text); "busy"
    (another process is at it); "elsewhere" (another process has recorded it); "stopped" (asked to stop, no record).
    """

    cell: CellConfig
    status: str
    text: str | None
    seconds: float


def how_it_died(exitcode: int | None) -> str:
    """An exit code of `multiprocessing` in words."""
    if exitcode is None or exitcode >= 0:
        return f"its process ended without a word (exit code {exitcode})"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = f"signal {-exitcode}"
    guess = {"SIGKILL": ", as the system does when memory runs out", "SIGSEGV": ", a segmentation fault"}
    return f"its process was killed by {name}{guess.get(name, '')}"


@functools.cache
def kept_pool() -> Pool:
    """A pool of one worker that this process keeps for all its cells: for launchers that hand out one cell at a time.

    It ends with this process, by whatever way Python leaves it (a launcher's own worker never reaches `atexit`).
    """
    pool = Pool(1)
    multiprocessing.util.Finalize(None, pool.close, exitpriority=100)
    return pool


@contextlib.contextmanager
def _bare_main() -> Iterator[None]:
    """Keeps `multiprocessing` from importing this command's main module again in its child: that takes a second, in
    which the child would not yet see its parent's end."""
    main, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


class _Worker:
    """A worker process, the pipe to it and the cell that it is at."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        # Not a daemon: those may not have children, such as the readers of a data loader.
        self.process = context.Process(target=serve, args=(theirs,), daemon=False)
        with _bare_main():
            self.process.start()
        theirs.close()
        self.torch_version: str | None = None  # known once it is ready
        self.device: str | None = None
        self.cell: CellConfig | None = None
        self.seen: Stamp = None
        self.started = 0.0

    def give(self, cell: CellConfig, seen: Stamp) -> None:
        self.cell, self.seen, self.started, self.device = cell, seen, time.monotonic(), None
        with contextlib.suppress(OSError):  # it has just died: `wait` finds that out
            self.pipe.send((cell, seen))

    def ended(self) -> tuple[str, str | None] | None:
        """Reads what the worker said; (status, text) if its cell has ended."""
        try:
            while self.pipe.poll():
                kind, *values = self.pipe.recv()
                if kind == "ended":
                    return values[0], values[1]
                if kind == "ready":
                    self.torch_version = values[0]
                else:
                    self.device = values[0]
        except (EOFError, OSError):
            self.process.join(1)  # its end is near if it is not there yet
        return None


class Pool:
    """Up to `count` workers, started when they are needed. To be closed, or used as a context manager."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._workers: list[_Worker] = []
        self._false_starts = 0

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    @property
    def running(self) -> list[CellConfig]:
        return [worker.cell for worker in self._workers if worker.cell]

    def has_room(self) -> bool:
        return len(self.running) < self.count

    def give(self, cell: CellConfig, seen: Stamp) -> None:
        """Starts a cell. `seen` is its record's stamp: if that has changed, another process has run it meanwhile."""
        idle = [worker for worker in self._workers if worker.cell is None]
        for worker in [worker for worker in idle if not worker.process.is_alive()]:
            self._remove(worker)
            idle.remove(worker)
        if not idle:
            idle = [_Worker()]
            self._workers += idle
        idle[0].give(cell, seen)

    def wait(self, timeout: float) -> list[End]:
        """The attempts that have ended; waits for the first of them at most `timeout` seconds.

        Raises:
            PoolError: workers die before they are ready, one after the other.
        """
        busy = [worker for worker in self._workers if worker.cell]
        if not busy:
            time.sleep(timeout)
        wait([handle for worker in busy for handle in (worker.pipe, worker.process.sentinel)], timeout)
        ends = []
        for worker in busy:
            dead = not worker.process.is_alive()  # looked at first: what it still said is in the pipe
            result = worker.ended()
            if worker.torch_version:
                self._false_starts = 0
            cell, seconds = worker.cell, time.monotonic() - worker.started
            assert cell is not None
            if result is None and dead:
                result = self._death(worker)
                self._remove(worker)
            if result is not None:
                worker.cell = None
                ends.append(End(cell, *result, seconds))
        return ends

    def _death(self, worker: _Worker) -> tuple[str, str | None]:
        cell, text = worker.cell, how_it_died(worker.process.exitcode)
        assert cell is not None
        if worker.process.exitcode == -signal.SIGTERM:
            time.sleep(1)  # whoever ends all processes of this group may come to this one, too
        if worker.torch_version is None:
            self._false_starts += 1
            if self._false_starts >= _MAX_FALSE_STARTS:
                raise PoolError(f"workers do not start: {text.replace('its', 'the', 1)}")
            return "stopped", None  # not the cell's fault
        if (
            worker.device is None and worker.process.exitcode == 0
        ):  # it was leaving, after a GPU fault of the cell before
            return "stopped", None
        device, torch_version = worker.device or cell.device, worker.torch_version
        record = unfinished_record(cell, "failed", text, device=device, torch_version=torch_version)
        try:
            with cell_lock(cell.folder):
                if record_stamp(cell.folder) != worker.seen:  # it died after the last word of its cell
                    return "elsewhere", None
                write_record(record, cell.folder)
        except Busy:
            return "busy", None
        except OSError as error:
            return "unrecorded", f"{text}; {error}"
        return "failed", text

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join(5)

    def close(self) -> None:
        """Ends all workers: idle ones as they see their pipe closed, others by SIGTERM and, after a grace, SIGKILL."""
        workers, self._workers = self._workers, []
        try:
            for worker in workers:
                if worker.cell:
                    worker.process.terminate()
                worker.pipe.close()
            now = time.monotonic()
            for worker in workers:
                until = now + (GRACE_SECONDS if worker.cell else _LEAVE_SECONDS)
                worker.process.join(max(0.0, until - time.monotonic()))
        finally:  # a second Ctrl-C comes here
            for worker in workers:
                if worker.process.is_alive():
                    worker.process.kill()
                worker.process.join()
