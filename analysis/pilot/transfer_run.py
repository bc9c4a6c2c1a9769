"""Runs a pilot from weights: all probes, then fine-tunes around the crossing as far as the time allows.

Whatever is recorded is never run again, so that the same command goes on where an earlier one stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analysis.arguments import InputError, TableArguments
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.questions import find_crossovers
from analysis.pilot.sweep import Sweeps, TimeUp, records
from analysis.pilot.transfer import CHAINS, PilotStart, TransferDesign, shared_words
from scaling.records.record import Record
from scaling.records.words import round_setting

TUNE_BATCH = 32
PASSES = 20.0  # over the images of a fine-tune
FEWEST_STEPS = 60
RATE_STEP = 4.0  # between rates
BELOW = (1.0, 1 / RATE_STEP, 1 / RATE_STEP**2)  # times the rate from scratch: fine-tunes want lower ones
FURTHER = 2  # rates that may follow while the best is at an edge
BACKWARD = 3.0  # a step's arithmetic over that of the forward pass that extraction takes


@dataclass
class TransferProgress:
    """What a pilot from weights has reached, and what it cost."""

    probed: bool = False  # all probes are there
    probe_seconds: float = 0.0  # of this call, extraction included
    tuned_sizes: list[int] = field(default_factory=list)
    tune_seconds: float = 0.0
    stopped: bool = False
    why_not: str = ""  # nothing was fine-tuned


def steps_at(size: int) -> int:
    return max(FEWEST_STEPS, round(PASSES * size / TUNE_BATCH))


def fine_tune_seconds(design: TransferDesign, size: int) -> float:
    """What one fine-tune of every checkpoint takes, as extraction has it."""
    return sum(design.seconds_per_image.values()) * BACKWARD * steps_at(size) * TUNE_BATCH


def frozen_answer(sweeps: Sweeps) -> Crossover:
    """The verdict on the probes alone.

    Raises:
        InputError: there are too few.
    """
    [found] = find_crossovers(TableArguments(results=(sweeps.folder,), filters={"adapt": ("probe",)}))
    return found


def around(sizes: Sequence[int], crossing: float | None) -> list[int]:
    """The size next to the crossing, its neighbours, and today's; the largest ones where nothing crosses."""
    order = sorted(sizes)
    aim = crossing if crossing and order[0] <= crossing <= order[-1] else order[-1]
    middle = min(range(len(order)), key=lambda i: abs(math.log(order[i] / aim)))
    wanted = [middle, middle + 1, middle - 1] if middle < len(order) - 1 else [middle, middle - 1, middle - 2]
    found = [order[i] for i in wanted if 0 <= i < len(order)]
    return found if order[-1] in found else [*found, order[-1]]


def _tuned(sweeps: Sweeps, size: int) -> list[Record]:
    return [r for r in records(sweeps.folder) if r.adapt == "full" and r.train_size == size]


def _fine_tune(sweeps: Sweeps, table: Path, starts: Sequence[PilotStart], design: TransferDesign, size: int) -> None:
    """Every checkpoint at one size: at its recipe's own rate and two lower ones, then further out while the best of one
    is at an edge; each gets as many."""
    words = [
        *shared_words(design.image_size, starts),
        f"optim.batch_size={TUNE_BATCH}",
        f"budget.steps={steps_at(size)}",
    ]
    words += [f"budget.at={size}", "budget.exponent=0"]
    if not {r.model for r in _tuned(sweeps, size)} >= set(design.models.values()):
        sweeps.run(table, sweeps.sweep, f"[{','.join(s.block('full', [size], [0]) for s in starts)}]", words)
    highest = {model: max((r.lr for r in _tuned(sweeps, size) if r.model == model), default=None)
               for model in design.models.values()}  # fmt: skip
    blocks = [
        start.block("full", [size], [0], optim__lr=[f"{round_setting(lr * f):.6g}" for f in BELOW[1:]])
        for start in starts
        if (lr := highest[design.models[start.name]]) is not None
    ]
    if len(_tuned(sweeps, size)) < len(BELOW) * len(starts):
        sweeps.run(table, sweeps.sweep, f"[{','.join(blocks)}]", words)
    for count in range(len(BELOW), len(BELOW) + FURTHER):
        tried = {name: _tried(sweeps, size, model) for name, model in design.models.items()}
        if min(map(len, tried.values())) > count:
            continue  # an earlier call has been here
        if not any(_best(rates) in (min(rates), max(rates)) for rates in tried.values() if rates):
            break
        blocks = [
            start.block("full", [size], [0], optim__lr=[f"{next_rate(tried[start.name]):.6g}"]) for start in starts
        ]
        sweeps.run(table, sweeps.sweep, f"[{','.join(blocks)}]", words)


def _tried(sweeps: Sweeps, size: int, model: str) -> dict[float, float]:
    """Validation error by rate; 1 of a run that diverged."""
    return {
        r.lr: 1.0 if r.val_error is None else r.val_error for r in _tuned(sweeps, size) if r.model == model
    }  # fmt: skip


def _best(rates: Mapping[float, float]) -> float:
    return min(rates, key=lambda lr: (rates[lr], lr))


def next_rate(rates: Mapping[float, float]) -> float:
    """The rate to try after these: beyond the edge that the best one is at, else beside it.

    Args:
        rates: validation error by rate, at least two.
    """
    best, low, high = _best(rates), min(rates), max(rates)
    factor = 1 / RATE_STEP if best == low else RATE_STEP if best == high else 1 / math.sqrt(RATE_STEP)
    wanted = round_setting(best * factor)
    return wanted if wanted not in rates else round_setting(best * math.sqrt(RATE_STEP))


def run_transfer(sweeps: Sweeps, table: Path, starts: Sequence[PilotStart], design: TransferDesign) -> TransferProgress:
    """Probes, then fine-tunes; never past the clock's deadline."""
    progress, begun = TransferProgress(), time.monotonic()
    try:
        blocks = [start.block("probe", design.sizes, range(CHAINS)) for start in starts]
        sweeps.say(
            f"features of {design.image_size} pixels, about {design.extraction_seconds:.0f} s, then"
            f" {len(starts) * len(design.sizes) * CHAINS} probes"
        )
        sweeps.run(table, sweeps.sweep, f"[{','.join(blocks)}]", shared_words(design.image_size, starts))
        progress.probed = True
    except TimeUp:
        progress.stopped = True
    progress.probe_seconds = time.monotonic() - begun
    if progress.probed:
        _tune_all(sweeps, table, starts, design, progress)
    return progress


def _tune_all(
    sweeps: Sweeps, table: Path, starts: Sequence[PilotStart], design: TransferDesign, progress: TransferProgress
) -> None:
    begun = time.monotonic()
    try:
        for size in around(design.sizes, frozen_answer(sweeps).verdict.crossover_size):
            expected = len(BELOW) * fine_tune_seconds(design, size)
            if progress.tuned_sizes:  # as measured
                done = progress.tuned_sizes[-1]
                expected = (time.monotonic() - begun) / len(progress.tuned_sizes) * steps_at(size) / steps_at(done)
            if expected > sweeps.clock.left():
                cost = f"about {expected:.0f} s at {size:,} images, {sweeps.clock.left():.0f} s are left"
                progress.why_not = "" if progress.tuned_sizes else cost
                break
            sweeps.say(f"fine-tuning at {size:,} images, about {expected:.0f} s")
            _fine_tune(sweeps, table, starts, design, size)
            progress.tuned_sizes.append(size)
    except TimeUp:
        progress.stopped = True
        progress.why_not = "" if progress.tuned_sizes else "the time was over"
    except InputError as error:
        progress.why_not = str(error)
    progress.tune_seconds = time.monotonic() - begun
