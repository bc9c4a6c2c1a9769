"""Brings cells to their records: skips what is finished, runs the rest side by side in workers that stay alive.

Free of torch: only the workers load it, and only if there is something to run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from scaling.config import CellConfig, ConfigError
from scaling.data.folder import DataError
from scaling.init_from import WEIGHTS_FILE
from scaling.progress import Progress
from scaling.record import FILE_NAME, RecordError, read_record
from scaling.tracking import find_key


@dataclass(frozen=True)
class Outcome:
    """What a sweep came to. `failures` maps a cell's name to what is known of its end."""

    finished: int
    skipped: int  # of the finished ones, those that were so before
    failures: dict[str, str]


def recorded_status(cell: CellConfig) -> str | None:
    """The status in the cell's record, or None where there is none yet.

    Raises:
        ConfigError: the record is not this cell's, or cannot be read; it is left as it is.
    """
    path = cell.folder / FILE_NAME
    if not path.exists():
        return None
    try:
        record = read_record(path)
    except RecordError as error:
        raise ConfigError(f"{error}; move it away to run this cell again") from error
    if record.config_hash != cell.config_hash:
        raise ConfigError(
            f"{path} belongs to another configuration ({record.config_hash}); choose another out= or sweep="
        )
    return record.status


def is_due(status: str | None, retry: str | None) -> bool:
    """Whether a cell with this recorded status is to be run."""
    return status is None or (status != "finished" and retry in (status, "all"))


def lacks_weights(cell: CellConfig, status: str | None) -> bool:
    """Whether a finished cell is asked to keep weights that it did not keep: only another run can make them."""
    return status == "finished" and cell.keep == "last" and not (cell.folder / WEIGHTS_FILE).exists()


def _worker(pipe: Connection) -> None:
    """Runs the cells that come through the pipe until it closes. Torch and the data stay loaded between them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to all; the parent decides
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    from scaling.cell import run_cell

    while True:
        try:
            cell = pipe.recv()
        except EOFError:
            return
        try:
            record = run_cell(cell)
        except Exception as error:  # outside the run itself, such as a disk that is full: there may be no record
            pipe.send(("failed", f"{type(error).__name__}: {error}"))
        else:
            pipe.send((record.status, record.error_text))


class _Worker:
    """A worker process, the pipe to it and the cell that it is at."""

    def __init__(self, context: Any) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_worker, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.cell: CellConfig | None = None
        self.started = 0.0

    def give(self, cell: CellConfig) -> None:
        self.cell, self.started = cell, time.monotonic()
        self.pipe.send(cell)

    def result(self) -> tuple[str, str | None] | None:
        """(status, error text) of the cell that just ended, or None if the process died at it."""
        try:
            return self.pipe.recv() if self.pipe.poll() else None
        except EOFError:
            return None

    def stop(self) -> None:
        """Ends the process: at once if it is at a cell, else by closing its pipe, so that W&B can end what it began."""
        self.pipe.close()
        if self.cell is None:
            self.process.join(30)
        self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()


def worker_count(cells: Sequence[CellConfig]) -> int:
    """As many as the cores allow at the cells' threads, unless the config says how many."""
    asked = cells[0].workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(len(cells), asked or max(1, cores // max(cell.threads for cell in cells)))


def _last_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[-1] if (text or "").strip() else "no message"


def _run_all(cells: Sequence[CellConfig], progress: Progress) -> dict[str, str]:
    """Runs every cell and returns what went wrong, by cell name."""
    context = multiprocessing.get_context("spawn")
    queue = sorted(cells, key=lambda cell: -cell.steps * cell.optim.batch_size)  # long ones first: no tail at the end
    failures: dict[str, str] = {}
    workers = [_Worker(context) for _ in range(worker_count(queue))]
    try:
        for worker in workers:
            worker.give(queue.pop(0))
        while any(worker.cell for worker in workers):
            wait([w for worker in workers if worker.cell for w in (worker.pipe, worker.process.sentinel)], timeout=1.0)
            progress.tick(sum(worker.cell is not None for worker in workers))
            for i, worker in enumerate(workers):
                cell = worker.cell
                ended, died = cell is not None and worker.pipe.poll(), not worker.process.is_alive()
                if cell is None or not (ended or died):
                    continue
                result = worker.result()
                if result is None:
                    worker.process.join()
                    failures[cell.cell_name] = f"its process died (exit code {worker.process.exitcode})"
                    worker.stop()
                    workers[i] = worker = _Worker(context)
                elif result[0] != "finished":
                    failures[cell.cell_name] = f"{result[0]}: {_last_line(result[1])}"
                progress.done(cell, seconds=time.monotonic() - worker.started, failed=cell.cell_name in failures)
                worker.cell = None
                if queue:
                    worker.give(queue.pop(0))
    finally:
        for worker in workers:
            worker.stop()
    return failures


def _prepare(cells: Sequence[CellConfig]) -> None:
    """What must be there before the first worker starts.

    Raises:
        ConfigError: it is not, and cannot be had.
    """
    if cells[0].wandb.mode == "online" and not find_key():
        hint = "set WANDB_API_KEY or run `wandb login`, or leave it offline"
        raise ConfigError(f"wandb.mode=online needs a key: {hint}")
    for root in sorted({str(cell.data.root) for cell in cells if cell.data.kind == "cifar10"}):
        from scaling.data.cifar import prepare_cifar10  # imports torchvision, which few sweeps need here

        try:
            prepare_cifar10(root)
        except DataError as error:
            raise ConfigError(str(error)) from error


def run_cells(cells: Iterable[CellConfig]) -> Outcome:
    """Runs those cells that are not finished yet; the same cell by two roads is one cell.

    Raises:
        ConfigError: a folder holds another cell's record, or the cells disagree on where to run.
    """
    unique = list({(cell.folder, cell.config_hash): cell for cell in cells}.values())
    if not unique:
        raise ConfigError("the sweep has no cells")
    statuses = {cell.cell_name: recorded_status(cell) for cell in unique}
    due = [
        cell
        for cell in unique
        if is_due(statuses[cell.cell_name], cell.retry) or lacks_weights(cell, statuses[cell.cell_name])
    ]
    kept = {
        cell.cell_name: f"{statuses[cell.cell_name]} before; retry={statuses[cell.cell_name]} runs it again"
        for cell in unique
        if cell not in due and statuses[cell.cell_name] != "finished"
    }
    skipped = len(unique) - len(due) - len(kept)
    failures: dict[str, str] = {}
    if due:
        _prepare(due)
        where = Path(unique[0].out) / unique[0].sweep
        progress = Progress(due, total=len(unique), skipped=len(unique) - len(due), workers=worker_count(due))
        progress.start(f"{where}: {len(unique)} cells, {skipped} finished before, {worker_count(due)} at a time")
        failures = _run_all(due, progress)
        progress.close()
    for name, text in (kept | failures).items():
        print(f"{name}: {text}", file=sys.stderr)
    return Outcome(finished=skipped + len(due) - len(failures), skipped=skipped, failures=kept | failures)
