"""Finds the best value of a setting from validation errors of trials: at one size, and as a rule over training sizes.

One seed's few hundred validation images cannot tell neighbouring values apart, so the best one is not the lowest point
but the vertex of a parabola in log value through the points near it. Free of torch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LN2 = math.log(2)


@dataclass(frozen=True)
class Trial:
    """One run: `error` on validation, in [0, 1]; 1 for a run that diverged."""

    value: float
    seed: int
    error: float


@dataclass(frozen=True)
class Optimum:
    """The best value at one size; `spread` is the standard error of its logarithm, `noise` that of a mean error."""

    value: float
    spread: float
    noise: float
    best_tried: float
    at_edge: bool


def mean_errors(trials: Sequence[Trial]) -> dict[float, float]:
    """Mean error of every value, ascending; values with fewer seeds are corrected for what their seeds do to the error
    of the values that have them all (an additive model of values and seeds)."""
    seeds = sorted({trial.seed for trial in trials})
    values = sorted({trial.value for trial in trials})
    by_value: dict[float, dict[int, float]] = defaultdict(dict)
    for trial in trials:
        by_value[trial.value][trial.seed] = trial.error
    full = [value for value in values if len(by_value[value]) == len(seeds)]
    effect = dict.fromkeys(seeds, 0.0)
    if full and len(seeds) > 1:
        whole = float(np.mean([by_value[v][s] for v in full for s in seeds]))
        effect = {s: float(np.mean([by_value[v][s] for v in full])) - whole for s in seeds}
    return {v: float(np.mean([error - effect[s] for s, error in by_value[v].items()])) for v in values}


def best_value(trials: Sequence[Trial]) -> tuple[float, bool]:
    """The value of the lowest mean error, and whether it is the lowest or the highest of those tried."""
    means = mean_errors(trials)
    best = min(means, key=lambda value: (means[value], value))
    return best, best in (min(means), max(means))


def find_optimum(trials: Sequence[Trial], *, val_examples: int, step: float) -> Optimum:
    """The best value of one model at one size.

    Args:
        trials: at least one.
        val_examples: validation images behind an error, for its binomial noise.
        step: factor between neighbouring values; the optimum stays within one of the best one tried.
    """
    means = mean_errors(trials)
    best, at_edge = best_value(trials)
    low = means[best]
    # Runs share their validation images, so that differences are less noisy than errors: half of the variance.
    noise = math.sqrt(max(low * (1 - low), 1 / val_examples) / val_examples / 2)
    x = np.log(list(means)) - math.log(best)
    y = np.array([means[value] for value in means])
    scale = max(2 * noise, 0.15 * low)
    weight = 1 / (1 + ((y - low) / scale) ** 2) ** 2  # steep flanks are no parabola and say little about the vertex
    near = np.abs(x) <= 2 * math.log(step) + 1e-9
    if near.sum() < 3 or len(means) < 3:
        return Optimum(best, math.log(step), noise, best, at_edge)
    xs, ys, ws = x[near], y[near], weight[near]
    design = np.stack([np.ones_like(xs), xs, xs**2], axis=1)
    normal = design.T @ (ws[:, None] * design) + 1e-9 * np.eye(3)
    a, b, c = np.linalg.solve(normal, design.T @ (ws * ys))
    residual = float(np.sum(ws * (ys - design @ (a, b, c)) ** 2) / max(1.0, ws.sum() - 3))
    sigma = math.sqrt(max(residual, noise**2 / max(1, len({t.seed for t in trials}))))
    limit = math.log(step)
    if c <= 0:  # flat or bent the wrong way: the middle of what cannot be told apart
        same = (y - low <= 2 * noise) & near
        vertex, spread = float(np.average(x[same], weights=weight[same])), limit
    else:
        vertex = -b / (2 * c)
        gradient = np.array([0.0, -1 / (2 * c), b / (2 * c**2)])
        spread = float(min(limit, sigma * math.sqrt(gradient @ np.linalg.inv(normal) @ gradient)))
    vertex = float(np.clip(vertex, max(-limit, x.min()), min(limit, x.max())))
    return Optimum(best * math.exp(vertex), max(spread, LN2 / 8), noise, best, at_edge)


@dataclass(frozen=True)
class Rule:
    """value * (n / at) ** exponent."""

    value: float
    at: float
    exponent: float

    def value_at(self, train_size: float) -> float:
        return self.value * (train_size / self.at) ** self.exponent


STEEPEST = 1.0  # a rule's exponent, either way


def fit_rule(optima: Mapping[int, Optimum], *, usual: float = 0.4, steepest: float = STEEPEST) -> Rule:
    """A power law through the optima at several sizes, weighted by their spreads.

    The exponent is drawn towards 0 as if it had come from a normal distribution of deviation `usual`, and stays within
    `steepest`: optima that noise has moved would else send the value anywhere at the other end of the sweep.
    """
    sizes = np.log(np.array(sorted(optima), dtype=float))
    values = np.log([optima[n].value for n in sorted(optima)])
    weights = np.array([optima[n].spread ** -2 for n in sorted(optima)])
    centre = float(np.average(sizes, weights=weights))
    mean = float(np.average(values, weights=weights))
    away = sizes - centre
    slope = float(np.sum(weights * away * (values - mean)) / (np.sum(weights * away**2) + usual**-2))
    return Rule(math.exp(mean), math.exp(centre), float(np.clip(slope, -steepest, steepest)))
