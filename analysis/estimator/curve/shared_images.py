"""Describes the test noise that runs have in common since they are tested on the same images.

Which images a test set happens to hold moves all errors measured on it. A run's *score* on an image is what that image
adds to the run's log error, in units of the run's own binomial noise: the scores of one run have squares that sum to
one, and those of two runs multiply to the correlation of their right and wrong. Runs whose images are known by count
alone are given the scores of a model: every image has a difficulty, normal over images, and a run gets it wrong where
that and luck of its own pass a threshold. The correlation of two runs is then Pearson's tetrachoric series (1900), of
which FACTORS terms stand for the scores.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np

from analysis.estimator.arrays import Array

DIFFICULTY = 0.5  # share of an image's difficulty in whether a run gets it wrong: correlation 1/3 at an error of .5
OWN_DIFFICULTY = 0.07  # the same, of a difficulty that an image has for the runs of one model
FACTORS = 3  # what all curves have in common is drawn as so many numbers
PARTNERS = 8  # draws in a row share these numbers, so that each has as many partners in another curve


def assumed_scores(error: Array) -> tuple[Array, Array]:
    """(r, FACTORS) twice: scores of runs with these errors in (0, 1), of which it is not known which images they got
    wrong; first those that all runs of a test set share, then those that only the runs of one model do."""
    y = np.clip(error, 1e-12, 1 - 1e-12)
    threshold = np.array([NormalDist().inv_cdf(p) for p in y.tolist()])
    term = np.exp(-0.5 * threshold**2) / np.sqrt(2 * math.pi * y * (1 - y))  # times Hermite's polynomials
    before, terms = np.zeros_like(y), []
    for n in range(1, FACTORS + 1):
        terms.append(term / math.sqrt(math.factorial(n)))
        before, term = term, threshold * term - (n - 1) * before
    power = np.arange(1, FACTORS + 1)
    shared, within = DIFFICULTY**power, (DIFFICULTY + OWN_DIFFICULTY) ** power
    columns = np.stack(terms, axis=1)
    return columns * np.sqrt(shared), columns * np.sqrt(within - shared)


def common_loadings(scores: Array, alone: Array) -> Array:
    """(K, FACTORS) or fewer columns: how much a common standard normal number moves each of K points.

    The covariance scores @ scores.T + diag(alone), less that of these columns, is still a covariance. They are those
    of probabilistic principal components (Tipping and Bishop 1999), which of a uniform correlation keep all of it.

    Args:
        scores: (K, F) what the images, or the factors, add to each point's log error.
        alone: (K,) variance that no other point shares.
    """
    sd = np.sqrt((scores**2).sum(axis=1) + alone)
    unit = scores / np.where(sd > 0, sd, 1)[:, None]
    correlation = unit @ unit.T
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    rest = float(values[:-FACTORS].mean()) if len(values) > FACTORS else 0.0
    columns = vectors[:, -FACTORS:] * np.sqrt(np.maximum(values[-FACTORS:] - rest, 0))
    return np.asarray(sd[:, None] * columns * np.where(columns.sum(axis=0) < 0, -1, 1))


@cache
def common_numbers(seed: int, draws: int) -> Array:
    """(FACTORS, draws) standard normal numbers, PARTNERS in a row the same, with means of 0 and covariances of 1 and 0
    where there are enough of them: all curves of one seed have the same ones."""
    groups = -(-draws // PARTNERS)
    numbers = np.random.default_rng([seed, 3]).standard_normal((groups, FACTORS))
    if groups > 4 * FACTORS:
        numbers -= numbers.mean(axis=0)
        numbers = np.linalg.solve(np.linalg.cholesky(numbers.T @ numbers / groups), numbers.T).T
    return np.repeat(numbers, PARTNERS, axis=0)[:draws].T
