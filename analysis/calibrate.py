"""Simulated sweeps whose crossing is known in, a table of how often the estimator's intervals hold it out.

Every sweep is judged once and kept in a file, so that an interrupted calibration goes on where it stopped.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from analysis.arguments import InputError
from analysis.calibrate_table import render
from analysis.calibrate_truths import DESIGNS, NEVER, PLACES, TRUTHS, Cell, simulate
from analysis.crossover import find_crossover
from analysis.options import among, run_command

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

DEFAULTS: dict[str, Any] = {
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
Task = tuple[Cell, int, int]  # the cell, the seed, the draw


def judge(task: Task) -> dict[str, Any]:
    """One sweep, simulated and decided: what a line of the results file holds."""
    cell, seed, draw = task
    got = find_crossover(simulate(cell, seed=seed, draw=draw), audit=False, seed=seed).verdict
    return {
        "cell": cell.name,
        "seed": seed,
        "draw": draw,
        "verdict": got.verdict,
        "direction": got.direction,
        "size": got.crossover_size,
        "interval": got.interval,
        "p_crossing": got.p_crossing,
    }


def make_cells(options: dict[str, Any]) -> list[Cell]:
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
        Cell(truth, place, noise, options["design"])
        for truth in truths
        for place in (("never",) if truth in NEVER else places)
        for noise in noises
    ]


def read_results(path: Path) -> list[dict[str, Any]]:
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
    with ProcessPoolExecutor(workers) as pool, path.open("a", encoding="utf-8") as file:
        file.write("" if not path.stat().st_size else "\n")  # after a line that was cut off
        for first in range(0, len(tasks), 20 * workers):
            for row in pool.map(judge, tasks[first : first + 20 * workers], chunksize=5):
                file.write(json.dumps(row) + "\n")
            file.flush()
            yield min(first + 20 * workers, len(tasks))
            if time.monotonic() > end:
                return


def main(options: dict[str, Any]) -> int:
    cells = make_cells(options)
    seed, path = options["seed"], Path(options["out"])
    path.parent.mkdir(parents=True, exist_ok=True)
    done = {(r["cell"], r["seed"], r["draw"]) for r in read_results(path)}
    wanted = [(c, seed, d) for d, c in itertools.product(range(options["draws"]), cells)]  # all cells grow together
    tasks = [t for t in wanted if (t[0].name, seed, t[2]) not in done]
    started, count = time.monotonic(), 0
    if tasks:
        for count in _run(tasks, path, options["workers"] or os.cpu_count() or 1, options["limit"]):
            rate = (time.monotonic() - started) / count
            left = rate * (len(tasks) - count)
            print(
                f"\r{len(wanted) - len(tasks) + count} of {len(wanted)} sweeps, {left:.0f} s left",
                end="",
                file=sys.stderr,
            )
        print(file=sys.stderr)
    names = {c.name: c for c in cells}
    rows = [r for r in read_results(path) if r["cell"] in names and r["seed"] == seed and r["draw"] < options["draws"]]
    print(render(names, rows))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(USAGE, DEFAULTS, main, sys.argv[1:]))
