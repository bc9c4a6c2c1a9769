"""Plays designs against truths that are known: what a verdict costs by the design, and by the whole grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.calibrate.truths import SimulatedCell, simulate
from analysis.design.designer import DesignEnd, DesignQuestion, next_run
from analysis.design.space import Candidate, Space, Target, opening
from analysis.estimator.crossover.find_crossover import Crossover, Terms, answer
from analysis.estimator.rows.metric import metric_of

COST_EXPONENT = 1.5  # of a run's cost in n, of simulated sweeps
COMPARED = metric_of("test_error")


@dataclass(frozen=True)
class Played:
    """A design's end beside the grid's answer."""

    design: Crossover
    grid: Crossover
    cost: float  # share of the grid's
    runs: int
    end: str
    decisions: int


def candidates_of(rows: pd.DataFrame, cost: Callable[[pd.Series], float]) -> tuple[Candidate, ...]:
    """A space whose runs are the rows: recorded or simulated ones, with their `name`."""
    found = []
    for _, row in rows.iterrows():
        grid = bool(row["grid"]) if "grid" in rows.columns else False
        found.append(
            Candidate(
                str(row["name"]),
                "replay",
                str(row["family"]),
                str(row["model"]),
                float(row["train_size"]),
                int(row["seed"]),
                cost(row),
                grid,
            )
        )
    return tuple(found)


def play(
    rows: pd.DataFrame, cost: Callable[[pd.Series], float], *, batch: int = 1, target: Target | None = None
) -> Played:
    """Runs a design on rows that are uncovered as it asks for them.

    Args:
        rows: all runs of one question, each with `name`, `status`, `seed`.
        cost: seconds of a run.
        batch: runs between two looks.
    """
    space = Space(candidates_of(rows, cost))
    question = DesignQuestion("replay", space.candidates, target or Target(), COMPARED)
    by_name = rows.set_index("name", drop=False)
    ended = {c.name for c in opening(space)}
    end: DesignEnd | None = None
    decisions = 0
    while end is None:
        seen = by_name.loc[sorted(ended)].reset_index(drop=True)
        state, crossover = question.look(seen)
        end = question.end(state, crossover, ended)
        decisions += 1
        if end is not None or crossover is None:
            break
        running: list[Candidate] = []
        for _ in range(batch):
            choice = next_run(question, crossover, ended, running)
            if choice is None:
                break
            due = question.due(ended, {c.name for c in running}, choice.candidate)
            running += due
        ended |= {c.name for c in running}
    assert crossover is not None
    spent = sum(c.seconds for c in space.candidates if c.name in ended)
    grid = answer({}, rows, metric=COMPARED, axis="train_size", terms=Terms(audit=False))
    return Played(crossover, grid, spent / space.seconds, len(ended), end.reason if end else "no curve", decisions)


def simulated_space(cell: SimulatedCell, *, seed: int, draw: int) -> pd.DataFrame:
    """A simulated sweep's rows with names, and the recipe's rate as the only one."""
    rows = simulate(cell, seed=seed, draw=draw)
    names = rows["model"] + "-" + rows["train_size"].astype(int).astype(str) + "-" + rows["seed"].astype(str)
    return rows.assign(name=names, status="finished")


def power_cost(row: Any) -> float:
    return float(row["train_size"]) ** COST_EXPONENT / 1e4
