"""A design in, its sweeps run as far as the time allows: a learning-rate grid, then all sizes, a seed at a time.

Whatever is recorded is never run again, so that the same command goes on where an earlier one stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.arguments import InputError
from analysis.pilot_plan import GRID, MAX_SEEDS, Design, Rates, cell_seconds, sweep_seconds
from analysis.pilot_sweep import Sweeps, TimeUp, grid_text, last_line, records
from scaling.record import Record

Cell = tuple[str, int, int, float]  # model, size, seed, learning rate
EXTENSIONS = 2  # times that a grid grows towards a best rate at its edge


def _cells_text(cells: Iterable[Cell]) -> str:
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
class Progress:
    """What a pilot has reached. `seeds` are complete ones: every model at every size at its chosen rate."""

    rates: Mapping[str, float]  # chosen learning rate per model; empty before the grid is done
    seeds: tuple[int, ...]
    complete: bool  # nothing more would fit, or MAX_SEEDS are there


def _done(sweeps: Sweeps) -> dict[Cell, Record]:
    return {(r.model, r.train_size, r.seed, float(f"{r.lr:.6g}")): r for r in records(sweeps.folder)}


def _best(design: Design, done: Mapping[Cell, Record], model: str) -> tuple[float, list[float]] | None:
    """(best rate, rates tried) at the grid's size, by mean validation error; None before any rate has all its seeds.

    Every rate is judged on the same seeds: one that was lucky once would beat one that was tried twice.
    """
    tried = sorted({lr for (m, n, _, lr) in done if (m, n) == (model, design.grid_size)})
    means: dict[float, float] = {}
    for lr in tried:
        runs = [done.get((model, design.grid_size, seed, lr)) for seed in range(design.seeds)]
        errors = [r.val_error for r in runs if r is not None and r.val_error is not None]
        if len(errors) == design.seeds:
            means[lr] = sum(errors) / len(errors)
    return (min(means, key=lambda lr: means[lr]), tried) if means else None


def next_rates(best: float, tried: list[float]) -> list[float]:
    """The neighbours of the best rate that were not tried: a grid grows until its best lies inside."""
    wanted = (best / GRID, best * GRID)
    return [float(f"{lr:.6g}") for lr in wanted if not any(abs(lr / t - 1) < 0.05 for t in tried)]


def _tune(sweeps: Sweeps, root: Path, design: Design, rates: Rates) -> dict[str, float]:
    """Runs the grids, which grow towards a best rate at their edge, and returns each model's best rate."""
    wanted = {m: [float(f"{rates.lr[m] * f:.6g}") for f in (1 / GRID, 1, GRID)] for m in design.models}
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
            best = _best(design, _done(sweeps), model)
            if best is None:
                raise InputError(f"{model} failed at every learning rate: {last_line(sweeps.log, 0)}")
            chosen[model], wanted[model] = best[0], next_rates(*best)
    return chosen


def run_pilot(sweeps: Sweeps, root: Path, design: Design, rates: Rates, images: int) -> Progress:
    """Grid, then seed after seed as long as the next one fits; never past the clock's deadline.

    Raises:
        InputError: as `Sweeps.run`.
    """
    chosen: dict[str, float] = {}
    try:
        chosen = _tune(sweeps, root, design, rates)
        tuned = {(m, lr) for (m, n, seed, lr) in _done(sweeps) if (n, seed) == (design.grid_size, 0)}
        for seed in range(MAX_SEEDS):
            wanted = [(m, n, seed, chosen[m]) for m in design.models for n in design.sizes]
            # The rates that were tried come with every seed, so that their means stay comparable.
            wanted += [(m, design.grid_size, seed, lr) for m, lr in sorted(tuned) if lr != chosen[m]]
            done = _done(sweeps)
            due = [cell for cell in wanted if cell not in done]
            expected = sweep_seconds(design, _measured(design, rates, done), [c[:2] for c in due], images)
            if due and seed >= design.seeds and expected > sweeps.clock.left():
                return _progress(sweeps, design, chosen, complete=True)
            if due:
                sweeps.say(f"seed {seed}: {len(due)} runs at {len(design.sizes)} sizes, about {expected:.0f} s")
                sweeps.run(root, sweeps.sweep, _cells_text(due), design.overrides)
        return _progress(sweeps, design, chosen, complete=True)
    except TimeUp:
        return _progress(sweeps, design, chosen, complete=False)


def _measured(design: Design, rates: Rates, done: Mapping[Cell, Record]) -> Rates:
    """The rates as the runs so far had them, which is better knowledge than the few steps of the probe."""
    found = {m: dict(by_size) for m, by_size in rates.images_per_second.items()}
    for model in design.models:
        own = [(n, r.train_seconds) for (m, n, *_), r in done.items() if m == model and r.train_seconds]
        seconds = sum(s for _, s in own)
        promised = sum(cell_seconds(design, rates, model, n) for n, _ in own)
        if seconds > 0 and promised > 0:
            found[model] = {design.image_size: rates.of(model, design.image_size) * promised / seconds}
    return Rates(found, rates.lr, rates.workers, rates.start_seconds, rates.decode_seconds)


def _progress(sweeps: Sweeps, design: Design, chosen: Mapping[str, float], *, complete: bool) -> Progress:
    done = _done(sweeps)
    whole = [
        seed
        for seed in range(MAX_SEEDS)
        if chosen and all((m, n, seed, chosen[m]) in done for m in design.models for n in design.sizes)
    ]
    return Progress(dict(chosen), tuple(whole), complete)
