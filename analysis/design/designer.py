"""One question's design: from the runs there are to the next run, or to the reason why it ends.

Everything is decided from the results and the plan alone, never from the clock or the order of a folder: the same
results give the same next run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.design.belief import believe
from analysis.design.gain import (
    NextRun,
    after_all,
    best,
    bits_left,
    chance_of_a_claim,
    gains_of,
    known_already,
    narrowing,
)
from analysis.design.space import FEWEST_SIZES, Candidate, Target
from analysis.estimator.crossover.find_crossover import Crossover, Terms, answer
from analysis.estimator.crossover.verdict import Verdict
from analysis.estimator.curve.average import DRAWS
from analysis.estimator.rows.metric import Metric
from scaling.records.design_plan import DESIGN, LARGEST

WORTH = 1.05  # times narrower that what is left would make the interval by what is known: less is not worth its cost
HOPELESS = 0.05  # chance that all that is left would settle it: with less, the design ends
RATES_REACH = 16.0  # times beyond the sizes with tuned rates: the next grid of rates comes along
CONFIRMED = 1  # runs of either family at the largest size, without which nothing is claimed beyond the data
QUICK_DRAWS = 400  # draws of each curve between two runs
# Checks that fail because runs of the space are missing, and not because of how the runs are.
OPEN_CHECKS = frozenset(
    {"sizes", "cells_complete", "learning_rate_varied", "learning_rate_edge", "learning_rate_range"}
)


@dataclass(frozen=True)
class DesignState:
    """What is known of a question between two decisions."""

    question: str
    runs: int
    seconds: float  # of training, as planned
    verdict: Verdict | None  # None: too few runs for a curve
    held_back: tuple[str, ...]  # failed checks that no run of the space mends
    bits: float  # of "who leads?" that are open; 1 at the start

    @property
    def width(self) -> float | None:
        """Of the crossing's interval, in decades; None where it is open or there is none."""
        interval = self.verdict.interval if self.verdict is not None else None
        if interval is None or None in interval:
            return None
        low, high = interval
        return float(np.log10(high / low))  # type: ignore[operator]


@dataclass(frozen=True)
class DesignEnd:
    """Why a question needs no more runs: settled, equivalent, hopeless, exhausted or cost, and the sentence."""

    reason: str
    text: str


@dataclass(frozen=True)
class DesignQuestion:
    """One question of a design with what may be run for it."""

    name: str
    candidates: tuple[Candidate, ...]
    target: Target
    metric: Metric
    seed: int = 0

    @property
    def largest(self) -> float:
        return max(c.size for c in self.candidates)

    def judge(self, rows: pd.DataFrame) -> tuple[DesignState, Crossover | None, DesignEnd | None]:
        """The state from the rows of this question that have ended, and the reason to stop, if there is one.

        Few draws will do to choose the next run; that the design ends is said by as many as a report has.
        """
        ended = {c.name for c in self.candidates} & (set(rows["name"]) if len(rows) else set())
        for draws in (QUICK_DRAWS, DRAWS):
            state, crossover = self.look(rows, draws=draws)
            end = self.end(state, crossover, ended)
            if end is None:
                break
        return state, crossover, end

    def look(self, rows: pd.DataFrame, *, draws: int = DRAWS) -> tuple[DesignState, Crossover | None]:
        """The state from the rows of this question that have ended; `draws` of each curve."""
        names = set(rows["name"]) if len(rows) else set()
        done = [c for c in self.candidates if c.name in names]
        seconds = sum(c.seconds for c in done)
        crossover = None
        if len(rows) and (rows["status"] == "finished").any() and rows["family"].nunique() == 2:
            own = rows.copy()
            own[DESIGN], own[LARGEST] = "adaptive", self.largest
            terms = Terms(seed=self.seed, audit=False, draws=draws)
            crossover = answer({}, own, metric=self.metric, axis="train_size", terms=terms)
        if crossover is None or not all(crossover.families.models.values()):
            return DesignState(self.name, len(done), seconds, None, (), 1.0), None
        belief = believe(crossover, self.candidates, self.target)
        failed = tuple(c.message for c in crossover.failed_checks if c.code not in OPEN_CHECKS)
        bits = 1.0 if belief is None else bits_left(belief, belief.covariance)
        return DesignState(self.name, len(done), seconds, crossover.verdict, failed, bits), crossover

    def left(self, ended: Collection[str]) -> list[Candidate]:
        return [c for c in self.candidates if c.name not in ended]

    def due(self, ended: Collection[str], running: Collection[str], choice: Candidate) -> list[Candidate]:
        """The run, and the smallest grid of learning rates that has to come along: rates that were tuned at sizes far
        below are not trusted."""
        own = [c for c in self.candidates if c.grid and c.model == choice.model]
        tuned = [c.size for c in own if c.name in ended or c.name in running]
        new = [c for c in own if c.name not in ended and c.name not in running and c.size <= choice.size]
        if not new or not tuned or choice.size <= RATES_REACH * max(tuned):
            return [choice]
        largest = max(c.size for c in new)
        return [choice, *(c for c in new if c.size == largest)]

    def unconfirmed(self, verdict: Verdict, ended: Collection[str]) -> list[Candidate]:
        """Runs without which a claim is not taken: what is said beyond the data (one family ahead to the horizon, a
        crossing to come) rests on runs of both families at the space's largest size. Intervals are calibrated to ten
        times the largest size that was run, and a design that may stop at any time would stop on a lucky guess."""
        if verdict.verdict in ("observed", "multiple", "not_identifiable"):
            return []
        top = [c for c in self.candidates if c.size == self.largest and not c.grid]
        found = []
        for family in ("vit", "cnn"):
            own = [c for c in top if c.family == family]
            missing = min(CONFIRMED, len(own)) - sum(c.name in ended for c in own)
            rest = sorted((c for c in own if c.name not in ended), key=lambda c: (c.seed, c.seconds, c.name))
            found += rest[: max(missing, 0)]
        return found

    def end(self, state: DesignState, crossover: Crossover | None, ended: Collection[str]) -> DesignEnd | None:
        """The reason to stop, or None."""
        left = self.left(ended)
        if crossover is None or state.verdict is None:
            return None if left else DesignEnd("exhausted", "every cell of the space has run without a curve")
        verdict, target = state.verdict, self.target
        held = f"; held back by the audit: {'; '.join(state.held_back)}" if state.held_back else ""
        open_checks = [c for c in crossover.failed_checks if c.code in OPEN_CHECKS]
        reached = _reached(state, crossover, target)
        if reached is not None and not open_checks:
            return DesignEnd("settled", reached + held)
        if not left:
            return DesignEnd("exhausted", f"every cell of the space has run: {verdict.verdict}{held}")
        if open_checks:
            return None
        belief = believe(crossover, self.candidates, target)
        assert belief is not None
        rest = after_all(belief, left)
        if self.unconfirmed(verdict, ended):
            return None
        if target.verdict and verdict.verdict != "not_identifiable":
            place = verdict.crossover_size
            if place is None or narrowing(belief, rest, place) < WORTH:
                word = "equivalent" if verdict.verdict == "equivalent" else "settled"
                return DesignEnd(word, _settled(verdict) + held)
            return None
        if verdict.verdict == "not_identifiable" and chance_of_a_claim(belief, rest, self.largest) < HOPELESS:
            hours = sum(c.seconds for c in left) / 3600
            text = f"more runs of these sizes would not settle it; all that are left would take {hours:.1f} h"
            return DesignEnd("hopeless", text + held)
        return None


def _settled(verdict: Verdict) -> str:
    if verdict.crossover_size is not None and verdict.interval is not None:
        low, high = (f"{v:,.0f}" if v is not None else "open" for v in verdict.interval)
        return f"{verdict.verdict}: near {verdict.crossover_size:,.0f} ({low} to {high}), P = {verdict.probability:.2f}"
    return f"{verdict.verdict}, P = {verdict.probability:.2f}"


def _reached(state: DesignState, crossover: Crossover, target: Target) -> str | None:
    """The sentence of a target that was set and is reached."""
    verdict, width = state.verdict, state.width
    crosses = verdict is not None and verdict.crossover_size is not None
    if crosses and target.width is not None and width is not None and width <= target.width:
        return f"the interval is {width:.2f} decades wide ({_settled(crossover.verdict)})"
    if target.p is not None and target.at is not None:
        p = float(crossover.p_vit_better(target.at))
        if max(p, 1 - p) >= target.p:
            return f"P({'ViT' if p > 0.5 else 'CNN'} better at {target.at:,.0f}) = {max(p, 1 - p):.2f}"
    return None


def next_run(
    question: DesignQuestion, crossover: Crossover, ended: Collection[str], running: Sequence[Candidate]
) -> NextRun | None:
    """The next run of one question, given those under way; None where nothing is left to start."""
    belief = believe(crossover, question.candidates, question.target)
    busy = {c.name for c in running}
    left = [c for c in question.left(ended) if not c.grid and c.name not in busy]
    if belief is None or not left:
        return None
    first_seed: dict[tuple[str, float], Candidate] = {}
    for c in left:  # of equal runs the lowest seed: both families then share their subsets
        known = first_seed.get((c.model, c.size))
        if known is None or c.seed < known.seed:
            first_seed[c.model, c.size] = c
    covariance = known_already(belief, running)
    if unconfirmed := question.unconfirmed(crossover.verdict, ended):
        # With those under way there is nothing to add before they are known: the claim may stand then.
        needed = [c for c in unconfirmed if c.name not in busy]
        return gains_of(belief, covariance, needed)[0] if needed else None
    choices = list(first_seed.values())
    under_way = {*ended, *busy}
    measured = {(c.model, c.size) for c in question.candidates if c.name in under_way and not c.grid}
    few = {c.model for c in choices if sum(model == c.model for model, _ in measured) < FEWEST_SIZES}
    new = [c for c in choices if c.model in few and (c.model, c.size) not in measured]
    return best(gains_of(belief, covariance, new or choices))
