"""What could be found at best, and at what price: an estimator that is told the form and the noise, beside ours.

The curves of the truths `approach` (never meet) and `power_floor` at 4x (meet) have the form E + A n^-alpha each. The
oracle fits nothing else, without a discrepancy, and knows the variance of every point. Both are tried with several ties
between the curves (estimator/crossover/paired_draws.py): what finds more crossings also claims more that never come.
Identical curves (`level`) should be called `equivalent`: even who knows all that can do so only where they are measured
finely enough.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.benchmark.vision import judge_crossings, judge_winners, load_crossings, load_curves
from analysis.calibrate.table import CLAIMS
from analysis.calibrate.truths import SimulatedCell, crossing_of, simulate, true_curves
from analysis.estimator.crossover.crossings import LEVEL
from analysis.estimator.crossover.envelope import Families, points_of, stream_of
from analysis.estimator.crossover.find_crossover import compare
from analysis.estimator.crossover.paired_draws import TIE
from analysis.estimator.crossover.verdict import EQUIVALENT
from analysis.estimator.curve.discrepancy import SETTINGS, Settings
from analysis.estimator.curve.fit_curve import fit_points
from analysis.estimator.curve.noise import Points

TIES = (TIE, float("inf"))
TOLD = Settings(forms=("power_floor",), discrepancy=(0.0,), rough=(0.0,), prior=(1.0,), beyond=None)
SIMULATED_TRUTHS = (("power_floor", "4x"), ("approach", "never"), ("parallel", "never"), ("closing", "never"))
MODELS = ("vit", "cnn")
SURE = 1e6  # degrees of freedom of a noise that is known
_TOGETHER = 12


def _told(points: Points, cell: SimulatedCell, model: str) -> Points:
    """The points with the variance that they really have."""
    curve = true_curves(cell.truth, cell.place)[MODELS.index(model)](points.sizes)
    measured = np.exp(points.log_error)
    off = np.sqrt((1 - curve) / curve * measured / (1 - measured))  # the test noise of the true error, of the measured
    told = replace(
        points,
        scores=off[:, None] * points.scores,
        common=off[:, None] * points.common,
        alone=off**2 * points.alone,
        tau=cell.noise,
        dof=SURE,
    )
    return replace(told, variance=np.diagonal(told.test_noise) + cell.noise**2 / points.runs)


def _sweeps(cell: SimulatedCell, draws: int, seed: int, *, oracle: bool) -> list[Families]:
    found = []
    for first in range(0, draws, _TOGETHER):
        points = []
        for draw in range(first, min(first + _TOGETHER, draws)):
            table = simulate(cell, seed=seed, draw=draw)
            own = [points_of(table[table["model"] == m], metric="test_error", axis="train_size") for m in MODELS]
            points += [_told(p, cell, m) for p, m in zip(own, MODELS, strict=True)] if oracle else own
        streams = [stream_of(seed, m) for m in MODELS] * (len(points) // 2)
        settings = TOLD if oracle else SETTINGS
        fits = fit_points(points, metric="error", num_classes=None, streams=streams, settings=settings)
        for pair in zip(fits[::2], fits[1::2], strict=True):
            found.append(Families({m: (m,) for m in MODELS}, dict(zip(MODELS, pair, strict=True)), {}, [], seed))
    return found


def _share_claimed(sweeps: list[Families], tie: float, truth: float | None) -> float:
    """The share of sweeps in which a crossing is claimed; a true one only if in the right direction."""
    claimed = 0
    for families in sweeps:
        got = compare(replace(families, tie=tie, _pairs={}), ("vit",), ("cnn",), level=0.9)
        claimed += got.verdict in CLAIMS if truth is None else got.direction == "vit_overtakes"
    return claimed / len(sweeps)


def _simulated(options: dict[str, Any]) -> list[str]:
    head = [f"{t} {p}, {noise:.0%}" for t, p in SIMULATED_TRUTHS for noise in (0.02, 0.05)]
    lines = [
        f"Share of {options['sweeps']} sweeps per cell in which a crossing is claimed: rightly in the first two.",
        "",
        f"| estimator | tie | {' | '.join(head)} |",
        f"|---|---|{'---|' * len(head)}",
    ]
    for name, oracle in (("told form and noise", True), ("ours", False)):
        cells = [SimulatedCell(t, p, noise, "8x3") for t, p in SIMULATED_TRUTHS for noise in (0.02, 0.05)]
        sweeps = [_sweeps(c, options["sweeps"], options["seed"] + 1, oracle=oracle) for c in cells]
        for tie in TIES:
            shares = [_share_claimed(s, tie, crossing_of(c)) for s, c in zip(sweeps, cells, strict=True)]
            lines.append(f"| {name} | {tie:g} | {' | '.join(f'{s:.2f}' for s in shares)} |")
    return lines


def level_tables(folder: Path, options: dict[str, Any]) -> list[str]:
    """How often identical curves are called level: by who is told the form and the noise, and by ours."""
    cells = [SimulatedCell("level", "never", noise, "8x3") for noise in (0.02, 0.05)]
    lines = [
        f"Share of {options['sweeps']} sweeps of identical curves called `equivalent` (median P of it).",
        "",
        f"| estimator | {' | '.join(f'{c.noise:.0%} noise' for c in cells)} |",
        f"|---|{'---|' * len(cells)}",
    ]
    for name, oracle in (("told form and noise", True), ("ours", False)):
        columns = []
        for cell in cells:
            sweeps = _sweeps(cell, options["sweeps"], options["seed"] + 1, oracle=oracle)
            got = [compare(f, ("vit",), ("cnn",), level=0.9) for f in sweeps]
            sizes = sweeps[0].sizes(("vit",), ("cnn",)).common
            within = [np.abs(f.lead(("vit",), ("cnn",), sizes).difference) <= np.log1p(EQUIVALENT) for f in sweeps]
            middle = np.median([w.all(axis=1).mean() for w in within])
            columns.append(f"{np.mean([v.verdict == 'equivalent' for v in got]):.2f} ({middle:.2f})")
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return lines


def _real(folder: Path, options: dict[str, Any]) -> list[str]:
    table, pairs = load_curves(folder), load_crossings(folder)
    found = {k: judge_crossings(table, pairs, k, ties=TIES, seed=options["seed"]) for k in ("1.5", "2.0", "4.0")}
    winners = judge_winners(table, ties=TIES, seed=options["seed"])
    lines = [
        "Cut real pairs: crossings found (median abs log10 error) at crossing / k; at a quarter of the common range"
        " winners named and crossings claimed before the end that do not come.",
        "",
        "| tie | " + " | ".join(f"k = {float(k):g}" for k in found) + " | winners | claimed in vain |",
        "|---|---|---|---|---|---|",
    ]
    for tie in TIES:
        columns = []
        for got in found.values():
            off = got[got.tie == tie].off
            columns.append(f"{off.notna().sum()} of {len(off)} ({off.abs().median():.3f})")
        own = winners[winners.tie == tie]
        columns += [winner_share(own), f"{int((own.claimed & ~own.crosses).sum())} of {len(own)}"]
        lines.append(f"| {tie:g} | {' | '.join(columns)} |")
    return lines


def winner_share(winners: pd.DataFrame) -> str:
    decided = winners[winners.gap.abs() > LEVEL]
    right = (decided.p_vit > 0.5) == (decided.gap < 0)
    return f"{int(right.sum())} of {len(decided)}"


def oracle_tables(folder: Path, options: dict[str, Any]) -> list[str]:
    return [*_simulated(options), "", *_real(folder, options)]
