"""Finds the cheapest further runs where advice cannot name a family, with the commands that make them.

Where the audit holds the runs back, each failed check has runs that fix it. Where the curves are too uncertain, runs
are weighed before they are made: draws of the two curves stand for the truth in turn, results are drawn from them, and
the other draws are weighted by how well they predict these results. The share of truths in which P(one family is
better) then reaches 0.9 is the chance that the runs settle the question (Raiffa and Schlaifer's preposterior analysis,
"Applied Statistical Decision Theory", 1961).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.advise.advice import Advice, at_size
from analysis.advise.repairs import REPAIRS, nice, seeds_of
from analysis.advise.train_commands import Cells, command, merge, results_out
from analysis.estimator.crossover.crossings import HORIZON, SEARCH
from analysis.estimator.crossover.verdict import AHEAD

_TRUTHS = 250
SETTLES = 0.5  # chance from which on runs are worth proposing
SEEDS = (1, 2, 4, 8)


@dataclass(frozen=True)
class NextRuns:
    """Runs that would settle the question. `chance`: that they do; None where they fix what the audit found."""

    cells: tuple[Cells, ...]
    commands: tuple[str, ...]  # empty for rows that cannot be run again
    seconds: float | None  # of one core or device, as measured so far
    chance: float | None
    unfixed: tuple[str, ...] = ()  # failed checks that no command fixes

    @property
    def runs(self) -> int:
        return sum(c.count for c in self.cells)


def _variance(advice: Advice, model: str, size: float) -> float:
    """Of the log error of one run: the spread over seeds and the noise of the test set."""
    curve = advice.crossover.families.curves[model]
    error = float(np.exp(np.median(curve.log_draws([size]))))
    rows = advice.crossover.selection.fitted
    images = rows["test_examples"].min() if "test_examples" in rows.columns else math.nan
    binomial = (1 - error) / (images * error) if images == images and error > 0 else 0.0
    return curve.points.tau**2 + max(0.0, float(binomial))


def chance_to_settle(advice: Advice, size: float, seeds: int) -> float:
    """The chance that `seeds` runs of both models at `size` bring P(one is better at the size asked for) to 0.9."""
    assert advice.sides is not None
    curves = advice.crossover.families.curves
    draws, noise, misfit = {}, np.random.default_rng(0), 0.0
    for family, side in advice.sides.items():
        draws[family] = curves[side.model].log_draws(np.array([size, float(advice.train_size)]))
    count = len(draws["vit"])
    truths = np.linspace(0, count - 1, min(_TRUTHS, count)).astype(int)
    for family, side in advice.sides.items():
        variance = _variance(advice, side.model, size) / seeds + 1e-8
        at = draws[family][:, 0]
        seen = at[truths] + math.sqrt(variance) * noise.standard_normal(len(truths))
        misfit = misfit + (seen[:, None] - at) ** 2 / variance
    weight = np.exp(-0.5 * (misfit - np.min(misfit, axis=1, keepdims=True)))
    vit_better = draws["vit"][:, 1] < draws["cnn"][:, 1]
    p = (weight @ vit_better) / weight.sum(axis=1)
    return float((np.maximum(p, 1 - p) >= AHEAD).mean())


def _seconds(advice: Advice, cells: tuple[Cells, ...]) -> float | None:
    rows, total = advice.crossover.selection.fitted, 0.0
    for c in cells:
        for size in c.sizes:
            one = at_size(rows[rows["model"] == c.model], "train_seconds", "train_size", size)
            if one is None:
                return None
            total += (
                one * len(c.seeds) * max(1, len(c.rates)) * (2 if any("budget.factor" in e for e in c.extra) else 1)
            )
    return total


def _propose(advice: Advice, available: float) -> tuple[tuple[Cells, ...], float] | None:
    """The cheapest runs, at one size up to `available`, with some chance to settle it; None where there are none."""
    assert advice.sides is not None
    assert advice.crossover.verdict.fit_range is not None
    low, high = advice.crossover.verdict.fit_range
    target = float(advice.train_size)
    beyond = (target / HORIZON, math.sqrt(high * target), target)
    sizes = {float(nice(s)) for s in beyond if s > 1.2 * high} | {high} | ({target} if low <= target <= high else set())
    rows = advice.crossover.selection.fitted
    options = []
    for size in sorted(s for s in sizes if s * HORIZON >= target * 0.95 and s <= available):
        for seeds in SEEDS:
            pair = []
            for side in advice.sides.values():
                first = max(seeds_of(rows[rows["model"] == side.model])) + 1
                pair.append(Cells(side.model, (int(size),), tuple(range(first, first + seeds))))
            cells = tuple(pair)
            options.append((_seconds(advice, cells) or seeds * size, size, seeds, cells))
    for _, size, seeds, cells in sorted(options, key=lambda o: o[0]):
        chance = chance_to_settle(advice, size, seeds)
        if chance >= SETTLES:
            return cells, chance
    return None


def _commands(advice: Advice, cells: tuple[Cells, ...], paths: tuple[Path, ...]) -> tuple[str, ...]:
    rows, lines = advice.crossover.selection.fitted, []
    for c in cells:
        own = rows[rows["model"] == c.model]
        if own.empty:
            return ()
        distance = np.log(own["train_size"] / c.sizes[-1]).abs()
        nearest = {str(k): v for k, v in own.loc[distance.idxmin()].items()}
        line = command(nearest, c, out=results_out(paths, nearest.get("sweep")))
        if line is None:
            return ()
        lines.append(line)
    return tuple(lines)


def _out_of_sight(advice: Advice) -> bool:
    """Whether the size asked for lies so far from the data that no runs near it are worth proposing."""
    return advice.too_small or (advice.extrapolation_factor or 0.0) > SEARCH


def next_runs(advice: Advice, paths: tuple[Path, ...] = (), *, available: float = math.inf) -> NextRuns | None:
    """What to run next; None where nothing is proposed: a family is named, or no affordable runs would name one.

    Args:
        paths: where the results lie, so that new runs land beside them.
        available: training images that there are: larger runs would be refused.
    """
    crossover = advice.crossover
    if advice.family is not None or crossover.axis != "train_size":
        return None
    chance: float | None = None
    unfixed: tuple[str, ...] = ()
    if crossover.failed_checks and crossover.audited:
        found: list[Cells] = []
        for check in crossover.failed_checks:
            cells = REPAIRS[check.code](crossover.selection, float(advice.train_size)) if check.code in REPAIRS else []
            found += cells
            if not cells:
                unfixed += (check.message,)
        there = [dataclasses.replace(c, sizes=tuple(n for n in c.sizes if n <= available)) for c in found]
        picked = tuple(merge([c for c in there if c.sizes]))
    elif advice.sides is not None and not advice.too_large and not _out_of_sight(advice):
        proposed = _propose(advice, available)
        if proposed is None:
            return None
        picked, chance = proposed
    else:
        return None
    plan = NextRuns(picked, (), _seconds(advice, picked), chance, unfixed)
    return dataclasses.replace(plan, commands=_commands(advice, picked, paths))
