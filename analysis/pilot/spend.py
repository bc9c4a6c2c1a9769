"""Spends the time that the planned seeds leave on the runs that tell most, and says what double the time would buy.

What may be run are more seeds of the plan's sizes, at the chosen rates. The choice is the adaptive design's
(analysis/design), made batch after batch: every batch is a sweep that has to start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pandas as pd

from analysis.arguments import TableArguments
from analysis.design.belief import believe
from analysis.design.designer import DesignQuestion, next_run
from analysis.design.gain import after_all, bits_left, narrowing
from analysis.design.plan_file import Plan
from analysis.design.space import Candidate, Target
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.rows.metric import metric_of
from analysis.estimator.rows.table import read_results
from analysis.pilot.plan import MAX_SEEDS, Design, MachineRates, cell_seconds, sweep_seconds
from scaling.records.record import Record

ASKED = "pilot"
STARTS = 4.0  # a batch is to train for so many times as long as a sweep takes to start
Wanted = tuple[str, int, int]  # model, size, seed


def _candidates(design: Design, rates: MachineRates, names: Mapping[Wanted, str]) -> dict[Wanted, Candidate]:
    """All that may be run, by model, size and seed; `names`: of the records that are there."""
    families = {design.pair.vit: "vit", design.pair.cnn: "cnn"}
    return {
        (m, n, s): Candidate(
            names.get((m, n, s), f"{m}-n{n}-s{s}"),
            ASKED,
            families[m],
            m,
            float(n),
            s,
            max(cell_seconds(design, rates, m, n), 1e-3),
        )
        for m in design.models
        for n in design.sizes
        for s in range(MAX_SEEDS)
    }


def _rows(folder: Path) -> pd.DataFrame:
    return read_results(TableArguments(results=(folder,))).table


def _look(folder: Path, candidates: Collection[Candidate]) -> tuple[DesignQuestion, Crossover | None, set[str]]:
    """What the runs so far say, and the names of those that have ended."""
    question = DesignQuestion(ASKED, tuple(candidates), Target(), metric_of("test_error"))
    rows = _rows(folder)
    _, crossover = question.look(rows)
    return question, crossover, set(rows["name"])


def choose_runs(
    folder: Path, design: Design, rates: MachineRates, done: Mapping[Wanted, Record], *, seconds: float, images: int
) -> list[Wanted]:
    """The runs that tell most, as many as one sweep is worth and the time allows; none where nothing more fits.

    Args:
        folder: of the pilot's records.
        rates: the speed, as measured.
        done: the runs at the chosen rates.
        seconds: that are left.
        images: that a sweep decodes as it starts.
    """
    space = _candidates(design, rates, {key: record.name for key, record in done.items()})
    question, crossover, ended = _look(folder, space.values())
    if crossover is None:
        return []
    keys = {c.name: key for key, c in space.items()}
    picked: list[Candidate] = []
    enough = min(STARTS * rates.start_seconds, seconds)
    while sum(c.seconds for c in picked) / rates.workers < enough:
        choice = next_run(question, crossover, ended, picked)
        if choice is None:
            break
        cells = [keys[c.name][:2] for c in (*picked, choice.candidate)]
        if sweep_seconds(design, rates, cells, images) > seconds:
            break
        picked.append(choice.candidate)
    return [keys[c.name] for c in picked]


def note_design(folder: Path, records: Iterable[Record]) -> None:
    """Tells the audit, by a plan beside the runs, that sizes were meant to have unequal seeds."""
    plan = Plan(folder)
    plan.refresh()
    plan.learn(
        [
            Candidate(r.name, ASKED, r.family, r.model, float(r.train_size), r.seed, r.train_seconds or 1.0)
            for r in sorted(records, key=lambda record: record.name)
        ]
    )


def double_time(
    folder: Path, design: Design, rates: MachineRates, done: Mapping[Wanted, Record], *, seconds: float
) -> str:
    """What as many more `seconds` are expected to buy, in one sentence; empty where there is no curve yet."""
    space = _candidates(design, rates, {key: record.name for key, record in done.items()})
    question, crossover, ended = _look(folder, space.values())
    belief = None if crossover is None else believe(crossover, question.candidates, question.target)
    if crossover is None or belief is None:
        return ""
    picked: list[Candidate] = []
    while sum(c.seconds for c in picked) / rates.workers < seconds:
        choice = next_run(question, crossover, ended, picked)
        if choice is None:
            break
        picked.append(choice.candidate)
    if not picked:
        return f"each size has {MAX_SEEDS} seeds: double the time would allow more images or pixels instead"
    later = after_all(belief, picked)
    text = f"double the time would buy {len(picked)} more runs at these sizes: "
    place = crossover.verdict.crossover_size
    if place is not None:
        return f"{text}the crossing's interval about {narrowing(belief, later, place):.1f} times narrower"
    now, then = bits_left(belief, belief.covariance), bits_left(belief, later)
    return f"{text}of who leads at which size, {now:.2f} bits are open, then about {then:.2f}"
