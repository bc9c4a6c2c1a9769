"""What is known of a question, as a normal distribution: who leads at which size, and the errors that runs would have.

The draws of the fitted curves (estimator/crossover) are summarised by their means and covariances. Runs that are not
made yet then change the covariance alone, in closed form: what a batch would tell is known before it is run (Raiffa and
Schlaifer's preposterior analysis, "Applied Statistical Decision Theory", 1961).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, xlogy

from analysis.design.space import Candidate, Target
from analysis.estimator.arrays import Array
from analysis.estimator.crossover.crossings import HORIZON
from analysis.estimator.crossover.find_crossover import Crossover

STEP = 1.3  # more than the factor between two keys
KEY_SIZES = 40  # sizes at which it is asked who leads
NODES = np.linspace(-4, 4, 161)  # standard deviations; evenly, since what is integrated may be a narrow peak
NODE_MASS = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()
SMALLEST = 1e-12  # variance


@dataclass(frozen=True)
class Belief:
    """Normal in all of: the lead at the key sizes, then the log error of every run group (model and size).

    `mean`, `covariance`: (k + g,), (k + g, k + g). The lead is the log error of the ViTs less that of the CNNs.
    """

    keys: Array  # (k,) training sizes
    weights: Array  # (k,) what it is worth to know who leads there; they sum to 1
    mean: Array
    covariance: Array
    groups: Mapping[tuple[str, float], int]  # (model, size) -> its place in mean
    noise: Mapping[tuple[str, float], float]  # variance of the log error of one run

    def lead(self, covariance: Array | None = None) -> tuple[Array, Array]:
        """(k,) means and variances of the lead at the key sizes."""
        k = len(self.keys)
        spread = np.diag(self.covariance if covariance is None else covariance)[:k]
        return self.mean[:k], np.maximum(spread, SMALLEST)

    def after(self, covariance: Array, group: tuple[str, float], runs: int = 1) -> Array:
        """The covariance when `runs` more runs of a group are known."""
        i = self.groups[group]
        column = covariance[:, i]
        return np.asarray(covariance - np.outer(column, column) / (column[i] + self.noise[group] / runs))


def entropy(p: Array) -> Array:
    """Of a yes or no with probability p, in bits."""
    return np.asarray(-(xlogy(p, p) + xlogy(1 - p, 1 - p)) / np.log(2))


def expected_entropy(mean: Array, now: Array, later: Array) -> Array:
    """(k,) bits that will be left of "who leads?" when variances `now` have become `later` by results yet unseen."""
    moved = np.sqrt(np.maximum(now - later, 0.0))[:, None] * NODES
    return np.asarray(
        entropy(ndtr((mean[:, None] + moved) / np.sqrt(np.maximum(later, SMALLEST))[:, None])) @ NODE_MASS
    )


def _noise(crossover: Crossover, model: str, log_error: Array) -> Array:
    """Variance of one run's log error: the spread over seeds and the noise of the test images."""
    points = crossover.families.curves[model].points
    rows = crossover.selection.fitted
    images = float(rows["test_examples"].min()) if "test_examples" in rows.columns else np.nan
    error = np.exp(np.minimum(log_error, 0.0))
    images_noise = (1 - error) / (images * error) if images == images else np.zeros_like(error)
    return np.asarray(points.tau**2 + images_noise + SMALLEST)


def believe(crossover: Crossover, candidates: tuple[Candidate, ...], target: Target) -> Belief | None:
    """The belief about one question from its answer so far; None where a family has no curve yet.

    Args:
        crossover: the answer from the runs there are.
        candidates: all of the question's space, those that have run among them.
        target: a design that asks for one size looks only there.
    """
    families = crossover.families
    vit, cnn = families.models["vit"], families.models["cnn"]
    if not vit or not cnn:
        return None
    sizes = sorted({c.size for c in candidates})
    keys = np.geomspace(sizes[0], HORIZON * sizes[-1], KEY_SIZES) if target.at is None else np.array([target.at])
    weights = np.full(len(keys), 1 / len(keys))  # evenly in ln n
    if crossover.verdict.crossover_size is not None and target.at is None:
        # What is still asked of a crossing that is claimed is where it lies.
        low, high = crossover.verdict.interval or (None, None)
        asked = (keys >= (low or 0.0) / STEP) & (keys <= (high or np.inf) * STEP)
        weights = asked / asked.sum()
    models = sorted({c.model for c in candidates if c.model in families.curves})
    at = np.array(sizes)
    lead = families.lead(vit, cnn, keys)
    pairs = families.pairs(vit, cnn)
    columns, groups, noise = [lead.difference], {}, {}
    place = len(keys)
    for model in models:
        own = families.curves[model].log_draws(at)[pairs.first if model in vit else pairs.second]
        columns.append(own)
        spread = _noise(crossover, model, np.median(own, axis=0))
        for i, size in enumerate(sizes):
            groups[model, size], noise[model, size] = place + i, float(spread[i])
        place += len(sizes)
    draws = np.concatenate(columns, axis=1)
    return Belief(keys, weights, draws.mean(axis=0), np.atleast_2d(np.cov(draws.T)), groups, noise)
