"""Holds each repeat's answer against what all the other repeats measured together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimator.crossover.find_crossover import Crossover
from analysis.repeats.pooled import Pooled, pool

CLEARLY = 2.0  # standard errors: where the others' lead is told at all
EDGES = (0.0, 0.1, 0.5, 0.9, 1.0)  # of the bins of P(ViT better)


@dataclass(frozen=True)
class Judged:
    """One repeat: its answer, the others' crossing, and whether the answer holds it.

    `holds`: whether the interval has the others' crossing in it, None where there is none. `contradicts`: a claim that
    the others do not bear: a crossing whose interval does not meet theirs, a lead over sizes where they clearly see the
    other family ahead, level families that are clearly apart.
    """

    name: str
    answer: Crossover
    others: Pooled
    holds: bool | None
    contradicts: bool
    p_vit_better: tuple[float, ...]  # at the others' sizes

    def row(self) -> dict[str, Any]:
        """The repeat as a row of table.csv."""
        verdict, others = self.answer.verdict, self.others
        low, high = self._interval() or (None, None)
        main = max(verdict.crossings, key=lambda c: c.probability, default=None)
        return {
            "repeat": self.name,
            "verdict": verdict.verdict,
            "size": verdict.crossover_size or (main.size if main else None),
            "interval_low": low,
            "interval_high": high,
            "p_crossing": verdict.p_crossing,
            "others_crossing": others.crossing,
            "others_low": others.interval[0] if others.interval else None,
            "others_high": others.interval[1] if others.interval else None,
            "holds": self.holds,
            "contradicts": self.contradicts,
        }

    def _interval(self) -> tuple[float | None, float | None] | None:
        return interval_of(self.answer)


def interval_of(answer: Crossover) -> tuple[float | None, float | None] | None:
    """That of the claimed crossing, else of the likeliest one; None where the curves have none."""
    verdict = answer.verdict
    if verdict.interval is not None:
        return verdict.interval
    likeliest = max(verdict.crossings, key=lambda c: c.probability, default=None)
    return None if likeliest is None else likeliest.interval


def _within(size: float, interval: tuple[float | None, float | None]) -> bool:
    low, high = interval
    return (low is None or low <= size) and (high is None or size <= high)


def _apart(interval: tuple[float | None, float | None] | None, others: Pooled) -> bool:
    """Whether a claimed crossing's interval and that of the others have no size in common."""
    if interval is None or others.crossing is None:
        return others.crossing is None
    low, high = others.interval or (others.crossing, others.crossing)
    return (interval[0] is not None and interval[0] > high) or (interval[1] is not None and interval[1] < low)


def _contradicts(answer: Crossover, others: Pooled) -> bool:
    verdict = answer.verdict
    clear = np.abs(others.log_ratio) > CLEARLY * others.spread
    if verdict.verdict in ("observed", "extrapolated", "multiple"):
        return _apart(interval_of(answer), others)
    if verdict.verdict in ("vit_ahead", "cnn_ahead"):
        wrong = others.log_ratio > 0 if verdict.verdict == "vit_ahead" else others.log_ratio < 0
        return bool((wrong & clear).any())
    if verdict.verdict == "equivalent":
        return bool((clear & (np.abs(others.log_ratio) > answer.equivalent_within)).any())
    return False


def judge_repeats(names: Sequence[str], answers: Sequence[Crossover], *, seed: int = 0) -> list[Judged]:
    """Each answer against the rest.

    Args:
        names: of the repeats.
        answers: the same question answered from each of them.
        seed: of the resampling of the others.
    """
    fitted: list[pd.DataFrame] = [a.selection.fitted for a in answers]
    judged = []
    for i, (name, answer) in enumerate(zip(names, answers, strict=True)):
        others = pool(fitted[:i] + fitted[i + 1 :], seed=seed)
        interval, holds = interval_of(answer), None
        if interval is not None and others.crossing is not None:
            holds = _within(others.crossing, interval)
        leads = tuple(float(p) for p in answer.p_vit_better(others.sizes))
        judged.append(Judged(name, answer, others, holds, _contradicts(answer, others), leads))
    return judged


def lead_bins(judged: Sequence[Judged]) -> list[tuple[str, int, float, float]]:
    """P(ViT better) at the measured sizes in bins: label, how many, their mean, and how often the others agree.

    Sizes where the others cannot tell the leader (CLEARLY) are left out.
    """
    said, came = [], []
    for one in judged:
        clear = np.abs(one.others.log_ratio) > CLEARLY * one.others.spread
        said += list(np.array(one.p_vit_better)[clear])
        came += list(one.others.log_ratio[clear] < 0)
    p, vit = np.array(said), np.array(came)
    bins = []
    for low, high in itertools.pairwise(EDGES):
        inside = (p >= low) & ((p < high) | (high == EDGES[-1]))
        if inside.any():
            bins.append((f"{low:g} to {high:g}", int(inside.sum()), float(p[inside].mean()), float(vit[inside].mean())))
    return bins
