"""Cases in, what each form and each size of discrepancy says of them out: evidence, and draws at the curve's end.

This is computed once; what is learned (learn.py) are weights and scales on top of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.benchmark.real_curves import CutCurve
from analysis.estimator.arrays import Array
from analysis.estimator.curve.average import last_slope, redraw, replicate
from analysis.estimator.curve.discrepancy import Problem, Settings, make_problem
from analysis.estimator.curve.fit_curve import chance_level, scale_of
from analysis.estimator.curve.forms import FORMS, Form
from analysis.estimator.curve.most_probable import Batch, find_modes
from analysis.estimator.curve.noise import Points, summarise

TOGETHER = 24  # curves of equal length are solved together
RULED_OUT = -1e9  # log evidence of a form that needs a chance level and has none


@dataclass(frozen=True)
class Predictive:
    """N cases, F forms, L sizes of discrepancy, R draws each, none of which bends after the data."""

    evidence: Array  # (N, F, L) log
    draws: Array  # (N, F, L, R) log error at the end
    slope: Array  # (N, F, L, R) d log error / d ln n at the end of the data
    beyond: Array  # (N,) ln of the end over the largest size
    truth: Array  # (N,)
    chance_known: NDArray[np.bool_]  # (N,)

    def of(self, which: NDArray[np.intp]) -> Predictive:
        return Predictive(
            *(getattr(self, k)[which] for k in ("evidence", "draws", "slope", "beyond", "truth", "chance_known"))
        )


def points_of_case(case: CutCurve) -> Points:
    return summarise(case.sizes, case.values, is_error=case.metric == "error")


def batches(cases: Sequence[CutCurve]) -> list[list[int]]:
    """Indices of cases that can be solved together: of one kind, and equally long."""
    kinds: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, c in enumerate(cases):
        kinds[c.metric, c.num_classes, len(np.unique(c.sizes))].append(i)
    return [own[f : f + TOGETHER] for own in kinds.values() for f in range(0, len(own), TOGETHER)]


def _try_form(
    form: Form, problems: list[Problem], ends: Array, settings: Settings, replicates: int, seed: int
) -> tuple[Array, Array, Array]:
    """Evidence (N, L), draws and slopes (N, L, R) of one form."""
    batch, levels = Batch.of(problems), len(settings.discrepancy)
    modes = find_modes(form, batch)
    counts, alone = np.full(levels, replicates), np.empty((0, levels * replicates))  # no test noise is told apart
    drawn = [
        redraw(m, counts, p, settings, common=alone, rng=np.random.default_rng([seed, FORMS.index(form), i]))
        for i, (m, p) in enumerate(zip(modes, problems, strict=True))
    ]
    shape = (len(problems), levels, replicates)
    draws, slopes = np.empty(shape), np.empty(shape)
    for i, (block, p) in enumerate(zip(replicate(form, batch, drawn, settings), problems, strict=True)):
        u = np.log(ends[i : i + 1] / p.scale.reference)
        value = form.value(block.theta, u[:, None], p.scale.chance, False)[0] + p.basis.at(u) @ block.bumps
        draws[i] = value[0].reshape(shape[1:])
        slopes[i] = last_slope(form, block.theta, p).reshape(shape[1:])
    return np.array([[m.evidence for m in own] for own in modes]), draws, slopes


def look_ahead(cases: Sequence[CutCurve], settings: Settings, *, replicates: int, seed: int = 0) -> Predictive:
    """Fits every form at every size of discrepancy to every case."""
    shape = (len(cases), len(FORMS), len(settings.discrepancy))
    evidence, beyond, known = np.full(shape, RULED_OUT), np.empty(len(cases)), np.zeros(len(cases), dtype=bool)
    draws, slopes = np.zeros((*shape, replicates)), np.zeros((*shape, replicates))
    for own in batches(cases):
        points = [points_of_case(cases[i]) for i in own]
        scales = [
            scale_of(p, chance_level(cases[i].metric, cases[i].num_classes)) for i, p in zip(own, points, strict=True)
        ]
        problems = [make_problem(p, s, settings) for p, s in zip(points, scales, strict=True)]
        ends = np.array([cases[i].end for i in own])
        beyond[own] = np.log(ends / [p.sizes[-1] for p in points])
        known[own] = [s.chance is not None for s in scales]
        for f, form in enumerate(FORMS):
            if not form.needs_chance or known[own].all():
                evidence[own, f], draws[own, f], slopes[own, f] = _try_form(
                    form, problems, ends, settings, replicates, seed
                )
    return Predictive(evidence, draws, slopes, beyond, np.array([c.truth for c in cases]), known)
