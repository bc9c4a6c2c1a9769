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
    """(best rate, rates tried) at the grid's size and seed 0, by validation error; None before any is there."""
    tried = {
        lr: r.val_error
        for (m, n, seed, lr), r in done.items()
        if (m, n, seed) == (model, design.grid_size, 0) and r.val_error is not None
    }
    failed = [lr for (m, n, seed, lr), r in done.items() if (m, n, seed) == (model, design.grid_size, 0)]
    return (min(sorted(tried), key=lambda lr: tried[lr]), sorted(failed)) if tried else None


def next_rates(best: float, tried: list[float]) -> list[float]:
    """The neighbours of the best rate that were not tried: a grid grows until its best lies inside."""
    wanted = (best / GRID, best * GRID)
    return [float(f"{lr:.6g}") for lr in wanted if not any(abs(lr / t - 1) < 0.05 for t in tried)]


def run_pilot(sweeps: Sweeps, root: Path, design: Design, rates: Rates, images: int) -> Progress:
    """Grid, then seed after seed as long as the next one fits; never past the clock's deadline.

    Raises:
        InputError: as `Sweeps.run`.
    """
    chosen: dict[str, float] = {}
    try:
        cells = [
            (m, design.grid_size, 0, float(f"{rates.lr[m] * f:.6g}"))
            for m in design.models
            for f in (1 / GRID, 1, GRID)
        ]
        for _ in range(4):
            due = [c for c in cells if c not in _done(sweeps)]
            if due:
                sweeps.say(f"learning rates at {design.grid_size:,} images: {len(due)} runs")
                sweeps.run(root, sweeps.sweep, _cells_text(due), design.overrides)
            done, cells = _done(sweeps), []
            for model in design.models:
                best = _best(design, done, model)
                if best is not None:
                    cells += [(model, design.grid_size, 0, lr) for lr in next_rates(*best)]
            if not cells:
                break
        for model in design.models:
            best = _best(design, _done(sweeps), model)
            if best is None:
                raise InputError(f"{model} failed at every learning rate: {last_line(sweeps.log, 0)}")
            chosen[model] = best[0]
        for seed in range(MAX_SEEDS):
            due = [
                (m, n, seed, chosen[m])
                for m in design.models
                for n in design.sizes
                if (m, n, seed, chosen[m]) not in _done(sweeps)
            ]
            expected = sweep_seconds(design, _measured(design, rates, _done(sweeps)), [c[:2] for c in due], images)
            if due and seed and expected > sweeps.clock.left():
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
        seconds = sum(r.train_seconds or 0.0 for (m, *_), r in done.items() if m == model)
        promised = sum(
            cell_seconds(design, rates, m, n) for (m, n, *_), r in done.items() if m == model and r.train_seconds
        )
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
