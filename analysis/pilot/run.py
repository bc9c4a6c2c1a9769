"""Runs a design's sweeps as far as the time allows: a learning-rate grid, all sizes with the planned seeds, then more
seeds where they tell most.

Whatever is recorded is never run again, so that the same command goes on where an earlier one stopped.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.arguments import InputError
from analysis.pilot.plan import MAX_SEEDS, RATE_GRID, Design, MachineRates, cell_seconds, sweep_seconds
from analysis.pilot.spend import Wanted, choose_runs, double_time, note_design
from analysis.pilot.sweep import Sweeps, TimeUp, grid_text, log_line, records
from scaling.records.record import Record
from scaling.records.words import round_setting

PilotCell = tuple[str, int, int, float]  # model, size, seed, learning rate
EXTENSIONS = 2  # times that a grid grows towards a best rate at its edge


def _cells_text(cells: Iterable[PilotCell]) -> str:
    """Cells as a list of grids: those of a model and rate together."""
    blocks: dict[tuple[str, float, int], list[int]] = {}
    for model, size, seed, lr in cells:
        blocks.setdefault((model, lr, seed), []).append(size)
    grids: list[dict[str, list[Any]]] = [
        {"model": [model], "optim.lr": [f"{lr:.6g}"], "seed": [seed], "data.train_size": sorted(set(sizes))}
        for (model, lr, seed), sizes in sorted(blocks.items())
    ]
    return "[" + ",".join(map(grid_text, grids)) + "]"


@dataclass(frozen=True)
class PilotProgress:
    """What a pilot has reached. `seeds` are complete ones: every model at every size at its chosen rate."""

    rates: Mapping[str, float]  # chosen learning rate per model; empty before the grid is done
    seeds: tuple[int, ...]
    complete: bool  # nothing more would fit, or MAX_SEEDS are there
    more: str = ""  # what double the time would buy


def _as_recorded(lr: float) -> float:
    """Keeps the rate of a record or recipe as it stands: runs whose rates agree in six digits are of one rate."""
    return float(f"{lr:.6g}")


def _first_grid(lr: float) -> list[float]:
    """Returns the recipe's own rate between two new ones."""
    return [round_setting(lr / RATE_GRID), _as_recorded(lr), round_setting(lr * RATE_GRID)]


def _done(sweeps: Sweeps) -> dict[PilotCell, Record]:
    return {(r.model, r.train_size, r.seed, _as_recorded(r.lr)): r for r in records(sweeps.folder)}


@dataclass(frozen=True)
class Tried:
    """A model's learning rates at the grid's size: mean validation error by rate, over the same seeds for all."""

    means: Mapping[float, float]
    images: int  # that validated, seeds counted apart
    rates: tuple[float, ...]  # with runs of whatever end

    @property
    def best(self) -> float:
        """What the analysis will fit; ties go to the lower rate, as there."""
        return min(sorted(self.means), key=lambda lr: self.means[lr])

    def choose(self, recipe: float) -> float:
        """The recipe's rate, unless the best beats it by more than one standard error of a few hundred images."""
        error = self.means.get(recipe, 1.0)
        noise = math.sqrt(max(error * (1 - error), 0.0) / max(1, self.images))
        return recipe if error - self.means[self.best] <= noise and recipe in self.means else self.best


def _tried(design: Design, done: Mapping[PilotCell, Record], model: str) -> Tried:
    """A rate that was lucky once would beat one that was tried twice: each needs all seeds of the plan."""
    rates = sorted({lr for (m, n, _, lr) in done if (m, n) == (model, design.grid_size)})
    means: dict[float, float] = {}
    images = 0
    for lr in rates:
        found = [done.get((model, design.grid_size, seed, lr)) for seed in range(design.seeds)]
        runs = [r for r in found if r is not None and r.val_error is not None]
        if len(runs) == design.seeds:
            means[lr] = sum(r.val_error or 0.0 for r in runs) / len(runs)
            images = sum(r.val_examples or 0 for r in runs)
    return Tried(means, images, tuple(rates))


def next_rates(best: float, tried: Sequence[float]) -> list[float]:
    """The neighbours of the best rate that were not tried: a grid grows until its best lies inside."""
    wanted = (best / RATE_GRID, best * RATE_GRID)
    return [round_setting(lr) for lr in wanted if not any(abs(lr / t - 1) < 0.05 for t in tried)]


def _tune(sweeps: Sweeps, root: Path, design: Design, rates: MachineRates) -> dict[str, float]:
    """Runs the grids, which grow towards a best rate at their edge, and returns each model's best rate."""
    wanted = {m: _first_grid(rates.lr[m]) for m in design.models}
    chosen: dict[str, float] = {}
    for _ in range(EXTENSIONS + 1):
        grid = [(m, design.grid_size, s, lr) for m in design.models for lr in wanted[m] for s in range(design.seeds)]
        due = [cell for cell in grid if cell not in _done(sweeps)]
        if not due and chosen:
            break
        if due:
            sweeps.say(f"learning rates at {design.grid_size:,} images: {len(due)} runs")
            sweeps.run(root, sweeps.sweep, _cells_text(due), design.overrides)
        for model in design.models:
            tried = _tried(design, _done(sweeps), model)
            if not tried.means:
                raise InputError(f"{model} failed at every learning rate: {log_line(sweeps.log, 0)}")
            chosen[model] = tried.choose(_as_recorded(rates.lr[model]))
            wanted[model] = next_rates(tried.best, tried.rates)
    return chosen


def run_pilot(sweeps: Sweeps, root: Path, design: Design, rates: MachineRates, images: int) -> PilotProgress:
    """Grid, the planned seeds, then the runs that tell most as long as some fit; never past the clock's deadline.

    Raises:
        InputError: as `Sweeps.run`.
    """
    chosen: dict[str, float] = {}
    try:
        chosen = _tune(sweeps, root, design, rates)
        tuned = {(m, lr) for (m, n, seed, lr) in _done(sweeps) if (n, seed) == (design.grid_size, 0)}
        for seed in range(design.seeds):
            wanted = [(m, n, seed, chosen[m]) for m in design.models for n in design.sizes]
            # The rates that were tried come with every seed, so that their means stay comparable.
            wanted += [(m, design.grid_size, seed, lr) for m, lr in sorted(tuned) if lr != chosen[m]]
            done = _done(sweeps)
            due = [cell for cell in wanted if cell not in done]
            expected = sweep_seconds(design, _measured(design, rates, done), [c[:2] for c in due], images)
            if due:
                sweeps.say(f"seed {seed}: {len(due)} runs at {len(design.sizes)} sizes, about {expected:.0f} s")
                sweeps.run(root, sweeps.sweep, _cells_text(due), design.overrides)
        _spend(sweeps, root, design, rates, chosen, images)
        more = _more(sweeps, design, rates, chosen)
        return dataclasses.replace(_progress(sweeps, design, chosen, complete=True), more=more)
    except TimeUp:
        return _progress(sweeps, design, chosen, complete=False)


def _at_chosen(sweeps: Sweeps, chosen: Mapping[str, float]) -> dict[Wanted, Record]:
    return {(m, n, s): r for (m, n, s, lr), r in _done(sweeps).items() if lr == chosen.get(m)}


def _spend(
    sweeps: Sweeps, root: Path, design: Design, rates: MachineRates, chosen: Mapping[str, float], images: int
) -> None:
    """Batches of the runs that tell most, until none fits or every size has MAX_SEEDS seeds."""
    while True:
        done = _at_chosen(sweeps, chosen)
        note_design(sweeps.folder, records(sweeps.folder))
        measured = _measured(design, rates, _done(sweeps))
        left = sweeps.clock.left()
        due = choose_runs(sweeps.folder, design, measured, done, seconds=left, images=images)
        if not due:
            return
        sweeps.say(f"seeds where they tell most: {len(due)} runs, {left:.0f} s are left")
        sweeps.run(root, sweeps.sweep, _cells_text((*key, chosen[key[0]]) for key in due), design.overrides)
        if not _at_chosen(sweeps, chosen).keys() & set(due):
            return  # runs that leave no record would be chosen again and again


def _more(sweeps: Sweeps, design: Design, rates: MachineRates, chosen: Mapping[str, float]) -> str:
    """What double the training time would buy, in one sentence."""
    done = _done(sweeps)
    seconds = sum(r.train_seconds or 0.0 for r in done.values()) / rates.workers
    measured = _measured(design, rates, done)
    return double_time(sweeps.folder, design, measured, _at_chosen(sweeps, chosen), seconds=seconds)


def _measured(design: Design, rates: MachineRates, done: Mapping[PilotCell, Record]) -> MachineRates:
    """The rates as the runs so far had them, which is better knowledge than the few steps of the probe."""
    found = {m: dict(by_size) for m, by_size in rates.images_per_second.items()}
    for model in design.models:
        own = [(n, r.train_seconds) for (m, n, *_), r in done.items() if m == model and r.train_seconds]
        seconds = sum(s for _, s in own)
        promised = sum(cell_seconds(design, rates, model, n) for n, _ in own)
        if seconds > 0 and promised > 0:
            found[model] = {design.image_size: rates.of(model, design.image_size) * promised / seconds}
    return MachineRates(found, rates.lr, rates.workers, rates.start_seconds, rates.decode_seconds)


def _progress(sweeps: Sweeps, design: Design, chosen: Mapping[str, float], *, complete: bool) -> PilotProgress:
    done = _done(sweeps)
    whole = [
        seed
        for seed in range(MAX_SEEDS)
        if chosen and all((m, n, seed, chosen[m]) in done for m in design.models for n in design.sizes)
    ]
    return PilotProgress(dict(chosen), tuple(whole), complete)
