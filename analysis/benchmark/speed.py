"""Measures processor times on a simulated sweep: ours, and scipy's curve_fit with a bootstrap beside it."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from analysis.calibrate.truths import SimulatedCell, simulate
from analysis.estimator.crossover.find_crossover import find_crossover
from analysis.estimator.curve.discrepancy import make_problem
from analysis.estimator.curve.fit_curve import scale_of
from analysis.estimator.curve.forms import FORMS
from analysis.estimator.curve.least_squares import minimise
from analysis.estimator.curve.most_probable import Batch, priors
from analysis.estimator.curve.noise import summarise

ROUNDS = 7


def _seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    work()
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return statistics.median(times)


def _refits(rows: Any, replicates: int) -> float:
    """Seconds for refits of E + A n^-alpha to replicates of one curve, from its prior's centre."""
    form = next(f for f in FORMS if f.name == "power_floor")
    points = summarise(rows.train_size, rows.test_error, test_examples=rows.test_examples)
    problem = make_problem(points, scale_of(points, None))
    batch = Batch.of([problem])
    mean, sd = priors(form, [problem])
    curve = np.zeros(replicates, dtype=int)
    noise = np.random.default_rng(0).standard_normal((len(points.sizes), replicates))
    z = points.log_error[:, None] + np.sqrt(points.variance)[:, None] * noise
    start = np.tile(mean, (1, replicates))
    return _seconds(
        lambda: minimise(
            batch.model(form, curve), start, z=z, whiten=batch.whiten, group=curve, mean=mean, sd=sd, tolerance=1e-4
        )
    )


def _curve_fit(rows: Any, replicates: int) -> None:
    """The usual way: E + A n^-alpha by scipy's curve_fit on raw errors, cases drawn with replacement, both curves."""
    from scipy.optimize import curve_fit

    rng = np.random.default_rng(0)
    for _, own in rows.groupby("family"):
        n, y = own.train_size.to_numpy(), own.test_error.to_numpy()
        for _ in range(replicates):
            i = rng.integers(0, len(n), len(n))
            try:
                curve_fit(lambda n, a, b, e: e + a * n**-b, n[i], y[i], p0=(1.0, 0.5, 0.01), maxfev=2000)
            except RuntimeError:
                continue


def speed_tables(folder: Path, options: dict[str, Any]) -> list[str]:
    draws = options["draws"]
    rows = simulate(SimulatedCell("power_floor", "inside", 0.05, "8x3"), seed=0, draw=0)
    whole = _seconds(lambda: find_crossover(rows, audit=False))
    refits = _refits(rows[rows.family == "vit"], 4000)
    # A tenth of the replicates, times ten: it takes seconds.
    scipy_time = 10 * _seconds(lambda: _curve_fit(rows, max(draws // 10, 1)), rounds=1)
    other = "installed, but not timed here" if importlib.util.find_spec("simple_scaling_laws") else "not installed"
    return [
        "2 curves x 8 sizes x 3 seeds; processor seconds on one core, medians.",
        "",
        "| what | seconds |",
        "|---|---|",
        f"| find_crossover, all forms, 1,000 replicates a curve | {whole:.3f} |",
        f"| refits of one form: {4000 / refits:,.0f} a second | {refits:.3f} for 4,000 |",
        f"| scipy curve_fit, one form, {draws:,} bootstrap replicates a curve, no crossover | {scipy_time:.2f} |",
        f"| simple-scaling-laws 0.2.0 | {other} |",
    ]
