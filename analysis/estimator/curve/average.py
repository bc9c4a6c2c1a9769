"""Bootstraps each curve under every form; a form gets replicates in proportion to its evidence.

For every form and several sizes of *discrepancy* (discrepancy.py) the most probable parameters are found, and
the pair gets the weight of its evidence (Laplace's approximation). The uncertainty comes from replicates: noise, prior
and discrepancy are drawn, the fit is repeated, and the discrepancy updated ("randomise, then optimise", Bardsley et
al. 2014), which for linear models is exact. One form's parametric bootstrap covers 0-9% instead of 90% as soon as the
truth has another form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.estimator.arrays import Array
from analysis.estimator.curve.discrepancy import SETTINGS, Bumps, Problem, Settings, make_problem
from analysis.estimator.curve.forms import FORMS, Form, Scale
from analysis.estimator.curve.least_squares import apply, minimise
from analysis.estimator.curve.most_probable import Batch, Mode, find_modes, priors
from analysis.estimator.curve.noise import Points
from analysis.estimator.curve.shared_images import common_numbers

DRAWS = 1000


@dataclass(frozen=True)
class ReplicateBlock:
    """Replicates of one form: parameters (p, D) and discrepancy coefficients (M, D)."""

    form: Form
    theta: Array
    bumps: Array
    bend: Array  # (D,) change of the slope after the data


@dataclass(frozen=True)
class Average:
    """Equally probable curves. `forms` lists each form's most probable parameters and its weight."""

    scale: Scale
    basis: Bumps
    last: float  # the largest u measured
    blocks: tuple[ReplicateBlock, ...]
    order: NDArray[np.int64]  # (draws,) mixes the blocks
    forms: list[dict[str, Any]]
    lack_of_fit: float | None  # p-value of the most probable form's misfit, None without a degree of freedom left

    def log_draws(self, n: Array) -> Array:
        """(draws, len(n)) log errors."""
        u = np.log(n / self.scale.reference)
        bumps, past = self.basis.at(u), np.maximum(u - self.last, 0)[:, None]
        values = [
            b.form.value(b.theta, u[:, None], self.scale.chance, False)[0] + bumps @ b.bumps + past * b.bend
            for b in self.blocks
        ]
        return np.concatenate(values, axis=1).T[self.order]


def share_out(weights: Array, total: int) -> NDArray[np.int64]:
    """`total` draws in proportion to the weights, by largest remainders."""
    exact = weights * total
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(-(exact - counts), kind="stable")[: total - int(counts.sum())]] += 1
    return counts


@dataclass(frozen=True)
class Redrawn:
    """One curve's replicates of one form before they are fitted."""

    level: NDArray[np.int64]  # (D,)
    start: Array  # (p, D)
    bumps: Array  # (M, D)
    z: Array  # (k, D)
    mean: Array  # (p, D)
    change: Array  # (D,) of the slope after the data, in units of its scale


def _draw_noise(points: Points, common: Array, rng: np.random.Generator) -> Array:
    """(k, D) noise of the points. `common` (q or more, D): the numbers that other curves' replicates have, too."""
    total, test_noise = common.shape[1], points.test_noise
    # tau is an estimate: replicates with its uncertainty make the noise Student's t, wider with few seeds.
    stretch = np.sqrt(points.dof / rng.chisquare(points.dof, total))
    own = np.sqrt(np.maximum(points.variance - np.diagonal(test_noise), 0))[:, None]
    noise = stretch * own * rng.standard_normal((len(own), total))
    if not test_noise.any():
        return noise
    moved = points.common @ common[: points.common.shape[1]]
    values, vectors = np.linalg.eigh(test_noise - points.common @ points.common.T)
    rest = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T  # the symmetric root has no sign to choose
    return np.asarray(noise + moved + rest @ rng.standard_normal((len(own), total)))


def redraw(
    modes: list[Mode],
    counts: NDArray[np.int64],
    problem: Problem,
    settings: Settings,
    *,
    common: Array,
    rng: np.random.Generator,
) -> Redrawn:
    """Draws noise, prior and discrepancy; `counts` replicates per size of discrepancy. `common`: see _draw_noise."""
    level = np.repeat(np.arange(len(counts)), counts)
    points, total = problem.points, len(level)
    mean, sd = priors(modes[0].form, [problem])
    bumps = problem.sizes[level].T * rng.standard_normal((problem.phi.shape[1], total))
    noise = _draw_noise(points, common, rng)
    return Redrawn(
        level,
        np.repeat(np.stack([m.theta for m in modes], axis=1), counts, axis=1),
        bumps,
        points.log_error[:, None] + noise - problem.phi @ bumps,
        mean + sd * rng.standard_normal((len(sd), total)),
        rng.standard_t(settings.beyond.dof, total) if settings.beyond else np.zeros(total),
    )


def last_slope(form: Form, theta: Array, problem: Problem) -> Array:
    """(D,) the form's slope over the last factor of 2 within the data."""
    u = problem.u[-1] - np.array([[0.0], [math.log(2.0)]])
    late, early = form.value(theta, u, problem.scale.chance, False)[0]
    return np.asarray((late - early) / math.log(2.0))


def replicate(form: Form, batch: Batch, redrawn: list[Redrawn], settings: Settings) -> list[ReplicateBlock]:
    """Fits every curve's replicates of one form, all in one go."""
    curve = np.repeat(np.arange(len(redrawn)), [len(r.level) for r in redrawn])
    group = curve * batch.levels + np.concatenate([r.level for r in redrawn])
    z = np.zeros((len(batch.u), len(curve)))
    for c, r in enumerate(redrawn):
        z[: len(r.z), curve == c] = r.z
    _, sd = priors(form, batch.problems)
    model = batch.model(form, curve)
    solution = minimise(
        model,
        np.concatenate([r.start for r in redrawn], axis=1),
        z=z,
        whiten=batch.whiten,
        group=group,
        mean=np.concatenate([r.mean for r in redrawn], axis=1),
        sd=sd[:, curve],
        tolerance=1e-2,
        rounds=12,
    )
    left = z - model(solution.theta, np.arange(len(curve)))[0]
    pulled = apply(batch.whiten.transpose(0, 2, 1), group, apply(batch.whiten, group, left))
    blocks = []
    for c, (r, problem) in enumerate(zip(redrawn, batch.problems, strict=True)):
        own = curve == c
        bumps = r.bumps + problem.sizes[r.level].T ** 2 * (problem.phi.T @ pulled[: len(problem.u), own])
        theta = solution.theta[:, own]
        bend = r.change
        if settings.beyond:
            bend = bend * settings.beyond.scale(
                form.name, r.level, np.array(settings.discrepancy)[r.level], last_slope(form, theta, problem)
            )
        blocks.append(ReplicateBlock(form, theta, bumps, bend))
    return blocks


def _lack_of_fit(modes: list[Mode], known: float) -> float | None:
    """`known`: degrees of freedom of the noise."""
    best = max((m for m in modes if m.level == 0), key=lambda m: m.evidence)
    if best.dof < 0.5:
        return None
    from scipy.special import fdtrc  # 0.2 s to import, and only needed here

    return float(fdtrc(best.dof, known, best.chi2 / best.dof))  # F, since the noise is an estimate


def weigh(modes: list[list[Mode]], settings: Settings, *, chance_known: bool) -> Array:
    """(F, L) probabilities of the forms and sizes of discrepancy."""
    evidence = np.array([[m.evidence for m in per_form] for per_form in modes])
    prior = np.array(settings.prior)
    forms = settings.log_form_prior([per_form[0].form.name for per_form in modes], chance_known=chance_known)
    joint = evidence + np.log(prior / prior.sum()) + forms[:, None]
    return np.exp(joint - np.logaddexp.reduce(joint, axis=None))


def _describe(form: Form, modes: list[Mode], weights: Array, scale: Scale) -> dict[str, Any]:
    best = modes[int(np.argmax(weights))]
    public = dict(zip(form.parameters, form.public(best.theta, scale), strict=True))
    return {"name": form.name, "formula": form.formula, "parameters": public, "weight": float(weights.sum())}


def average_forms(
    points: Sequence[Points],
    scales: Sequence[Scale],
    streams: Sequence[list[int]],
    *,
    draws: int = DRAWS,
    settings: Settings = SETTINGS,
) -> list[Average]:
    """Fits every form to every curve; a stream seeds a curve's replicates, of which there are `draws`.

    Curves of one question have the first number of their streams in common: it seeds the noise that they share.
    """
    problems = [make_problem(p, s, settings) for p, s in zip(points, scales, strict=True)]
    forms = [f for f in FORMS if f.name in settings.forms]
    batches, modes = {}, {}
    for form in forms:
        mine = [c for c, s in enumerate(scales) if not form.needs_chance or s.chance is not None]
        if mine:
            batches[form.name] = (mine, Batch.of([problems[c] for c in mine]))
            for c, found in zip(mine, find_modes(form, batches[form.name][1]), strict=True):
                modes[c, form.name] = found
    blocks: list[list[ReplicateBlock]] = [[] for _ in problems]
    listed: list[list[dict[str, Any]]] = [[] for _ in problems]
    counts, rngs = {}, [np.random.default_rng(stream) for stream in streams]
    orders = [rng.permutation(draws) for rng in rngs]
    common = {}  # per curve and form: what its replicates share with those of other curves in the same places
    for c, scale in enumerate(scales):
        own = [f for f in forms if (c, f.name) in modes]
        weights = weigh([modes[c, f.name] for f in own], settings, chance_known=scale.chance is not None)
        shares = share_out(weights.ravel(), draws).reshape(weights.shape)
        numbers = common_numbers(streams[c][0], draws)[:, np.argsort(orders[c])]
        parts = np.split(numbers, np.cumsum(shares.sum(axis=1))[:-1], axis=1)
        for form, share, weight, part in zip(own, shares, weights, parts, strict=True):
            counts[c, form.name], common[c, form.name] = share, part
            listed[c].append(_describe(form, modes[c, form.name], weight, scale))
    for form in forms:
        if form.name not in batches:
            continue
        mine, batch = batches[form.name]
        redrawn = [
            redraw(
                modes[c, form.name],
                counts[c, form.name],
                problems[c],
                settings,
                common=common[c, form.name],
                rng=rngs[c],
            )
            for c in mine
        ]
        for c, block in zip(mine, replicate(form, batch, redrawn, settings), strict=True):
            blocks[c].append(block)
    return [
        Average(
            scale,
            problems[c].basis,
            float(problems[c].u[-1]),
            tuple(blocks[c]),
            orders[c],
            listed[c],
            _lack_of_fit([m for f in forms for m in modes.get((c, f.name), [])], points[c].dof),
        )
        for c, scale in enumerate(scales)
    ]
