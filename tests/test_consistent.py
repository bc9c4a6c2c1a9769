"""Report, advice and pilot of the same rows never contradict each other, and another seed of the replicates changes
hardly any verdict: over many tables, simulated and made by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from analysis import find_crossover
from analysis.advise.advice import Advice, advise
from analysis.advise.wording import advice_sentence
from analysis.calibrate.truths import SimulatedCell, simulate
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.wording import FAMILY, verdict_sentence
from analysis.pilot.wording import answer_for

TRUTHS = [
    *((truth, "never") for truth in ("level", "apart_2", "apart_5", "apart_10", "apart_20", "parallel", "approach")),
    *(("power_floor", place) for place in ("inside", "4x", "10x")),
    *((truth, "inside") for truth in ("broken", "plateau", "heavy_tails")),
]
CLAIMS = ("observed", "extrapolated", "multiple")


def tables() -> Iterator[tuple[str, pd.DataFrame]]:
    for truth, place in TRUTHS:
        for noise in (0.02, 0.05):
            cell = SimulatedCell(truth, place, noise, "8x3")
            yield cell.name, simulate(cell, seed=5, draw=0)


@pytest.fixture(scope="module")
def answers() -> dict[str, Crossover]:
    return {name: find_crossover(table, audit=False) for name, table in tables()}


def check_text(crossover: Crossover, text: str) -> None:
    verdict = crossover.verdict.verdict
    assert ("overtakes" in text or "cross more than once" in text) == (verdict in CLAIMS)
    if "overtake" in text or "cross more than once" in text:
        assert re.search(r"\bP = [01]\.\d\d", text)
    assert "has probability 0.00" not in text
    if verdict == "not_identifiable":
        assert text.index("ahead") < text.index("Not identifiable")  # what is known comes first


def check_advice(crossover: Crossover, advice: Advice) -> None:
    """One number stands behind all of them: where the verdict knows who leads, so does the advice."""
    verdict, n = crossover.verdict, advice.train_size
    assert advice.p_vit_better == pytest.approx(float(crossover.p_vit_better(n)))
    known = verdict.known
    if known is not None and known.first <= n <= known.last and n in crossover.selection.fitted["train_size"].values:
        assert advice.family == known.family or advice.level
    if verdict.verdict in ("cnn_ahead", "vit_ahead"):
        assert advice.family == verdict.verdict[:3]
        assert advice.flip is None or advice.flip.probability <= 0.1 + 1e-9
    if advice.level:
        assert verdict.verdict == "equivalent"
    text = advice_sentence(advice)
    assert ("would flip it (P = " in text) == ("would flip it" in text)
    said = answer_for(advice)
    for family in ("vit", "cnn"):
        use = f"use the {FAMILY[family]}" in text
        assert use == (advice.family == family) == (f"the {FAMILY[family]}:" in said)
    assert ("are level" in text) == ("are level" in said) == (advice.family is None and advice.level)


def test_report_advice_and_pilot_say_the_same(answers: dict[str, Crossover]) -> None:
    verdicts = {crossover.verdict.verdict for crossover in answers.values()}
    assert {"observed", "cnn_ahead", "not_identifiable"} <= verdicts
    for crossover in answers.values():
        check_text(crossover, verdict_sentence(crossover))
        for n in (500, 4_000, 64_000, 200_000, 640_000):
            check_advice(crossover, advise(crossover, n))


@pytest.mark.slow
def test_another_seed_of_the_replicates_changes_hardly_any_verdict() -> None:
    """Where no probability lies within .02 of a threshold, 98% of the verdicts are the same over 20 seeds."""
    same = []
    for _, table in tables():
        found = [find_crossover(table, audit=False, seed=seed).verdict for seed in range(20)]
        if all(abs(p - limit) > 0.02 for p, limit in map(nearest, found)):
            common = max({v.verdict for v in found}, key=[v.verdict for v in found].count)
            same += [v.verdict == common for v in found]
    assert len(same) >= 200
    assert np.mean(same) >= 0.98


def nearest(verdict: object) -> tuple[float, float]:
    p = getattr(verdict, "probability", None)
    lean = getattr(verdict, "lean", None)
    pairs = [(p, 0.9 if verdict.verdict != "extrapolated" else 0.8)] if p is not None else []  # type: ignore[attr-defined]
    pairs += [(lean.probability, limit) for limit in (0.5, 0.8)] if lean is not None else []
    return min(pairs, key=lambda pair: abs(pair[0] - pair[1]), default=(0.0, 0.9))
