"""One command over many cells: says what they will cost, then runs, tunes or checks them."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from scaling.compose.composer import Composer, Job
from scaling.compose.study_config import StudyConfig
from scaling.config import CellConfig, ConfigError
from scaling.config.model_config import ARCHITECTURE
from scaling.records.question import source_recipe
from scaling.records.words import key_of
from scaling.study.double_budget import budget_jobs
from scaling.study.price import price, sentence
from scaling.study.tune import tune
from scaling.study.tuner import Asker, TrialFailed, Tuner, asker_of
from scaling.sweep.run_cells import Outcome, cells_due, check_ready, make_ready
from scaling.sweep.runners import Runner
from scaling.sweep.torchrun import started_by_torchrun
from scaling.tracking import closing_lines


def without_grids(jobs: Sequence[Job], keys: Sequence[str]) -> list[Job]:
    """The jobs without those that only vary a recipe's setting: the recipe's own trials are that grid."""

    def rest(job: Job) -> tuple[str, ...]:
        return tuple(sorted(word for word in job.words if key_of(word) not in keys))

    plain = {rest(job) for job in jobs if not any(job.sets(key) for key in keys)}
    kept = [job for job in jobs if not any(job.sets(key) for key in keys) or rest(job) not in plain]
    if len(kept) < len(jobs):
        print(f"recipe: {len(jobs) - len(kept)} cells that vary {', '.join(keys)} are left out", file=sys.stderr)
    return kept


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Thousands of cells are kept, and none is garbage: looking for it takes a third of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def compose_jobs(composer: Composer, words: Sequence[Sequence[str]]) -> list[Job]:
    """The jobs of these words.

    Raises:
        ConfigError: a cell cannot work, or two models of one name would share a curve.
    """
    with no_collection():
        jobs = [composer.job(job) for job in words]
    _check_probes(jobs)
    _check_starts(jobs)
    shapes: dict[Asker, dict[str, object]] = {}
    for job in jobs:
        asker = asker_of(job)
        mine = {key: getattr(job.cell.model, key) for key in ARCHITECTURE}
        other = shapes.setdefault(asker, mine)
        if mine != other:
            apart = ", ".join(f"{key} {other[key]} and {mine[key]}" for key in ARCHITECTURE if mine[key] != other[key])
            raise ConfigError(f"two models are called {asker[0]} ({apart}): one curve would mix them; without "
                              "model.name= the results name each after what was changed")  # fmt: skip
    return jobs


def _check_probes(jobs: Sequence[Job]) -> None:
    """Refuses probes that differ in their seed alone: they are one result, and would count as several."""
    known: dict[tuple[Any, ...], int] = {}
    for job in jobs:
        cell = job.cell
        if cell.adaptation == "probe":
            same = dataclasses.replace(cell, seed=0)
            if known.setdefault((cell.model_label, same.config_hash), cell.seed) != cell.seed:
                raise ConfigError("probes of the same images and weights with several seeds are one probe; give every "
                                  "seed images of its own, as it has without data.subset_seed=")  # fmt: skip


def _check_starts(jobs: Sequence[Job]) -> None:
    """Refuses two starting points under one model's name, unless one recipe made them and they differ in their
    pre-training size or seed."""
    recipes: dict[tuple[Any, ...], tuple[str, str | None]] = {}
    prints: dict[tuple[Any, ...], str] = {}
    for job in jobs:
        cell, facts = job.cell, job.cell.start_facts
        if cell.start is None or cell.untrained or cell.start_problem:
            continue
        asker = (*asker_of(job), cell.adaptation)
        made = (source_recipe(cell.start), facts.data)
        other = recipes.setdefault(asker, made)
        # Weights of one recipe, size and seed are the same ones, wherever they lie.
        same = prints.setdefault((*asker, facts.size, cell.seed), cell.start_fingerprint)
        if made != other or same != cell.start_fingerprint:
            names = f" ({other[0]}, {made[0]})" if made[0] != other[0] else ""
            raise ConfigError(f"{asker[0]} stands for two starting points{names}: one curve would mix them; a sweep "
                              "of its own for each, or model.name= gives each a name of its own")  # fmt: skip


def plan(composer: Composer, words: Sequence[Sequence[str]]) -> list[Job]:
    """The jobs that a command without `tune` is to bring to their records.

    Raises:
        ConfigError: a cell or an option cannot work.
    """
    if not words:
        raise ConfigError("the sweep has no cells")
    study = composer.study(words[0])
    jobs = compose_jobs(composer, words)
    if study.recipe:
        jobs = without_grids(jobs, composer.recipe_keys(study))
    return budget_jobs(composer, jobs, study.check_at) if study.check == "budget" else jobs


def _say_cost(cells: Sequence[CellConfig], runner: Runner, *, more: str = "") -> None:
    cost = price(cells, workers=runner.workers(cells) if cells else None, own_gpus=runner.own_gpus)
    print(sentence(cost) + more, file=sys.stderr, flush=True)


def _check_start(cells: Sequence[CellConfig], *, dry_run: bool) -> None:
    """The same checks whether the cells are to run or not; a dry run downloads nothing and leaves no folder."""
    if dry_run:
        check_ready(cells, download=False)
    else:
        make_ready(cells)


def run_study(composer: Composer, words: Sequence[Sequence[str]], runner: Runner) -> tuple[Outcome | None, CellConfig]:
    """Everything that `sweeps=NAME` with its options does: (the outcome, None of a dry run; one of its cells).

    Args:
        composer: composes jobs.
        words: the overrides of every cell.
        runner: brings jobs to records.

    Raises:
        ConfigError: a cell or an option cannot work; nothing has been started.
    """
    study = composer.study(words[0])
    if study.tune is not None:
        jobs = compose_jobs(composer, words)
        return _tune(composer, jobs, study, runner), jobs[0].cell
    jobs = plan(composer, words)
    if not started_by_torchrun():  # its processes share one cell: the first of them makes ready
        due = cells_due([job.cell for job in jobs])
        if due:  # what is refused is refused before anything is said
            _check_start(due, dry_run=study.dry_run)
        _say_cost(due, runner)
    return None if study.dry_run else runner.run(jobs), jobs[0].cell


def _tune(composer: Composer, jobs: Sequence[Job], study: StudyConfig, runner: Runner) -> Outcome | None:
    total = 0

    def run(trials: Sequence[Job]) -> None:
        nonlocal total
        total += runner.run(trials).finished

    tuner = Tuner(composer, jobs, study, run)
    _check_start(tuner.outline(), dry_run=study.dry_run)
    _say_cost(tuner.outline(), runner, more="; more if a grid grows, less for trials that are finished")
    if study.dry_run:
        return None
    try:
        tune(tuner, save=study.tuning.save, command=f"python -m scaling.train {shlex.join(sys.argv[1:])}")
    except TrialFailed as error:
        print(f"{tuner.key}: {error}", file=sys.stderr)
        return Outcome(finished=total, skipped=0, failures={tuner.key: str(error)})
    return Outcome(finished=total, skipped=0, failures={})  # a trial that diverged is an answer, not a failure


def finish(outcome: Outcome | None, cell: CellConfig) -> int:
    """Says what a command came to (None: a dry run) and returns the exit status."""
    if outcome is None:
        return 0
    place = f"{cell.out}/{cell.sweep}"
    left = f", {outcome.left} left" if outcome.left else ""
    print(
        f"{outcome.finished} cells finished ({outcome.skipped} before), {len(outcome.failures)} failed{left}: {place}"
    )
    if len(outcome.failures) + outcome.finished > outcome.skipped:
        for line in closing_lines(cell):
            print(line)
    return 1 if outcome.failures or outcome.left else 0
