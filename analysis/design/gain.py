"""Chooses the batch of runs that tells most per second about who leads, over all sizes up to the horizon.

The gain of a run is the fall in bits of "who leads at n?", averaged over ln n, that is expected of its result. It is
large where the lead is small and the run informative, so a crossing is narrowed, and a leader's lead beyond the data
made sure, by one rule. A batch is chosen run by run, each given those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from analysis.design.belief import Belief, expected_entropy
from analysis.design.space import Candidate
from analysis.estimator.arrays import Array
from analysis.estimator.crossover.verdict import AHEAD, COMES, EQUIVALENT

DRAWN = 400


@dataclass(frozen=True)
class NextRun:
    """A run to be made next. `gain`: bits of the question "who leads?" that it is expected to answer."""

    candidate: Candidate
    gain: float
    seconds: float  # of the run and of the grid of learning rates that its size brings along


def known_already(belief: Belief, running: Sequence[Candidate]) -> Array:
    """The covariance when the runs under way have ended."""
    covariance = belief.covariance
    for run in running:
        if not run.grid and (run.model, run.size) in belief.groups:
            covariance = belief.after(covariance, (run.model, run.size))
    return covariance


def bits_left(belief: Belief, covariance: Array) -> float:
    """Bits of "who leads?" that are expected to be left."""
    mean, now = belief.lead()
    later = belief.lead(covariance)[1]
    return float(belief.weights @ expected_entropy(mean, now, later))


def gains_of(belief: Belief, covariance: Array, candidates: Sequence[Candidate]) -> list[NextRun]:
    """What each candidate is expected to tell, given what `covariance` knows."""
    before = bits_left(belief, covariance)
    gains: dict[tuple[str, float], float] = {}
    found = []
    for c in candidates:
        group = (c.model, c.size)
        if group not in gains:
            gains[group] = before - bits_left(belief, belief.after(covariance, group))
        found.append(NextRun(c, max(gains[group], 0.0), c.seconds))
    return found


def best(choices: Sequence[NextRun]) -> NextRun:
    """The most bits per second; of equals the cheaper run, then the first by name."""
    return max(choices, key=lambda c: (c.gain / c.seconds, -c.seconds, c.candidate.name))


def after_all(belief: Belief, candidates: Sequence[Candidate]) -> Array:
    """The covariance when everything that is left has run."""
    covariance, counts = belief.covariance, dict.fromkeys(belief.groups, 0)
    for c in candidates:
        if not c.grid and (c.model, c.size) in counts:
            counts[c.model, c.size] += 1
    for group, runs in counts.items():
        if runs:
            covariance = belief.after(covariance, group, runs)
    return covariance


def narrowing(belief: Belief, covariance: Array, place: float) -> float:
    """How many times narrower a crossing's interval near the size `place` is expected to become."""
    i = int(np.abs(np.log(belief.keys / place)).argmin())
    now, later = belief.lead()[1][i], belief.lead(covariance)[1][i]
    return float(np.sqrt(now / later))


def chance_of_a_claim(belief: Belief, covariance: Array, largest: float, within: float = EQUIVALENT) -> float:
    """The chance that a verdict will be claimed when `covariance` is what is left to know.

    Means that the results may lead to are drawn, and each is judged by who leads at single sizes: a leader all along,
    a lead that changes hands up to `largest`, a leader there who is overtaken up to the horizon, or level curves.
    """
    k = len(belief.keys)
    values, vectors = np.linalg.eigh(belief.covariance[:k, :k] - covariance[:k, :k])
    normal = np.random.default_rng(0).standard_normal((DRAWN, k))
    mean = belief.mean[:k] + (normal * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    spread = np.sqrt(belief.lead(covariance)[1])
    cnn = ndtr(mean / spread)  # (DRAWN, k) P(the CNN leads)
    near = belief.keys <= largest * (1 + 1e-9)
    last = int(near.sum()) - 1
    ahead = (cnn >= AHEAD).all(axis=1) | (cnn <= 1 - AHEAD).all(axis=1)
    inside = (cnn[:, near] >= AHEAD).any(axis=1) & (cnn[:, near] <= 1 - AHEAD).any(axis=1)
    overtaken = np.where(cnn[:, last] >= AHEAD, 1 - cnn[:, last:].min(axis=1), 0.0)
    overtaken = np.where(cnn[:, last] <= 1 - AHEAD, cnn[:, last:].max(axis=1), overtaken)
    edge = np.log1p(within)
    level = (ndtr((edge - mean) / spread) - ndtr((-edge - mean) / spread))[:, near].min(axis=1) >= AHEAD
    return float((ahead | inside | (overtaken >= COMES) | level).mean())
