"""Brings cells to their records: skips what is finished, runs the rest side by side, says in the end what failed.

A sweep is a set of cells to be reached: the same command, run again or beside itself, does what is left. Free of torch:
only the workers load it, and only if there is something to run.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.compose.start_facts import fetch_starts
from scaling.compose.start_weights import InitError
from scaling.config import CellConfig, ConfigError
from scaling.data.at_start import seen_at_start
from scaling.data.errors import DataError
from scaling.data.prepare import prepare
from scaling.data.sources.read import OWN
from scaling.records.cell_folder import is_due, lacks_weights, record_stamp, recorded_status, remove_leftovers
from scaling.records.files import cores
from scaling.records.lock import Busy, cell_lock
from scaling.sweep.cell_queue import Reach
from scaling.sweep.pool import Pool
from scaling.sweep.progress import Progress
from scaling.tracking import TrackingError, add_to_agents_run, check_tracking


@dataclass(frozen=True)
class Outcome:
    """What a sweep came to. `failures` maps a cell's name to what is known of its end."""

    finished: int
    skipped: int  # of the finished ones, those that were so before
    failures: dict[str, str]
    left: int = 0  # neither finished nor failed: fail_fast stopped the sweep before


def worker_count(cells: Sequence[CellConfig]) -> int:
    """As many as the cores allow at the cells' threads, unless the config says how many."""
    asked = cells[0].workers
    return min(len(cells), asked or max(1, cores() // max(cell.threads for cell in cells)))


@functools.cache
def _say_once(note: str) -> None:
    """A command makes ready before it says what its cells cost and again before it runs them."""
    print(f"note: {note}", file=sys.stderr)


def _refuse_new_copies(cells: Sequence[CellConfig]) -> None:
    """A set that was brought here after the cells got their names may have copies, which count in their names.

    Raises:
        ConfigError: it has; the next start knows of them.
    """
    for cell in cells:
        if cell.data.kind not in OWN and seen_at_start(cell.data) != cell.data_seen:
            raise ConfigError(
                f"{cell.data.kind} is in {cell.data.root} now, and has copies: start the same command again"
            )


def check_ready(cells: Sequence[CellConfig], *, download: bool = True) -> None:
    """Looks whether what the cells need is there, and says what was found. Nothing is left behind but caches.

    Args:
        download: False (a dry run): published data and weights that are not here are not brought here.

    Raises:
        ConfigError: something is missing or cannot be used.
    """
    try:
        check_tracking(cells)
    except TrackingError as error:
        raise ConfigError(str(error)) from error
    try:
        notes = prepare(cell.data for cell in cells if download or cell.data.kind in OWN)
        if download:
            _refuse_new_copies(cells)
            fetch_starts(cells)
    except (DataError, InitError) as error:
        raise ConfigError(str(error)) from error
    for note in notes:
        _say_once(note)


def make_ready(cells: Sequence[CellConfig]) -> None:
    """What must be there before the first worker starts.

    Raises:
        ConfigError: it is not, and cannot be had.
    """
    check_ready(cells)
    place = Path(cells[0].out) / cells[0].sweep
    try:
        with cell_lock(place):  # the sweep's own folder: only to see that files can be made and locked there
            pass
    except Busy:
        pass
    except OSError as error:
        raise ConfigError(f"{place} cannot be written: {error.strerror}; choose another out=") from error


def print_failures(failures: dict[str, str]) -> None:
    """A table of what did not finish and why."""
    if failures:
        width = max(len(name) for name in failures)
        print(f"not finished ({len(failures)}):", file=sys.stderr)
        for name, text in failures.items():
            print(f"  {name:<{width}}  {text}", file=sys.stderr)


def cells_due(cells: Iterable[CellConfig]) -> list[CellConfig]:
    """The cells that a run would start, each once.

    Raises:
        ConfigError: a folder holds another cell's record.
    """
    unique = {(cell.folder, cell.config_hash): cell for cell in cells}.values()
    statuses = [(cell, recorded_status(cell)) for cell in unique if not cell.start_problem]
    return [cell for cell, status in statuses if is_due(status, cell.retry) or lacks_weights(cell, status)]


def run_cells(cells: Iterable[CellConfig], *, pool: Pool | None = None, quiet: bool = False) -> Outcome:
    """Runs those cells that are not finished yet; the same cell by two roads is one cell.

    Args:
        cells: the cells of one sweep.
        pool: workers that stay alive after it (`kept_pool()` is one); by default the sweep has its own.
        quiet: no progress and no table: the caller says what came of it.

    Raises:
        ConfigError: a folder holds another cell's record, or cannot be written.
        PoolError: no worker starts here.
    """
    unique = list({(cell.folder, cell.config_hash): cell for cell in cells}.values())
    if not unique:
        raise ConfigError("the sweep has no cells")
    waiting = {cell.cell_name: cell.start_problem for cell in unique if cell.start_problem}
    if waiting:  # the others go on without them
        unique = [cell for cell in unique if not cell.start_problem]
        if not quiet:
            print_failures(waiting)
        rest_of = run_cells(unique, pool=pool, quiet=quiet) if unique else Outcome(0, 0, {})
        return dataclasses.replace(rest_of, failures=waiting | rest_of.failures)
    stamps = {cell.cell_name: record_stamp(cell.folder) for cell in unique}  # before the records are read
    statuses = {cell.cell_name: recorded_status(cell) for cell in unique}
    stamps |= {name: None for name, status in statuses.items() if status is None}
    due = {
        cell.cell_name: cell
        for cell in unique
        if is_due(statuses[cell.cell_name], cell.retry) or lacks_weights(cell, statuses[cell.cell_name])
    }
    rest = [cell for cell in unique if cell.cell_name not in due]
    failures = {
        cell.cell_name: f"{statuses[cell.cell_name]} before; retry={statuses[cell.cell_name]} runs it again"
        for cell in rest
        if statuses[cell.cell_name] != "finished"
    }
    for cell in rest:
        if statuses[cell.cell_name] == "finished":
            remove_leftovers(cell)
            add_to_agents_run(cell)
    skipped, left = len(rest) - len(failures), 0
    if due:
        make_ready(list(due.values()))
        count = pool.count if pool else worker_count(list(due.values()))
        where = Path(unique[0].out) / unique[0].sweep
        progress = Progress(list(due.values()), total=len(unique), skipped=len(rest), workers=count, quiet=quiet)
        progress.start(f"{where}: {len(unique)} cells, {skipped} finished before, {min(len(due), count)} at a time")
        reach = Reach(list(due.values()), stamps, progress)
        workers = pool or Pool(count)
        try:
            reach.run(workers, fail_fast=unique[0].fail_fast)
        finally:
            left = len(reach.left) + len(workers.running)
            if pool is None or workers.running:  # the latter: the sweep ends before its cells do
                workers.close()
            progress.close()
            failures |= reach.failures | reach.gone()
            if not quiet:
                print_failures(failures)
    elif not quiet:
        print_failures(failures)
    return Outcome(len(unique) - left - len(failures), skipped, failures, left)
