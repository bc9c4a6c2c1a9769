"""The open real curves in, cases out: a curve cut at a half or a quarter of its range, and the error at its end.

LCDB 1.1 (Viering et al. 2025, arXiv 2505.15657): error against train size of 12 learners on 79 data sets, of which 8
sizes a factor of 2 apart are kept, with 3 runs each drawn from the published mean and standard deviation. The vision
and language curves of Alabdulmohsin et al. 2022 (arXiv 2209.06640): every point up to the cut, one run each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.benchmark.vision import SIZE, classes, images, smooth
from analysis.estimator.arrays import Array

CUTS = (2.0, 4.0)
SIZES_KEPT, RUNS = 8, 3
NEAREST = 0.06  # in ln n: LCDB's sizes are a factor of 2^(1/8) apart
DENSE = 20  # points from which a curve's end is smoothed; NMT has a point per factor of 2
LEAST_ERROR = 1e-6  # what stands for an error of zero where all that was measured is the judge
SETS = ("lcdb", "vision", "language")


@dataclass(frozen=True)
class CutCurve:
    """What is known of a curve up to a cut, and what came at its end."""

    of: str  # one of SETS
    group: str  # the data set, left out as a whole
    name: str
    cut: float  # the end is so many times the largest size
    sizes: Array  # (r,) of runs
    values: Array  # (r,) errors or losses
    metric: str
    num_classes: int | None
    end: float
    truth: float  # log error at the end


def _lcdb_case(key: tuple[str, str], rows: pd.DataFrame, cut: float, rng: np.random.Generator) -> CutCurve | None:
    """None where the range is too short, or an error is zero."""
    n, mean, sd = (rows[c].to_numpy(dtype=float) for c in ("n", "test_error", "sd"))
    wanted = n[-1] / cut / 2.0 ** np.arange(SIZES_KEPT)[::-1]
    at = np.abs(np.log(n)[:, None] - np.log(wanted)).argmin(axis=0)
    near = np.abs(np.log(n[at] / wanted)).max() <= NEAREST and len(set(at)) == SIZES_KEPT
    if not near or mean[-1] <= 0:
        return None
    runs = np.clip(mean[at, None] + sd[at, None] * rng.standard_normal((SIZES_KEPT, RUNS)), 0, 1)
    if (runs <= 0).any():
        return None
    sizes, truth = np.repeat(n[at], RUNS), float(np.log(mean[-1]))
    name = "/".join(key)
    return CutCurve("lcdb", key[0], name, cut, sizes, runs.ravel(), "error", None, float(n[-1]), truth)


def lcdb_cases(folder: Path, seed: int) -> list[CutCurve]:
    rows, rng = pd.read_csv(folder / "lcdb-open.csv.gz").sort_values("n"), np.random.default_rng(seed)
    found = [
        _lcdb_case((str(data), str(learner)), own, cut, rng)
        for (data, learner), own in rows.groupby(["dataset", "learner"])
        for cut in CUTS
    ]
    return [c for c in found if c is not None]


def lcdb_dense(folder: Path) -> dict[str, tuple[Array, Array]]:
    """All measured (sizes, mean errors) of a curve, by the name of its case."""
    rows = pd.read_csv(folder / "lcdb-open.csv.gz").sort_values("n")
    return {
        f"{data}/{learner}": (own.n.to_numpy(float), own.test_error.clip(LEAST_ERROR).to_numpy(float))
        for (data, learner), own in rows.groupby(["dataset", "learner"])
    }


def _benchmark_cases(path: Path, of: str) -> list[CutCurve]:
    rows = pd.read_csv(path).rename(columns={SIZE: "n", "Loss": "y"}).sort_values("n")
    found = []
    for (task, model), own in rows.groupby(["Task", "Model"]):
        n, y, task = own.n.to_numpy(dtype=float), own.y.to_numpy(dtype=float), str(task)
        truth = float(smooth(n, y, n[-1:])[0]) if len(n) > DENSE else float(np.log(y[-1]))
        vision = of == "vision"
        for cut in CUTS:
            kept = n <= n[-1] / cut * (1 + 1e-9)
            found.append(
                CutCurve(
                    of,
                    images(task) if vision else task,
                    f"{task}/{model}",
                    cut,
                    n[kept],
                    y[kept],
                    "error" if vision else "loss",
                    classes(task) if vision else None,
                    float(n[-1]),
                    truth,
                )
            )
    return found


def load_cases(folder: Path, *, seed: int = 0) -> list[CutCurve]:
    """All cases of the three sets; `seed` draws LCDB's runs."""
    vision = _benchmark_cases(folder / "vision-benchmark.csv", "vision")
    language = _benchmark_cases(folder / "language-benchmark.csv", "language")
    return lcdb_cases(folder, seed) + vision + language


def folds_of(cases: list[CutCurve], count: int, *, seed: int = 0) -> NDArray[np.int64]:
    """(len(cases),) a fold each; a data set is never in two, and the two sets of images are apart."""
    groups = sorted({(c.of, c.group) for c in cases}, key=lambda g: (SETS.index(g[0]) != 1, *g))
    vision = [g for g in groups if g[0] == "vision"]
    others = [g for g in groups if g[0] != "vision"]
    np.random.default_rng(seed).shuffle(others)
    fold = {g: i % count for i, g in enumerate([*vision, *others])}
    return np.array([fold[c.of, c.group] for c in cases])
