"""Plays designs against truths that are known, and against sweeps that were run: what a verdict costs, of the grid's.

Every design is played once and kept in a file, so that an interrupted table goes on where it stopped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import InputError, TableArguments
from analysis.benchmark.real_curves import lcdb_cases
from analysis.calibrate.table import covers, share_of
from analysis.calibrate.truths import NEVER, SimulatedCell, crossing_of, parse_cell, simulate
from analysis.design.designer import DesignEnd, DesignQuestion, next_run
from analysis.design.space import Candidate, Space, Target, opening
from analysis.estimator.crossover.find_crossover import Crossover, Terms, answer
from analysis.estimator.rows.metric import metric_of
from analysis.estimator.rows.selection import overrides_of
from analysis.estimator.rows.table import read_results

COST_EXPONENT = 1.5  # of a run's cost in n, of simulated sweeps
COMPARED = metric_of("test_error")
LOOKED_AFTER = 4  # runs between two looks of simulated sweeps
REPLAY_WORKERS = 2  # the same of recorded ones
NEARLY_WHOLE = 0.9  # of the runs of the fullest question: with fewer, a recorded grid is not at its end
CELLS = tuple(
    SimulatedCell(truth, place, 0.05, "8x5")
    for place, truths in {
        "inside": ("power_floor", "saturating", "broken"),
        "4x": ("power_floor", "broken"),
        "never": ("parallel", "closing", "level"),
    }.items()
    for truth in truths
)
SEED = 1000  # beside the benchmark's own seed: what the design was tuned on has seeds from 900 to 999
LCDB_CUT = 4.0
REPLAYED = Target(width=0.6, verdict=True)  # of recorded sweeps: a verdict, and a crossing to a factor of 2 each way
Row = dict[str, Any]


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
        _, crossover, end = question.judge(seen)
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


def recorded_cost(row: Any) -> float:
    return float(row["train_seconds"])


def linear_cost(row: Any) -> float:
    return float(row["train_size"]) / 1e3


def _said(crossover: Crossover) -> Row:
    verdict = crossover.verdict
    interval = None if verdict.interval is None else list(verdict.interval)
    return {"verdict": verdict.verdict, "direction": verdict.direction, "interval": interval}


def played_row(played: Played) -> Row:
    """What a line of the file holds of it."""
    facts = {"cost": round(played.cost, 5), "runs": played.runs, "end": played.end, "decisions": played.decisions}
    return facts | {"design": _said(played.design), "grid": _said(played.grid)}


def read_played(path: Path) -> list[Row]:
    """The lines of a file; one that was cut off is passed over."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _kept(path: Path, keys: Sequence[tuple[str, int]], play_one: Callable[[str, int], Played]) -> list[Row]:
    """The rows of these (name, draw): those that the file does not hold yet are played and added to it."""
    known = {(r["name"], r["draw"]): r for r in read_played(path)}
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        path.write_bytes(path.read_bytes() + b"\n")  # after a line that was cut off
    for name, draw in keys:
        if (name, draw) not in known:
            row = {"name": name, "draw": draw} | played_row(play_one(name, draw))
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            known[name, draw] = row
    return [known[key] for key in keys]


def decades(interval: Sequence[float | None] | None) -> float:
    """The width of an interval; infinite where it is open or there is none."""
    if interval is None or None in interval:
        return math.inf
    low, high = interval
    return math.log10(high / low)  # type: ignore[operator]


def _is_wrong(said: Row, cell: SimulatedCell) -> bool:
    """A claim that the truth contradicts, up to the horizon (ten times the largest size)."""
    if cell.truth in NEVER:
        return said["verdict"] in ("observed", "extrapolated", "multiple", "vit_ahead")
    return said["verdict"] in ("cnn_ahead", "vit_ahead", "multiple") or said["direction"] == "cnn_overtakes"


def summary_of(rows: Sequence[Row]) -> Row:
    """Of plays: the share of the grid's cost, of equal verdicts, and how much wider closed intervals are."""
    cost = np.array([r["cost"] for r in rows])
    widths = [[decades(r[who]["interval"]) for who in ("design", "grid")] for r in rows]
    ratios = [design / grid for design, grid in widths if math.isfinite(design) and math.isfinite(grid)]
    return {
        "cost": float(np.median(cost)),
        "most": float(cost.max()),
        "same": sum(r["design"]["verdict"] == r["grid"]["verdict"] for r in rows),
        "wider": float(np.median(ratios)) if ratios else math.nan,
    }


def design_tables(folder: Path, options: Row) -> list[str]:
    """Simulated sweeps whose truth is known, `sweeps` a cell; all cells grow together."""
    seed = SEED + options["seed"]
    keys = [(cell.name, draw) for draw in range(options["sweeps"]) for cell in CELLS]

    def one(name: str, draw: int) -> Played:
        return play(simulated_space(parse_cell(name), seed=seed, draw=draw), power_cost, batch=LOOKED_AFTER)

    rows = _kept(Path(options["played"]), keys, one)
    lines = [
        "| truth | crossing | sweeps | median cost, of the grid's | dearest | same verdict | times as wide"
        " | coverage: design (95%) | grid | wrong claims: design, grid |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in CELLS:
        own, place = [r for r in rows if r["name"] == cell.name], crossing_of(cell)
        s, n = summary_of(own), len(own)
        wider = "" if math.isnan(s["wider"]) or cell.place != "inside" else f"{s['wider']:.2f}"
        hold = ["", ""]
        if place is not None:
            counts = [sum(covers(r[who]["interval"], place) for r in own) for who in ("design", "grid")]
            hold = [share_of(counts[0], n), f"{counts[1] / n:.3f}"]
        wrong = [sum(_is_wrong(r[who], cell) for r in own) for who in ("design", "grid")]
        columns = [
            cell.truth,
            cell.place,
            str(n),
            f"{s['cost']:.3f}",
            f"{s['most']:.2f}",
            f"{s['same'] / n:.2f}",
            wider,
        ]
        lines.append(f"| {' | '.join([*columns, *hold, f'{wrong[0]}, {wrong[1]}'])} |")
    return lines


def recorded_questions(path: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """The questions of a recorded sweep, with the column `grid`: runs that vary the learning rate. Questions with fewer
    runs than the others, whose grid is not whole yet, are left out.

    Raises:
        InputError: there is nothing to read.
    """
    parts = read_results(TableArguments(results=(path,))).parts()
    whole = max(len(rows) for _, rows in parts)
    for key, rows in (part for part in parts if len(part[1]) >= NEARLY_WHOLE * whole):
        if "name" not in rows.columns:
            rows = rows.assign(name=[f"run-{i}" for i in range(len(rows))])
        shown = ", ".join(f"{k} {v}" for k, v in key.items() if k in ("locality", "data_fingerprint") and v is not None)
        grid = [
            any(word.startswith("optim.lr=") for word in overrides_of({"overrides": words}) or ())
            for words in rows["overrides"]
        ]
        # A sweep's own rate has all the seeds; where every run names its rate, that tells the two apart.
        seeds = rows.groupby(["model", "train_size", "lr"])["seed"].transform("nunique")
        most = rows.groupby(["model", "train_size"])["seed"].transform("nunique")
        varied = rows.groupby(["model", "train_size"])["lr"].transform("nunique") > 1
        yield f"{path}: {shown}", rows.assign(grid=pd.Series(grid, rows.index) & varied & (seeds < most))


def lcdb_pairs(folder: Path, most: int, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """LCDB's pairs of learners as sweeps of 8 sizes and 3 runs, `most` of them, drawn at random."""
    cases: dict[str, list[Any]] = {}
    for case in lcdb_cases(folder, seed):
        if case.cut == LCDB_CUT:
            cases.setdefault(case.group, []).append(case)
    rng, groups = np.random.default_rng(seed), sorted(g for g, own in cases.items() if len(own) > 1)
    for i in range(most):
        own = cases[groups[i % len(groups)]]
        pair = [own[j] for j in rng.permutation(len(own))[:2]]
        parts = []
        for family, case in zip(("vit", "cnn"), pair, strict=True):
            seed_of = pd.Series(case.sizes).groupby(case.sizes).cumcount().to_numpy()
            part = {"family": family, "model": case.name, "train_size": case.sizes, "test_error": case.values}
            names = [f"{family}-{n:.0f}-{s}" for n, s in zip(case.sizes, seed_of, strict=True)]
            parts.append(pd.DataFrame(part | {"seed": seed_of, "name": names, "status": "finished"}))
        if np.array_equal(np.unique(pair[0].sizes), np.unique(pair[1].sizes)):
            yield f"{pair[0].name} and {pair[1].name}", pd.concat(parts, ignore_index=True)


def replay_tables(folder: Path, options: Row) -> list[str]:
    """Sweeps that were run (`recorded=`), at the seconds that they took, and `pairs` of LCDB at a cost of n."""
    found: dict[str, list[tuple[str, pd.DataFrame, Callable[[Any], float]]]] = {}
    for path in map(Path, options["recorded"]):
        if not path.exists():
            raise InputError(f"recorded={path}: no such file or folder")
        found[str(path)] = [(name, rows, recorded_cost) for name, rows in recorded_questions(path)]
    pairs = lcdb_pairs(folder, options["pairs"], options["seed"])
    found["LCDB pairs"] = [(name, rows, linear_cost) for name, rows in pairs]
    lines = ["| sweeps | questions | median cost, of the grid's | dearest | same verdict | median cost of these |"]
    lines.append("|---|---|---|---|---|---|")
    for source, questions in found.items():
        if not questions:
            continue
        tables = {name: (rows, cost) for name, rows, cost in questions}

        def replay(name: str, draw: int, tables: Any = tables) -> Played:
            return play(*tables[name], batch=REPLAY_WORKERS, target=REPLAYED)

        rows = _kept(Path(options["played"]), [(n, 0) for n in tables], replay)
        s = summary_of(rows)
        same = [r["cost"] for r in rows if r["design"]["verdict"] == r["grid"]["verdict"]]
        middle = f"{np.median(same):.3f}" if same else ""
        lines.append(f"| {source} | {len(rows)} | {s['cost']:.3f} | {s['most']:.2f} | {s['same']} | {middle} |")
    return lines
