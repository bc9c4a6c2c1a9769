"""Reduces the measured errors of one curve to a point per size with its variance: the noise model of the fits.

Everything is in natural logarithms, where a curve's seed-to-seed spread is about the same at all sizes. The variance
of one run is (1 - y) / (m y), the binomial noise of m test images, plus tau^2, the spread over seeds. tau is pooled
over the sizes and shrunk towards TAU_PRIOR, since two or three seeds alone would often claim no noise at all. The runs
share their test images (shared_images.py): more seeds average less of that noise away, and all points move alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.estimator.arrays import Array
from analysis.estimator.curve.outliers import TAIL, off_line, robust_means, stray_points
from analysis.estimator.curve.shared_images import FACTORS, assumed_scores, common_loadings

TAU_PRIOR = 0.02  # 2% between seeds; small image models show 2% to 5%
TAU_PRIOR_DOF = 2.0  # worth two degrees of freedom
ZERO_FLOOR = 5e-5  # stands for an error of zero where neither the test set's size nor a rounding is known
NOTHING = 1e-30  # an error below it is zero: its square and what is divided by it are no numbers any more
CENSORED = 1.0  # variance of such a stand-in: it says that the error is small, not how small
DECIMALS = 6  # errors written with no more are taken for rounded ones


@dataclass(frozen=True)
class Points:
    """One curve's measurements, a point per distinct size, sizes ascending."""

    sizes: Array  # (k,)
    log_error: Array  # (k,) mean over runs of the log error
    variance: Array  # (k,) of that mean
    runs: NDArray[np.int64]  # (k,) how many runs are in the mean
    tau: float  # spread over seeds, in log error
    dof: float  # how well tau is known, in degrees of freedom
    zeros: int  # runs with an error of zero, for which a stand-in was used
    scores: Array  # (k, F) what each of the test images, or of the factors that stand for them, adds to a point
    alone: Array  # (k,) variance of the test noise that no two runs share
    common: Array  # (k, q) how a common standard normal number moves the points: test noise, as other curves have it
    outliers: int = 0  # runs, or points of single runs, that count less since they lie far off

    @property
    def test_noise(self) -> Array:
        """(k, k) covariance that the drawing of the test images gives the points."""
        return np.asarray(self.scores @ self.scores.T + np.diag(self.alone))

    @property
    def covariance(self) -> Array:
        """(k, k), with `variance` as its diagonal."""
        return self.test_noise + np.diag(self.variance - (self.scores**2).sum(axis=1) - self.alone)

    @property
    def own_variance(self) -> Array:
        """(k,) without what all points have in common."""
        return np.asarray(self.variance - (self.common**2).sum(axis=1))

    @property
    def rises(self) -> Array:
        """(k - 1,) from each point to the next, in standard deviations of that difference."""
        covariance = self.covariance
        of_both = np.diagonal(covariance)[1:] + np.diagonal(covariance)[:-1] - 2 * np.diagonal(covariance, offset=1)
        return np.asarray(np.diff(self.log_error) / np.sqrt(of_both))


def join(points: Sequence[Points]) -> list[Points]:
    """Curves whose scores are of the same images, with what all of them have in common."""
    width = max((p.scores.shape[1] for p in points), default=0)  # a curve without test noise has no columns
    if width == 0:
        return list(points)
    scores = np.concatenate([np.pad(p.scores, ((0, 0), (0, width - p.scores.shape[1]))) for p in points])
    common = common_loadings(scores, np.concatenate([p.alone for p in points]))
    ends = np.cumsum([len(p.sizes) for p in points])[:-1]
    return [replace(p, common=own) for p, own in zip(points, np.split(common, ends), strict=True)]


def rounding_step(error: Array) -> float:
    """What the errors are multiples of, as people write them: .01 for .31 and .2; 0 where they are not rounded."""
    steps = (10.0**-d for d in range(1, DECIMALS + 1))
    return next((step for step in steps if np.allclose(np.round(error / step), error / step, rtol=0, atol=1e-6)), 0.0)


def log_errors(error: Array, test_examples: Array | None) -> tuple[Array, int]:
    """Log errors; an error of zero counts as 1/2 in m + 1 images, where m is unknown as half a rounding step, or as
    ZERO_FLOOR."""
    zero = error <= 0
    if not zero.any():
        return np.log(error), 0
    if test_examples is not None:
        stand_in = 0.5 / (test_examples + 1)
    else:
        smallest = error[~zero].min() if (~zero).any() else np.inf
        stand_in = np.full_like(error, 0.5 * rounding_step(error) or min(ZERO_FLOOR, 0.5 * smallest))
    return np.log(np.where(zero, stand_in, error)), int(zero.sum())


def summarise(
    train_size: ArrayLike,
    error: ArrayLike,
    *,
    test_examples: ArrayLike | None = None,
    is_error: bool = True,
    spread: ArrayLike | None = None,
    shared: ArrayLike | None = None,
    scores: Array | None = None,
) -> Points:
    """One point per size with the variance of its mean.

    Args:
        train_size: (r,) sizes of the runs, in any order, repeats allowed.
        error: (r,) errors in [0, 1], or losses in nats.
        test_examples: (r,) or one number: images in the test set.
        is_error: whether the binomial noise of an error applies.
        spread: (r,) standard deviations between runs, where a row is the mean of some; they count where no size has
            several rows, each as one degree of freedom, since of how many runs it is is not known.
        shared: (r,) share of their images that the subsets of a size have in common, where that is too large for their
            spread to be the noise's: the spread is then that of the other sizes, and averaging takes off less of it.
        scores: (r, F) of the runs on the test images (shared_images.py), after which `join` says what curves share;
            None: as is assumed of such errors.
    """
    size = np.asarray(train_size, dtype=float)
    value = np.asarray(error, dtype=float)
    value = np.where(value < NOTHING, 0.0, value)
    order = np.lexsort((value, size))  # sums then do not depend on the order of the rows
    size, value = size[order], value[order]
    images = None
    if test_examples is not None:
        images = np.broadcast_to(np.asarray(test_examples, dtype=float), size.shape)[order]
    log_error, zeros = log_errors(value, images if is_error else None)
    y = np.exp(log_error)
    if images is None or not is_error:
        # A rounding's own variance, a twelfth of its square; zeros are censored.
        binomial = (
            np.where(value <= 0, CENSORED, (rounding_step(value) / y) ** 2 / 12) if is_error else np.zeros_like(y)
        )
        score = np.zeros((len(y), 0))
    else:
        binomial = (1 - np.minimum(y, 1)) / (images * y)
        # Of an error of zero nothing but its size is known.
        score = (np.concatenate(assumed_scores(y), axis=1) if scores is None else scores[order]) * (value > 0)[:, None]

    sizes, index, runs = np.unique(size, return_inverse=True, return_counts=True)
    mean = np.bincount(index, log_error) / runs
    average = (index == np.arange(len(runs))[:, None]) / runs[:, None]  # (k, r)
    apart = binomial * np.maximum(1 - (score**2).sum(axis=1), 0)
    score, alone = average @ (np.sqrt(binomial)[:, None] * score), average**2 @ apart
    test_noise = score @ score.T + np.diag(alone)
    # Runs of one size differ by less than their binomial noise, since they share a part of it.
    between = np.bincount(index, binomial) - runs * np.diagonal(test_noise)  # times their number less one
    dof, outliers, robust = float((runs - 1).sum()), 0, None
    stray = stray_points(np.log(sizes), mean) if (runs == 1).all() else np.zeros_like(mean)
    if dof > 0:
        excess = float(((log_error - mean[index]) ** 2).sum() - between.sum()) / dof
        share = between / np.maximum(np.bincount(index, binomial) * (1 - 1 / runs), 1e-300)
        robust = robust_means(log_error, index, runs, binomial * np.where(runs > 1, share, 1.0)[index])
        if robust is not None:
            mean, excess, outliers = robust
    elif spread is not None:
        relative = np.asarray(spread, dtype=float)[order] / y
        excess, dof = float((relative**2).mean() - apart.mean()), float(len(sizes))
    else:
        fair = stray == 0
        excess, dof = _roughness(np.log(sizes[fair]), mean[fair], test_noise[np.ix_(fair, fair)])
    known = dof + TAU_PRIOR_DOF
    tau2 = (dof * max(excess, 0.0) + TAU_PRIOR_DOF * TAU_PRIOR**2) / known
    alike = np.zeros(len(runs))
    if shared is not None and np.any(in_common := np.asarray(shared, dtype=float)[order]):
        alike = np.bincount(index, in_common) / runs
        disjoint = alike == 0
        known = float((runs[disjoint] - 1).sum()) + TAU_PRIOR_DOF
        squares = float((((log_error - mean[index]) ** 2)[disjoint[index]]).sum() - between[disjoint].sum())
        tau2 = max(tau2, (max(squares, 0.0) + TAU_PRIOR_DOF * TAU_PRIOR**2) / known)
    # Subsets that share images err alike: that part of the spread does not average out.
    spread_of_mean = tau2 * (1 + (runs - 1) * alike) / runs
    variance = (np.diagonal(test_noise) + spread_of_mean) * (1 if robust is None else (TAIL + 3) / (TAIL + 1))
    return Points(
        sizes=sizes,
        log_error=mean,
        variance=variance + stray**2,
        runs=runs,
        tau=float(np.sqrt(tau2)),
        dof=known,
        zeros=zeros,
        scores=score,
        alone=alone,
        common=score[:, : FACTORS if scores is None else 0],
        outliers=outliers + int(np.count_nonzero(stray)),
    )


def _roughness(x: Array, mean: Array, test_noise: Array) -> tuple[float, float]:
    """The excess variance that single runs show against the line through their two neighbours, and its dof.

    The estimator of Gasser, Sroka and Jennen-Steinmetz (1986). A curve's own bend counts as noise: it errs upwards.
    """
    if len(x) < 4:
        return 0.0, 0.0
    left = (x[2:] - x[1:-1]) / (x[2:] - x[:-2])
    residual = off_line(x, mean)
    scale = 1 + left**2 + (1 - left) ** 2
    inner = np.arange(len(left))
    line = np.zeros((len(left), len(x)))
    line[inner, inner], line[inner, inner + 1], line[inner, inner + 2] = -left, 1.0, left - 1
    expected = np.einsum("ij,jk,ik->i", line, test_noise, line)
    return float(((residual**2 - expected) / scale).mean()), (len(x) - 2) / 2
