"""Hydra sweeper `crossover`: of the cells of a sweep it runs those that the answer needs, and stops when it is there.

    python -m scaling.train sweeps=NAME hydra/sweeper=crossover        # the same as design=adaptive

The cells are written as for the sweeper `cells`. The decisions are those of analysis/design; this plugin alone brings
both sides together: `scaling` composes, prices and runs, `analysis` chooses.
"""

import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from hydra_plugins.scaling_plugins.cells_sweeper import CellsSweeper


@dataclass
class CrossoverSweeperConfig:
    _target_: str = "hydra_plugins.scaling_plugins.crossover_sweeper.CrossoverSweeper"
    cells: list[Any] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="crossover", node=CrossoverSweeperConfig, provider="scaling")


class CrossoverSweeper(CellsSweeper):
    """The sweeper `cells` with design=adaptive."""

    def sweep(self, arguments: list[str]) -> Any:
        return super().sweep([*(a for a in arguments if not a.startswith("design=")), "design=adaptive"])


def sweep_adaptively(composer: Any, words: Sequence[Sequence[str]], launcher: Any, config: Any) -> int:
    """Runs the design and returns the exit status.

    Args:
        composer: composes the cells.
        words: of every cell of the space.
        launcher: Hydra's, already set up; None: the project's own workers.
        config: the sweep's composed config, its `hydra` node included.
    """
    from analysis.arguments import InputError
    from analysis.design.driver import Driver
    from analysis.design.plan_file import Plan
    from analysis.design.space import Candidate, Space, Target
    from scaling.config import ConfigError
    from scaling.records.files import duration
    from scaling.records.lock import Busy, cell_lock
    from scaling.records.question import question_of
    from scaling.study.price import seconds_each
    from scaling.study.run_study import finish, plan
    from scaling.sweep.run_cells import check_ready, make_ready
    from scaling.sweep.run_chosen import run_chosen
    from scaling.sweep.runners import HydraRunner, local_runner

    study = composer.study(words[0])
    jobs = {job.cell.cell_name: job for job in plan(composer, words)}
    cells = [job.cell for job in jobs.values()]
    (check_ready if study.dry_run else make_ready)(cells)
    questions = sorted({question_of(cell) for cell in cells})
    varying = [
        key
        for key in ("data", "locality", "image_size", "num_classes")
        if len({getattr(q, key) for q in questions}) > 1
    ]

    def label(cell: Any) -> str:
        own = question_of(cell)
        return ", ".join(f"{key} {getattr(own, key)}" for key in varying) or str(own.data)

    candidates = [
        Candidate(
            name,
            label(job.cell),
            job.cell.model.family,
            job.cell.model_label,
            float(job.cell.data.train_size),
            job.cell.seed,
            seconds,
            grid=job.sets("optim.lr"),
        )
        for (name, job), seconds in zip(jobs.items(), seconds_each(cells), strict=True)
    ]
    folder = Path(cells[0].out) / cells[0].sweep
    stop = study.stop
    try:
        target = Target(width=stop.width, p=stop.p, at=stop.at, cost=stop.seconds, verdict=stop.at_verdict)
        book = Plan(folder)
        book.refresh()
        space = book.fixed(candidates) if not study.dry_run else Space(tuple(candidates))
        driver = Driver(space, target, book, say=lambda line: print(f"design: {line}", file=sys.stderr, flush=True))
    except InputError as error:
        raise ConfigError(str(error)) from error
    runner = local_runner() if launcher is None else HydraRunner(launcher, config)
    workers = runner.workers(cells)
    print(
        f"design: a space of {len(cells)} cells, {duration(space.seconds / workers)} {workers} at a time; the whole"
        " grid is what design=grid runs",
        file=sys.stderr,
    )
    read = _reader(folder, jobs)
    if study.dry_run:
        for line in driver.outlook(read()):
            print(line)
        return 0
    begun, before = time.monotonic(), book.elapsed

    def choose(busy: Collection[str], room: int) -> list[Any]:
        while True:
            try:
                with cell_lock(folder):  # two commands share the plan
                    book.refresh()
                    names = driver.more(read(), busy, room, before + time.monotonic() - begun)
                return [jobs[name] for name in names]
            except Busy:
                time.sleep(0.1)

    outcome = run_chosen(choose, runner, workers)
    status = finish(outcome, cells[0])
    spent = sum(c.seconds for c in space.candidates if c.name in set(book.chosen))
    print(
        f"design: {len(book.chosen)} of {len(cells)} cells, {spent / space.seconds:.0%} of the grid's training time;"
        f" {book.path}",
        file=sys.stderr,
    )
    return status


def _reader(folder: Path, jobs: Collection[str]) -> Callable[[], Any]:
    """Returns the rows of the space's cells that have ended; they are read again only where a record has changed."""
    known: dict[str, Any] = {"stamps": None}

    def read() -> Any:
        stamps = {name: stamp for name in jobs if (stamp := record_stamp(folder / name)) is not None}
        if stamps != known["stamps"]:
            known.update(stamps=stamps, rows=_read_rows(folder, jobs))
        return known["rows"]

    from scaling.records.cell_folder import record_stamp

    return read


def _read_rows(folder: Path, jobs: Collection[str]) -> Any:
    """The rows of the space's cells that have ended."""
    import pandas as pd

    from analysis.arguments import InputError, TableArguments
    from analysis.estimator.rows.table import read_results
    from scaling.records.record import find_records

    if not folder.is_dir() or not find_records(folder):
        return pd.DataFrame({"name": []})
    try:
        table = read_results(TableArguments(results=(folder,))).table
    except InputError as error:
        from scaling.config import ConfigError

        raise ConfigError(str(error)) from error
    return table[table["name"].isin(list(jobs))].reset_index(drop=True)
