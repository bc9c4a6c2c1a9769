"""Runs jobs and returns what their records say: by the project's own pool, or by any other launcher of Hydra.

Whatever launches, cells that are finished are not launched, a crash costs one cell, and the outcome is read from the
records.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from hydra.core.utils import JobStatus
from omegaconf import OmegaConf

from scaling.compose.composer import Job
from scaling.config import CellConfig, ConfigError
from scaling.records.cell_folder import record_stamp, recorded_status
from scaling.records.files import cores, first_line, last_line
from scaling.records.record import FILE_NAME, RecordError, read_record
from scaling.sweep.pool import Pool
from scaling.sweep.progress import Progress
from scaling.sweep.run_cells import Outcome, cells_due, make_ready, print_failures, run_cells, worker_count
from scaling.sweep.torchrun import TorchrunRunner, started_by_torchrun
from scaling.sweep.worker import FIRST_PROCESS


class Runner(Protocol):
    """Brings jobs to records, `workers` side by side; `own_gpus` if each has a GPU of its own."""

    own_gpus: bool

    def workers(self, cells: Sequence[CellConfig]) -> int: ...

    def run(self, jobs: Sequence[Job]) -> Outcome: ...


class PoolRunner:
    """The default: workers that stay alive between cells, and between the rounds of a tuner."""

    own_gpus = False

    def __init__(self) -> None:
        self._pool: Pool | None = None

    def __enter__(self) -> PoolRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.close()

    def workers(self, cells: Sequence[CellConfig]) -> int:
        return worker_count(cells)

    def run(self, jobs: Sequence[Job]) -> Outcome:
        cells = [job.cell for job in jobs]
        count = worker_count(cells)
        if self._pool is None or self._pool.count < count:
            if self._pool is not None:
                self._pool.close()
            self._pool = Pool(count)
        return run_cells(cells, pool=self._pool)


def local_runner() -> PoolRunner | TorchrunRunner:
    """The runner of this machine: the processes that torchrun started, or else workers of our own."""
    return TorchrunRunner() if started_by_torchrun() else PoolRunner()


class _Watch:
    """One progress line for cells that other processes run, from their records."""

    def __init__(self, due: Sequence[CellConfig], total: int, workers: int) -> None:
        self._waiting = {cell.cell_name: (cell, record_stamp(cell.folder)) for cell in due}
        self._progress = Progress(due, total=total, skipped=total - len(due), workers=workers, quiet=False)
        self._workers, self._over = workers, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        where = Path(due[0].out) / due[0].sweep
        self._progress.start(f"{where}: {total} cells, {total - len(due)} ended before, {workers} at a time")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(5)
        self._take()
        self._progress.close()

    def _look(self) -> None:
        while not self._over.wait(1.0):
            self._take()
            self._progress.tick(min(self._workers, len(self._waiting)))

    def _take(self) -> None:
        for name, (cell, stamp) in list(self._waiting.items()):
            if record_stamp(cell.folder) in (stamp, None):
                continue
            try:
                record = read_record(cell.folder / FILE_NAME)
            except (RecordError, OSError):
                continue
            del self._waiting[name]
            problem = None if record.status == "finished" else _problem(record.status, record.error_text)
            self._progress.done(cell, seconds=record.train_seconds, problem=problem)


def _problem(status: str, text: str | None) -> str:
    return f"{status}: {last_line(text)}"


@contextlib.contextmanager
def _ray_cluster(settings: Any) -> Iterator[None]:
    """Starts Ray before Hydra's launcher does, then restores our SIGTERM handler, which ray.init() replaces."""
    import ray

    usual = signal.getsignal(signal.SIGTERM)
    options: Any = OmegaConf.to_container(settings, resolve=True)
    ray.init(**{"object_store_memory": 78643200} | options)  # the launcher's own default: cells need none of it
    signal.signal(signal.SIGTERM, usual)
    try:
        yield
    finally:
        ray.shutdown()


class HydraRunner:
    """A launcher of Hydra's or of a plugin, one job a cell.

    Args:
        launcher: set up by Hydra.
        config: the sweep's composed config, its `hydra` node included.
    """

    def __init__(self, launcher: Any, config: Any) -> None:
        self._launcher, self._config = launcher, config
        self._choice = str(config.hydra.runtime.choices["hydra/launcher"])
        self.own_gpus = "array_parallelism" in config.hydra.launcher  # of SLURM

    def workers(self, cells: Sequence[CellConfig]) -> int:
        settings = self._config.hydra.launcher
        if self._choice == "basic":
            return 1
        if self._choice == "joblib":
            count = int(settings.get("n_jobs") or 1)
            return min(len(cells), count if count > 0 else max(1, cores() + 1 + count))
        if self.own_gpus:
            return min(len(cells), int(settings.array_parallelism))
        return worker_count(cells)

    def run(self, jobs: Sequence[Job]) -> Outcome:
        unique = list({(job.cell.folder, job.cell.config_hash): job for job in jobs}.values())
        cells = [job.cell for job in unique]
        due = {cell.cell_name for cell in cells_due(cells)}
        todo = [job for job in unique if job.cell.cell_name in due]
        ended = [cell for cell in cells if cell.cell_name not in due]
        skipped = sum(recorded_status(cell) == "finished" for cell in ended)
        said: dict[str, str] = {}
        if todo:
            if cells[0].fail_fast:
                raise ConfigError("fail_fast=true needs hydra/launcher=pool: other launchers start all jobs at once")
            make_ready([job.cell for job in todo])
            ray = self._choice == "ray"
            cluster = _ray_cluster(self._config.hydra.launcher.ray.init) if ray else contextlib.nullcontext()
            with cluster, _Watch([job.cell for job in todo], len(cells), self.workers([job.cell for job in todo])):
                said = self._launch(todo)
        failures = {}
        for cell in cells:
            status = recorded_status(cell)
            if status is None:
                why = said.get(cell.cell_name, "its job ended without a record; the same command runs it again")
                failures[cell.cell_name] = f"failed: {why}"
            elif status != "finished":
                before = f"{status} before; retry={status} runs it again"
                text = read_record(cell.folder / FILE_NAME).error_text
                failures[cell.cell_name] = _problem(status, text) if cell.cell_name in due else before
        print_failures(failures)
        return Outcome(len(cells) - len(failures), skipped, failures)

    def _launch(self, todo: Sequence[Job]) -> dict[str, str]:
        """What went wrong with jobs outside their cells, by cell name."""
        said: dict[str, str] = {}
        mark = f"+hydra.job.env_set.{FIRST_PROCESS}='{socket.gethostname()}:{os.getpid()}'"
        words = [[*job.words, *job.added, mark] for job in todo]
        # Submitit's local executor starts everything that it is given at once.
        size = self.workers([job.cell for job in todo]) if self._choice == "submitit_local" else len(words)
        for first in range(0, len(words), size):
            batch = todo[first : first + size]
            try:
                ends = self._launcher.launch(words[first : first + size], initial_job_idx=first)
            except Exception as error:  # a job's process died outside its cell, or the launcher's own machinery failed
                said |= {job.cell.cell_name: f"{self._choice}: {first_line(error)}" for job in batch}
                continue
            for job, end in zip(batch, ends, strict=True):
                if end.status == JobStatus.FAILED:  # its value would raise the error
                    said[job.cell.cell_name] = first_line(end._return_value)
        return said
