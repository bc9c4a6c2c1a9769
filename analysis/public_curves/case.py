"""Holds one pair of public curves on one task, and judges its verdict and advice by what came later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.advise.advice import Advice
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.verdict import Verdict
from analysis.public_curves.outcome import CurveOutcome


@dataclass(frozen=True)
class Case:
    """One pair on one task: the answer from the fitted part, the advice for the common end, and the truth."""

    task: str
    vit: str
    cnn: str
    crossover: Crossover
    advice: Advice
    truth: CurveOutcome

    @property
    def verdict(self) -> Verdict:
        return self.crossover.verdict


def verdict_holds(case: Case) -> str:
    """Whether the rest of the curves bore the verdict out: yes, no, open, or - where nothing was claimed."""
    verdict, truth = case.verdict, case.truth
    if verdict.verdict in ("vit_ahead", "cnn_ahead"):
        leader = verdict.verdict.removesuffix("_ahead")
        return "yes" if not truth.crossings and truth.leader in (leader, None) else "no"
    if verdict.verdict not in ("observed", "extrapolated") or verdict.interval is None:
        return "-"
    low, high = verdict.interval[0] or 0.0, verdict.interval[1] or np.inf
    places = [size for size, direction in truth.crossings if direction == verdict.direction]
    if any(low <= size <= high for size in places):
        return "yes"
    return "open" if high > truth.end and not places else "no"


def advice_right(case: Case) -> str:
    """Whether the family advised for the common end led there: yes, no, tie, or - where none was named."""
    if case.advice.family is None:
        return "-"
    return "tie" if case.truth.leader is None else "yes" if case.advice.family == case.truth.leader else "no"
