"""Runs jobs that are chosen one after the other: what is next is asked for whenever a worker is idle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from scaling.compose.composer import Job
from scaling.records.cell_folder import is_due, record_stamp, recorded_status
from scaling.sweep.cell_queue import Reach
from scaling.sweep.pool import Pool
from scaling.sweep.progress import Progress
from scaling.sweep.run_cells import Outcome, print_failures
from scaling.sweep.runners import PoolRunner, Runner

Chooser = Callable[[Collection[str], int], Sequence[Job]]  # the names under way, and how many there is room for


def run_chosen(choose: Chooser, runner: Runner, workers: int) -> Outcome:
    """Runs what `choose` returns until it returns nothing and nothing runs.

    Args:
        choose: returns the next jobs; nothing as long as something runs means that it waits for results.
        runner: the project's own pool asks whenever a worker is idle, other launchers run batch after batch.
        workers: how many run side by side.
    """
    if isinstance(runner, PoolRunner):
        with Pool(workers) as pool:
            return _stream(choose, pool)
    finished = 0
    failures: dict[str, str] = {}
    while batch := list(choose((), workers)):
        outcome = runner.run(batch)
        finished += outcome.finished
        failures |= outcome.failures
    return Outcome(finished, 0, failures)


def _stream(choose: Chooser, pool: Pool) -> Outcome:
    reach = Reach([], {}, Progress([], total=0, skipped=0, workers=pool.count, quiet=True))
    skipped = 0

    def more(busy: Collection[str], room: int) -> bool:
        nonlocal skipped
        while jobs := choose(busy, room):
            for job in jobs:
                stamp = record_stamp(job.cell.folder)
                if is_due(recorded_status(job.cell), job.cell.retry):
                    reach.add(job.cell, stamp)
                else:
                    skipped += 1  # another command has run it
            if reach.queue:
                return True
        return False

    reach.run(pool, fail_fast=False, more=more)
    print_failures(reach.failures)
    return Outcome(len(reach.reached) + skipped, skipped, reach.failures)
