"""Linear probes on frozen features: fitted on n images, their strength chosen on validation images. Free of torch.

Ridge in closed form, as scikit-learn's RidgeClassifier on StandardScaler: features standardised by the n training
images, targets -1 and 1, a free bias. A strength is relative to n (lambda / n), so that one grid serves every n.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special

STRENGTHS: tuple[float, ...] = tuple(float(f"{s:.6g}") for s in np.geomspace(1e-4, 1e3, 15))

_BLOCK = 1024  # rows of one float32 product; sums of whole blocks are kept, so that a chain's bits are a single size's
_STEPS = 2  # of the grid: how much weaker than the lowest loss the choice may be
_CONSTANT = 1e-6  # of its mean: a feature that varies less shows only how floats are rounded
_TEMPERATURES = (1e-2, 1e2)
_Array = np.ndarray


class ProbeError(ValueError):
    """A probe that cannot be fitted; the message says what would do."""


@dataclass(frozen=True)
class Scaler:
    """What features are standardised by: mean and 1 / standard deviation, (d,); 0 for those that do not vary."""

    mean: _Array
    rate: _Array

    @classmethod
    def of(cls, mean: _Array, variance: _Array) -> Scaler:
        std = np.sqrt(np.maximum(variance, 0))
        varies = std > _CONSTANT * np.abs(mean)
        return cls(mean, np.divide(1, std, out=np.zeros_like(std), where=varies))

    def __call__(self, features: _Array) -> _Array:
        """float32 (n, d)."""
        shifted = features - self.mean.astype(np.float32)
        shifted *= self.rate.astype(np.float32)
        return shifted

    def into(self, weights: _Array) -> _Array:
        """float32 weights (d, any) for features that are centred and no more: fewer numbers to scale than theirs."""
        return (weights * self.rate[:, None]).astype(np.float32)


@dataclass(frozen=True)
class Probe:
    """A fitted probe; `losses` are the validation losses of `strengths`, ascending both."""

    scaler: Scaler
    weights: _Array  # (d, classes), of standardised features
    bias: _Array  # (classes,)
    strength: float  # lambda / n
    strengths: tuple[float, ...]
    losses: tuple[float, ...]

    def scores(self, features: _Array) -> _Array:
        """float32 (n, classes); the largest is the answer."""
        weights, bias = self.scaler.into(self.weights), self.bias.astype(np.float32)
        found = np.empty((len(features), len(bias)), dtype=np.float32)
        for first, rows in _centred(self.scaler, features):
            np.matmul(rows, weights, out=found[first : first + len(rows)])
        return np.add(found, bias, out=found)


class NestedSums:
    """Sums over the first n rows of features, for one n after the other: a larger n only adds to them.

    Features are shifted and scaled by the first block's mean and deviation before any product, so that float32 serves;
    the sums are float64.
    """

    def __init__(self, features: _Array, labels: _Array, num_classes: int) -> None:
        """`features`: (pool, d); `labels`: (pool,) in 0 ... num_classes - 1."""
        self.features, self.labels, self.num_classes = features, labels, num_classes
        self._blocks = 0
        self._frame = Scaler(np.zeros(0), np.zeros(0))
        self._sums: tuple[_Array, _Array, _Array] = (np.zeros(0),) * 3

    def _of_rows(self, first: int, last: int) -> tuple[_Array, _Array, _Array]:
        """Of some rows in the frame: their sum (d,), products (d, d), and sum by class (d, classes)."""
        rows = self._frame(self.features[first:last])
        hot = np.eye(self.num_classes, dtype=np.float32)[self.labels[first:last]]
        return rows.sum(0, dtype=np.float64), rows.T @ rows, rows.T @ hot

    def at(self, n: int) -> tuple[Scaler, _Array, _Array]:
        """Of the first n rows: what standardises them, their correlations (d, d), and their mean product with the
        centred targets (d, classes), both of standardised features.

        Args:
            n: not below that of the call before.
        """
        whole = n // _BLOCK
        if not self._blocks:
            head = self.features[: min(n, _BLOCK)].astype(np.float64)
            scaler = Scaler.of(head.mean(0), head.var(0))
            self._frame = Scaler(scaler.mean.astype(np.float32), np.where(scaler.rate > 0, scaler.rate, 1.0))
            d = self.features.shape[1]
            self._sums = np.zeros(d), np.zeros((d, d)), np.zeros((d, self.num_classes))
        for block in range(self._blocks, whole):
            for total, part in zip(self._sums, self._of_rows(block * _BLOCK, (block + 1) * _BLOCK), strict=True):
                total += part
        self._blocks = max(self._blocks, whole)
        sums = self._sums
        if n % _BLOCK:
            rest = self._of_rows(whole * _BLOCK, n)
            sums = sums[0] + rest[0], sums[1] + rest[1], sums[2] + rest[2]
        total, products, by_class = sums
        mean, share = total / n, self._targets(n).mean(0)
        covariance = products / n - np.outer(mean, mean)
        unit = np.diagonal(covariance).copy()
        frame = self._frame
        scaler = Scaler.of(frame.mean + mean / frame.rate, unit / frame.rate**2)
        rate = np.where(scaler.rate > 0, 1 / np.sqrt(np.where(unit > 0, unit, 1)), 0.0)
        covariance *= np.outer(rate, rate)
        # By class c: the mean product with a target of 1 for c and -1 else, less that of the means.
        cross = (2 * by_class - total[:, None]) / n - np.outer(mean, share)
        return scaler, covariance, cross * rate[:, None]

    def _targets(self, n: int) -> _Array:
        return 2 * np.eye(self.num_classes)[self.labels[:n]] - 1

    def ridge(self, n: int, strengths: Sequence[float]) -> tuple[Scaler, _Array, _Array]:
        """The ridge on the first n rows: scaler, weights (strengths, d, classes) and bias (classes,).

        Minimises sum((targets - features @ weights - bias)^2) + strength * n * sum(weights^2). Below d rows the n x n
        system is solved in place of the d x d one.
        """
        bias = self._targets(n).mean(0)
        if n >= self.features.shape[1]:
            scaler, system, right = self.at(n)
            return scaler, np.stack([_solve(system, s, right) for s in strengths]), bias
        rows = self.features[:n].astype(np.float64)
        scaler = Scaler.of(rows.mean(0), rows.var(0))
        rows -= scaler.mean
        rows *= scaler.rate
        right = (self._targets(n) - bias) / n
        system = rows @ rows.T / n
        return scaler, np.stack([rows.T @ _solve(system, s, right) for s in strengths]), bias


def _solve(system: _Array, strength: float, right: _Array) -> _Array:
    """(system + strength * identity)^-1 right."""
    raised = system.copy()
    raised.ravel()[:: len(raised) + 1] += strength
    # It is its own transpose, which lies in memory as LAPACK wants it: else the factor takes half as long again.
    factor = scipy.linalg.cho_factor(raised.T, lower=True, overwrite_a=True, check_finite=False)
    return scipy.linalg.cho_solve(factor, right, check_finite=False)


def _centred(scaler: Scaler, features: _Array) -> Iterator[tuple[int, _Array]]:
    """Where a block of rows begins, and its features less their mean, float32, which the next block overwrites: a copy
    of all of them would take longer than the products."""
    mean = scaler.mean.astype(np.float32)
    space = np.empty((min(_BLOCK, len(features)), features.shape[1]), dtype=np.float32)
    for first in range(0, len(features), _BLOCK):
        block = features[first : first + _BLOCK]
        yield first, np.subtract(block, mean, out=space[: len(block)], casting="same_kind")


def _squared_losses(scaler: Scaler, features: _Array, labels: _Array, weights: _Array, bias: _Array) -> _Array:
    """float32 (strengths, images): the mean over classes of each one's squared loss."""
    count, d, classes = weights.shape
    side_by_side = scaler.into(weights.transpose(1, 0, 2).reshape(d, count * classes))
    found = np.empty((count, len(features)), dtype=np.float32)
    for first, rows in _centred(scaler, features):
        targets = 2 * np.eye(classes, dtype=np.float32)[labels[first : first + _BLOCK]] - 1
        missed = (rows @ side_by_side).reshape(-1, count, classes)
        missed += (bias.astype(np.float32) - targets)[:, None]
        found[:, first : first + len(rows)] = np.einsum("nsc,nsc->sn", missed, missed) / classes
    return found


def best_strength(losses: Sequence[float]) -> int:
    """Where the lowest loss is; of equal ones the strongest."""
    return len(losses) - 1 - int(np.argmin(np.asarray(losses)[::-1]))


def _weakest_alike(losses: _Array) -> int:
    """The weakest strength that the images cannot tell from the best one, two steps below it at most.

    The squared loss asks for more shrinkage than the error does: it also counts how far right answers lie from 1. The
    weakest within one standard error of the paired differences takes back a third to a half of what that costs
    (LAB.md).

    Args:
        losses: (strengths, images), ascending strengths.
    """
    best = best_strength(losses.mean(1, dtype=np.float64).tolist())
    for weaker in range(max(0, best - _STEPS), best):
        more = losses[weaker].astype(np.float64) - losses[best]
        if more.mean() <= more.std() / np.sqrt(len(more)):
            return weaker
    return best


def fit_ridge(
    sums: NestedSums, n: int, val: _Array, val_labels: _Array, *, strengths: Sequence[float] = STRENGTHS
) -> Probe:
    """The ridge on the first n rows whose squared loss on the validation images is lowest, or a weaker one that they
    cannot tell from it.

    Args:
        sums: of the chain; its next n may not be smaller.
        val: (m, d) features of validation images, which are not trained on; `val_labels` (m,).
        strengths: lambda / n, ascending. By their error, which moves in steps of 1 / m, the choice would be about five
            times worse below a thousand images.
    """
    scaler, weights, bias = sums.ridge(n, strengths)
    losses = _squared_losses(scaler, val, val_labels, weights, bias)
    chosen = _weakest_alike(losses)
    means = losses.mean(1, dtype=np.float64).tolist()
    return Probe(scaler, weights[chosen], bias, strengths[chosen], tuple(strengths), tuple(means))


def fit_logistic(
    sums: NestedSums, n: int, val: _Array, val_labels: _Array, *, strengths: Sequence[float] = STRENGTHS
) -> Probe:
    """Softmax regression on the first n rows: as `fit_ridge`, with mean cross-entropy + strength / 2 * sum(weights^2)
    fitted, and cross-entropy on the validation images compared.

    Raises:
        ProbeError: scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ProbeError("probe.loss=logistic needs scikit-learn (pip install 'vit-scaling[logistic]')") from error
    rows = sums.features[:n].astype(np.float64)
    scaler = Scaler.of(rows.mean(0), rows.var(0))
    rows, held, labels = scaler(sums.features[:n]), scaler(val), sums.labels[:n]
    # Its default tolerance stops far from the optimum. From strong to weak: each starts where the one before ended.
    model = LogisticRegression(tol=1e-8, max_iter=10_000, warm_start=True)
    found = []
    for strength in sorted(strengths, reverse=True):
        model.set_params(C=1 / (n * strength)).fit(rows.astype(np.float64), labels)
        weights, bias = _all_classes(model.coef_, model.intercept_, model.classes_, sums.num_classes)
        found.append((cross_entropy(held @ weights + bias, val_labels), weights, bias))
    found.reverse()
    losses = [loss for loss, _, _ in found]
    best = best_strength(losses)
    return Probe(
        scaler, found[best][1], found[best][2], sorted(strengths)[best], tuple(sorted(strengths)), tuple(losses)
    )


def _all_classes(coef: _Array, intercept: _Array, classes: _Array, num_classes: int) -> tuple[_Array, _Array]:
    """Weights (d, classes) and bias of scikit-learn's; of two classes it has the difference alone."""
    if len(classes) == 2:
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    weights, bias = np.zeros((coef.shape[1], num_classes)), np.full(num_classes, -np.inf)
    weights[:, classes], bias[classes] = coef.T, intercept
    return weights, bias


def cross_entropy(scores: _Array, labels: _Array) -> float:
    """Mean over images, in nats; `scores` are logits (n, classes)."""
    logs = scipy.special.log_softmax(scores.astype(np.float64), axis=1)
    return float(-logs[np.arange(len(labels)), labels].mean())


def temperature(scores: _Array, labels: _Array) -> float:
    """What scores of a ridge are multiplied by to be logits: the factor of the lowest cross-entropy on these images."""
    low, high = np.log(_TEMPERATURES)
    found = scipy.optimize.minimize_scalar(
        lambda t: cross_entropy(np.exp(t) * scores, labels), bounds=(low, high), method="bounded"
    )
    return float(np.exp(found.x))
