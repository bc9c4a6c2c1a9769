"""Pairs draws of two curves so that the lead changes at a realistic rate beyond the data.

Two curves fitted apart know nothing of each other. What the data leave open, such as a floor or the slope beyond the
largest size, is then drawn for each on its own, and the lead changes far more than the leads of real curves: parallel
curves would be said to cross soon, and real crossings be placed too early. So pairs are drawn with a weight: over each
of the next two factors of FACTOR in n, the change of the lead, in units of what the errors fell over the last such
factor of the data, has a normal prior around zero. Leads of vision models change as slowly as that (a standard
deviation of .38, `python -m analysis.benchmark parts=leads`), leads on tabular data as fast as the curves alone let
them. So the prior mixes that normal with a flat one: a pair weighs its tie, at most 1, plus UNTIED. Where the curves as
they were fitted can hardly keep their lead, most pairs are free, and where their slopes agree most are tied.
ALWAYS_TIED of the pairs are tied in any case: fits are at times wrong together. These numbers are chosen by the log
score that real pairs get for who leads, and whether the lead is lost (parts=ties; docs/estimator.md).
Inside the data the curves stay as they were fitted, but for noise that both have in common: that of equal seeds
(shared_noise.py), and that of the test images, which draws of equal place in both curves share (shared_images.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.estimator.arrays import Array
from analysis.estimator.crossover.shared_noise import Alike
from analysis.estimator.curve.shared_images import PARTNERS, common_numbers

Draws = Callable[[Array], Array]  # (n,) -> (draws, n) log errors

TIE = 0.35  # standard deviation of a lead's change over a factor, in units of the errors' fall
FACTOR = 4.0
STEPS = 2  # factors beyond the data: to 16 times the largest size, past the horizon of the verdicts
LEAST = 0.02  # fall of the log error per factor that is taken for the least: plateaus tie nothing to exactly zero
UNTIED = 0.7  # weight of a pair whatever its lead does
ALWAYS_TIED = 0.15  # share of the pairs that is tied whatever the curves say


@dataclass(frozen=True)
class Pairs:
    """Which draw of the first curve goes with which of the second: (draws,) each. The first `tied` of them are tied;
    `agree`, the mean weight of a tie over all pairs (0 to 1), says how well it goes with the curves."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    tied: int
    agree: float


def sizes_to_tie(low: float, high: float) -> Array:
    """Where the curves are looked at: one factor before the largest size (within the data), there, and beyond."""
    return np.array([max(high / FACTOR, low), *(high * FACTOR**s for s in range(STEPS + 1))])


def share_tied(agree: float, untied: float = UNTIED) -> float:
    """The share of the pairs that is tied, where their ties have this mean weight."""
    return ALWAYS_TIED + (1 - ALWAYS_TIED) * agree / (agree + untied)


def pair_draws(
    first: Draws,
    second: Draws,
    *,
    low: float,
    high: float,
    stream: list[int],
    tie: float = TIE,
    alike: Alike | None = None,
) -> Pairs:
    """As many pairs as there are draws.

    Args:
        first, second: the log errors that the draws have at given sizes.
        low, high: the measured sizes.
        stream: seeds the choice; its first number seeded the noise that the draws of both curves share.
        tie: standard deviation of a lead's change over a factor, in units of the errors' fall; inf ties nothing.
        alike: noise that the two curves have in common.
    """
    at = sizes_to_tie(low, high)
    one, other = first(at), second(at)
    draws, rng = len(one), np.random.default_rng(stream)
    left = np.tile(np.arange(draws), PARTNERS)
    group = left // PARTNERS * PARTNERS  # where those begin that share the noise of the test images
    right = group + (left - group + np.repeat(np.arange(PARTNERS), draws)) % np.minimum(PARTNERS, draws - group)
    mixed = rng.permutation(len(left))  # evenly spaced picks then take no draw more often than another
    left, right = left[mixed], right[mixed]
    fell = float(np.median(one[:, 0] - one[:, 1] + other[:, 0] - other[:, 1])) / 2
    unit = max(fell * np.log(FACTOR) / np.log(at[1] / at[0]), LEAST) if at[1] > at[0] else LEAST
    change = np.diff((one[left] - other[right])[:, 1:], axis=1) / (unit * tie)
    log_tie, log_weight = -0.5 * (change**2).sum(axis=1), np.zeros(len(left))
    if alike is not None:
        common = common_numbers(stream[0], draws)
        a, b = (
            curve(alike.sizes) - (loadings @ common[: loadings.shape[1]]).T
            for curve, loadings in zip((first, second), alike.common, strict=True)
        )
        log_weight = alike.log_weight(a[left], b[right])
    weight = np.exp(log_weight - log_weight.max())
    agree = float(np.average(np.exp(log_tie), weights=weight))
    tied = round(draws * share_tied(agree))
    picked = np.concatenate([_pick(log_weight + log_tie, tied), _pick(log_weight, draws - tied)])
    return Pairs(left[picked], right[picked], tied, agree)


def _pick(log_weight: Array, count: int) -> NDArray[np.intp]:
    """`count` indices with these weights, evenly spaced through the heap of them: less noise than independent picks."""
    heap = np.cumsum(np.exp(log_weight - log_weight.max()))
    return np.searchsorted(heap, (np.arange(count) + 0.5) / count * heap[-1])
