"""Pairs of real curves in, what was said of them at the cut beside what came: who led at the end, and whether they met.

LCDB's pairs (real_curves.py) are two learners on one data set, measured at the same 8 sizes and cut at a quarter of
their range; those of the vision curves come from vision.judge_winners. Which of two comes first means nothing.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.benchmark.predictive import batches, points_of_case
from analysis.benchmark.real_curves import CutCurve, lcdb_cases, lcdb_dense
from analysis.benchmark.smoothing import WIDTH, smooth, what_came
from analysis.benchmark.vision import LOOKED_AT, foretell
from analysis.estimator.arrays import Array
from analysis.estimator.crossover.envelope import Families
from analysis.estimator.crossover.paired_draws import TIE
from analysis.estimator.curve.fit_curve import Curve, fit_points

_CUT = 4.0


def _fits(cases: Sequence[CutCurve], seed: int) -> dict[str, Curve]:
    found = {}
    for own in batches(cases):
        points = [points_of_case(cases[i]) for i in own]
        streams = [[seed, i] for i in own]
        for i, fit in zip(own, fit_points(points, metric="error", num_classes=None, streams=streams), strict=True):
            found[cases[i].name] = fit
    return found


@dataclass(frozen=True)
class LcdbPair:
    """Two learners on one data set: what is known up to the cut, the fits of it, and all that was measured."""

    first: CutCurve
    second: CutCurve
    families: Families  # "vit" is the first, "cnn" the second
    dense: tuple[tuple[Array, Array], tuple[Array, Array]]  # sizes and mean errors of both, to the end


def fitted_pairs(folder: Path, *, most: int, seed: int = 0) -> list[LcdbPair]:
    """`most` of LCDB's pairs that were measured at the same sizes, drawn at random, cut at a quarter of their range."""
    cases = [c for c in lcdb_cases(folder, seed) if c.cut == _CUT]
    curves = lcdb_dense(folder)
    by_data: dict[str, list[CutCurve]] = defaultdict(list)
    for case in cases:
        by_data[case.group].append(case)
    pairs = [
        pair
        for own in by_data.values()
        for pair in itertools.combinations(own, 2)
        if np.array_equal(pair[0].sizes, pair[1].sizes)
    ]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pairs))[:most])
    wanted = {c.name for i in chosen for c in pairs[i]}
    fits, found = _fits([c for c in cases if c.name in wanted], seed), []
    for first, second in (pairs[i] for i in chosen):
        own_fits = {"vit": fits[first.name], "cnn": fits[second.name]}
        families = Families({m: (m,) for m in own_fits}, own_fits, {}, [], seed)
        found.append(LcdbPair(first, second, families, (curves[first.name], curves[second.name])))
    return found


def judge_lcdb_pairs(folder: Path, *, most: int, ties: Sequence[float] = (TIE,), seed: int = 0) -> pd.DataFrame:
    """A row per tie and pair of `fitted_pairs`: what vision.foretell says, gap and crosses."""
    rows = []
    for pair in fitted_pairs(folder, most=most, seed=seed):
        first, second = pair.first, pair.second
        at = np.geomspace(first.sizes.max(), first.end, LOOKED_AT)
        true = [smooth(*dense, at, width=WIDTH) for dense in pair.dense]
        who = {"group": first.group, "vit": first.name, "cnn": second.name} | what_came(true[0] - true[1])
        for tie in ties:
            families = replace(pair.families, tie=tie, _pairs={})
            rows.append(who | {"tie": tie} | foretell(families, at))
    return pd.DataFrame(rows)
