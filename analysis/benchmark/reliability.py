"""Probabilities beside what came, in bins: of who leads beyond the data, and of a crossing there.

Simulated sweeps (a file that `python -m analysis.calibrate` writes), pairs of LCDB and pairs of vision curves. Of each
pair the family counts that is said to lead, so that no bin lies below a half.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.arguments import InputError
from analysis.benchmark.pairs import judge_lcdb_pairs
from analysis.benchmark.vision import judge_winners, load_curves
from analysis.calibrate.command import read_judged
from analysis.calibrate.table import binomial_interval
from analysis.calibrate.truths import AHEAD_AT, MEETS_UP_TO, crossing_of, parse_cell, true_curves
from analysis.estimator.arrays import Array
from analysis.estimator.crossover.crossings import LEVEL

LEADS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0)
MEETS = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0)
_FEW = 20  # cases: bins with fewer say little, and no largest gap is taken from them
_DECIDED = 0.9


@dataclass(frozen=True)
class Bin:
    said: float  # mean probability
    came: int
    of: int

    @property
    def share(self) -> float:
        return self.came / self.of

    @property
    def bounds(self) -> tuple[float, float]:
        return binomial_interval(self.came, self.of)


def in_bins(said: Array, came: NDArray[np.bool_], edges: tuple[float, ...]) -> list[Bin]:
    """The bins that hold anything; the last edge belongs to the last bin."""
    place = np.clip(np.searchsorted(edges, said, side="right") - 1, 0, len(edges) - 2)
    return [
        Bin(float(said[own].mean()), int(came[own].sum()), int(own.sum()))
        for own in (place == i for i in range(len(edges) - 1))
        if own.any()
    ]


def simulated(path: Path) -> pd.DataFrame:
    """A row per sweep and size beyond the data at which the true curves are not level; `crosses` once per sweep."""
    rows = []
    for row in read_judged(path):
        if "ahead" not in row:
            continue
        cell = parse_cell(row["cell"])
        place = crossing_of(cell)
        vit, cnn = true_curves(cell.truth, cell.place)
        at = np.array(AHEAD_AT)
        gap = np.log(vit(at) / cnn(at))
        crosses = place is not None and at[0] / 2 < place <= MEETS_UP_TO
        for i, (p, true) in enumerate(zip(row["ahead"], gap, strict=True)):
            p_meets = row["meets"] if i == 0 else np.nan  # once per sweep
            rows.append({"p_vit": p, "gap": float(true), "p_meets": p_meets, "crosses": crosses})
    return pd.DataFrame(rows)


def bins_of(rows: pd.DataFrame) -> dict[str, list[Bin]]:
    decided = rows[rows.gap.abs() > LEVEL]
    p = decided.p_vit.to_numpy(float)
    right = np.where(p > 0.5, decided.gap < 0, decided.gap > 0)
    once = rows[rows.p_meets.notna()]
    return {
        "leader": in_bins(np.maximum(p, 1 - p), right, LEADS),
        "crossing": in_bins(once.p_meets.to_numpy(float), once.crosses.to_numpy(bool), MEETS),
    }


def largest_gap(bins: list[Bin]) -> float:
    return max((abs(b.share - b.said) for b in bins if b.of >= _FEW), default=float("nan"))


def render_bins(found: Mapping[str, Mapping[str, list[Bin]]]) -> list[str]:
    lines = []
    for what, title in (("leader", "P(the leader named leads)"), ("crossing", "P(crossing)")):
        lines += [f"{title}:", "", "| set | said | came (95%) | of | |", "|---|---|---|---|---|"]
        for of, bins in found.items():
            for b in bins[what]:
                low, high = b.bounds
                note = "" if low <= b.said <= high else "off"
                lines.append(f"| {of} | {b.said:.3f} | {b.share:.3f} ({low:.3f}-{high:.3f}) | {b.of} | {note} |")
        gaps = [f"{of} {largest_gap(bins[what]):.3f}" for of, bins in found.items()]
        lines += ["", f"Largest gap among bins of {_FEW} or more: {', '.join(gaps)}.", ""]
    return lines


def reliability_tables(folder: Path, options: dict[str, Any]) -> list[str]:
    """The bins as tables, and as a figure in the file that `figure=` names."""
    from analysis.figures.reliability import draw_reliability  # matplotlib takes a second to import

    seed, path = options["seed"], Path(options["calibration"])
    sets = {
        "LCDB": judge_lcdb_pairs(folder, most=options["pairs"], seed=seed),
        "vision": judge_winners(load_curves(folder), seed=seed),
    }
    if path.exists():
        sets = {"simulated": simulated(path)} | sets
        if sets["simulated"].empty:
            raise InputError(f"{path} holds no sweeps with probabilities; run python -m analysis.calibrate again")
    found = {of: bins_of(rows) for of, rows in sets.items()}
    draw_reliability(found, Path(options["figure"]))
    lines = render_bins(found)
    lines += ["| set | pairs, or sizes of sweeps | decided at P >= .9 | right |", "|---|---|---|---|"]
    for of, rows in sets.items():
        decided = rows[rows.gap.abs() > LEVEL]
        sure = decided[(decided.p_vit - 0.5).abs() >= _DECIDED - 0.5]
        right = float(((sure.p_vit > 0.5) == (sure.gap < 0)).mean())
        lines.append(f"| {of} | {len(decided)} | {len(sure) / len(decided):.3f} | {right:.3f} |")
    return lines
