"""Tabulates how often the estimator's intervals hold the crossing of simulated sweeps, where it is known.

Every sweep is judged once and kept in a file, so that an interrupted calibration goes on where it stopped.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from analysis.arguments import InputError, among, run_command, with_defaults
from analysis.calibrate.table import render_table
from analysis.calibrate.truths import AHEAD_AT, DESIGNS, MEETS_UP_TO, NEVER, PLACES, TRUTHS, SimulatedCell, simulate
from analysis.estimator.crossover.crossings import p_meets
from analysis.estimator.crossover.envelope import Families, classes_of, points_of, stream_of
from analysis.estimator.crossover.find_crossover import compare
from analysis.estimator.crossover.shared_noise import how_alike
from analysis.estimator.curve.fit_curve import Curve, fit_points
from scaling.records.files import cores

USAGE = f"""python -m analysis.calibrate [key=value ...]

Simulates sweeps of two models and prints, per cell, how often the nominal 90% interval holds the true crossing
(with the binomial 95% interval of that share), how wide it is, how often it is open, and how often a crossing is
claimed that never comes.

  truths=A,B      of {", ".join(TRUTHS)} (all)
  places=A,B      where the curves cross: {", ".join(PLACES)} (all)
  noise=0.02,0.05 spread between seeds, in log error
  design=8x3      of {", ".join(DESIGNS)}
  draws=400       sweeps per cell
  seed=0          of the simulation
  workers=0       processes; 0: one per core
  out=FILE        where the sweeps are kept (calibration.jsonl); those that are there are not run again
  limit=0         stop after so many seconds and print what there is; 0: run to the end"""

CALIBRATION: dict[str, Any] = {
    "truths": TRUTHS,
    "places": tuple(PLACES),
    "noise": ("0.02", "0.05"),
    "design": "8x3",
    "draws": 400,
    "seed": 0,
    "workers": 0,
    "out": "calibration.jsonl",
    "limit": 0,
}
Task = tuple[SimulatedCell, int, int]  # the cell, the seed, the draw
_LEVEL = 0.9
_TOGETHER = 24  # sweeps solved together


def judge_sweep(tasks: list[Task]) -> list[dict[str, Any]]:
    """Sweeps, simulated and decided: per sweep what a line of the results file holds.

    `find_crossover(table, audit=False)` says the same of each, to the last bit (a test holds them together); here the
    curves of all sweeps are fitted in one go, and tables that need no check are not checked.
    """
    tables = [simulate(cell, seed=seed, draw=draw) for cell, seed, draw in tasks]
    curves: dict[tuple[int, str], Curve] = {}  # by the sweep's place in tasks and the model
    for classes in sorted({classes_of(t) or 0 for t in tables}):
        keys = [(i, m) for i, t in enumerate(tables) if (classes_of(t) or 0) == classes for m in ("vit", "cnn")]
        points = [
            points_of(tables[i][tables[i]["model"] == m], metric="test_error", axis="train_size") for i, m in keys
        ]
        streams = [stream_of(tasks[i][1], m) for i, m in keys]
        fitted = fit_points(points, metric="error", num_classes=classes or None, streams=streams)
        curves |= dict(zip(keys, fitted, strict=True))
    rows = []
    for i, (cell, seed, draw) in enumerate(tasks):
        pair = {m: curves[i, m] for m in ("vit", "cnn")}
        vit, cnn = (tables[i][tables[i]["model"] == m] for m in pair)
        alike = how_alike(vit, cnn, (pair["vit"].points, pair["cnn"].points), metric="test_error", axis="train_size")
        shared = {("vit", "cnn"): alike} if alike is not None else {}
        families = Families({m: (m,) for m in pair}, pair, {}, [], seed, alike=shared)
        got = compare(families, ("vit",), ("cnn",), level=_LEVEL)
        decided = {"size": got.crossover_size, "interval": got.interval, "p_crossing": got.p_crossing}
        found = {"verdict": got.verdict, "direction": got.direction} | decided
        found["lean"] = None if got.lean is None else got.lean.direction
        found |= _beyond_the_data(families)
        rows.append({"cell": cell.name, "seed": seed, "draw": draw} | found)
    return rows


def _beyond_the_data(families: Families) -> dict[str, Any]:
    """`ahead`: P(ViT better) at AHEAD_AT; `meets`: P(the curves meet between the largest size and MEETS_UP_TO)."""
    last = families.range(("vit",), ("cnn",))[1]
    at = np.union1d(np.geomspace(last, MEETS_UP_TO, 30), AHEAD_AT)
    lead = families.lead(("vit",), ("cnn",), at)
    ahead = lead.p_vit_better()[np.searchsorted(at, AHEAD_AT)]
    return {"ahead": [round(float(p), 4) for p in ahead], "meets": p_meets(at, lead.difference)}


def make_cells(options: dict[str, Any]) -> list[SimulatedCell]:
    """The cells asked for.

    Raises:
        InputError: an unknown word, or a noise that is no number.
    """
    truths = among("truths", options["truths"], TRUTHS)
    places = among("places", options["places"], tuple(PLACES))
    among("design", (options["design"],), tuple(DESIGNS))
    try:
        noises = [float(text) for text in options["noise"]]
    except ValueError:
        raise InputError(f"noise={','.join(options['noise'])} holds something that is not a number") from None
    if not all(0 < noise < 1 for noise in noises):
        raise InputError("noise must lie between 0 and 1")
    return [
        SimulatedCell(truth, place, noise, options["design"])
        for truth in truths
        for place in (("never",) if truth in NEVER else places)
        for noise in noises
    ]


def read_judged(path: Path) -> list[dict[str, Any]]:
    """The sweeps that a file holds; a last line cut off by an interruption is passed over."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def _run(tasks: list[Task], path: Path, workers: int, limit: float) -> Iterator[int]:
    """Judges the tasks, a line per sweep as they end; yields how many are done."""
    end = time.monotonic() + limit if limit else float("inf")
    parts = [tasks[first : first + _TOGETHER] for first in range(0, len(tasks), _TOGETHER)]
    with ProcessPoolExecutor(workers) as pool, path.open("a", encoding="utf-8") as file:
        file.write("" if not path.stat().st_size else "\n")  # after a line that was cut off
        done = 0
        for first in range(0, len(parts), workers):
            for rows in pool.map(judge_sweep, parts[first : first + workers]):
                file.write("".join(json.dumps(row) + "\n" for row in rows))
                done += len(rows)
            file.flush()
            yield done
            if time.monotonic() > end:
                return


def run(options: dict[str, Any]) -> int:
    cells = make_cells(options)
    seed, path = options["seed"], Path(options["out"])
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {(r["cell"], r["seed"], r["draw"]) for r in read_judged(path)}
    wanted = [(c, seed, d) for d, c in itertools.product(range(options["draws"]), cells)]  # all cells grow together
    tasks = [t for t in wanted if (t[0].name, seed, t[2]) not in done]
    started, count = time.monotonic(), 0
    if tasks:
        for count in _run(tasks, path, options["workers"] or cores(), options["limit"]):
            rate = (time.monotonic() - started) / count
            left = rate * (len(tasks) - count)
            print(
                f"\r{len(wanted) - len(tasks) + count} of {len(wanted)} sweeps, {left:.0f} s left",
                end="",
                file=sys.stderr,
            )
        print(file=sys.stderr)
    names = {c.name: c for c in cells}
    rows = [r for r in read_judged(path) if r["cell"] in names and r["seed"] == seed and r["draw"] < options["draws"]]
    print(render_table(names, rows))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, tuple(CALIBRATION), with_defaults(CALIBRATION, run), arguments)
