"""What forms and deviations say of real curves in, weights and scales learned from what came out (empirical Bayes).

Maximised is the log density that the averaged forms gave to the error at the curve's end, and a little of the evidence
of its points, summed over all cases, less weak penalties that keep every number near a plain start. A proper score:
neither too wide nor too narrow pays. The gradient is exact, so that a fit takes seconds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.benchmark.predictive import Predictive
from analysis.estimator.arrays import Array
from analysis.estimator.curve.discrepancy import Settings
from analysis.estimator.curve.forms import FORMS
from analysis.estimator.curve.learned import Learned, parse_learned

LEVELS = (0.0, 0.01, 0.03, 0.1, 0.3, 0.03, 0.1, 0.3)  # what competes: standard deviations of the log error
LOCAL_SIZES = (0.0, 0.005, 0.01, 0.03, 0.05, 0.03, 0.1, 0.3)  # of the part that changes from size to size
ROUGH = (0.0, 0.0, 0.0, 0.0, 0.0, 0.015, 0.015, 0.05)
START_PRIOR = (0.22, 0.26, 0.22, 0.13, 0.04, 0.07, 0.04, 0.02)
BASIS_WIDTH = 2.0
LOCAL_WIDTH = 0.25  # in ln n; both were chosen by hand, by the bands inside the data and beyond (docs/estimator.md)
WEIGHTS = {"lcdb": 1.0, "vision": 6.0, "language": 4.0}  # of a case: LCDB has 30 times as many as either of the others
OF_POINTS = 0.05  # weight of the evidence of a curve's points beside that of its end
REPLICATES = 16
EXTRA = 1e-3  # least standard scale at the end, so that few draws make a density
# Parts of the vector of unknowns: name, length, start, weight of the squared distance from it.
UNKNOWNS: tuple[tuple[str, int, float, float], ...] = (
    ("known", len(FORMS), 0.0, 0.02),
    ("unknown", len(FORMS), 0.0, 0.02),
    ("levels", len(LEVELS), 0.0, 0.02),
    ("share", len(FORMS), math.log(0.13), 0.3),
    ("factor", len(LEVELS), 0.0, 0.3),
    ("level", 1, math.log(0.1), 0.05),
    ("least", 1, math.log(0.001), 0.05),
    ("dof", 1, 0.0, 0.1),  # ln(dof - 2)
)
NEEDS = np.array([f.needs_chance for f in FORMS])


def candidates() -> Settings:
    """The sizes of discrepancy that compete, before anything is learned."""
    return Settings(
        discrepancy=LEVELS,
        rough=ROUGH,
        prior=START_PRIOR,
        width=BASIS_WIDTH,
        local=LOCAL_SIZES,
        local_width=LOCAL_WIDTH,
        growth=0.0,
        beyond=None,
    )


def _split(theta: Array) -> dict[str, Array]:
    edges = np.cumsum([0, *(n for _, n, _, _ in UNKNOWNS)])
    return {name: theta[a:b] for (name, *_), a, b in zip(UNKNOWNS, edges, edges[1:], strict=False)}


def _log_softmax(x: Array) -> Array:
    return np.asarray(x - np.logaddexp.reduce(x))


def _log_form_prior(part: Mapping[str, Array]) -> tuple[Array, Array]:
    """(F,) where the chance level is known, and where it is not."""
    unknown = np.where(NEEDS, -np.inf, part["unknown"])
    return _log_softmax(part["known"]), unknown - np.logaddexp.reduce(unknown)


@dataclass(frozen=True)
class _Weighed:
    prior: Array  # (N, F, L) log, before the points
    joint: Array  # (N, F, L) log of prior times evidence
    points: Array  # (N,) log evidence of all together


def _weigh(part: Mapping[str, Array], p: Predictive) -> _Weighed:
    known, unknown = _log_form_prior(part)
    forms = np.where(p.chance_known[:, None], known, np.where(NEEDS, 0.0, unknown))
    levels = _log_softmax(np.log(START_PRIOR) + part["levels"])
    prior = forms[:, :, None] + levels
    joint = p.evidence + prior
    return _Weighed(prior, joint, np.logaddexp.reduce(joint, axis=(1, 2)))


def _squares(part: Mapping[str, Array], p: Predictive) -> tuple[Array, Array, Array]:
    """The three parts of the squared scale of the slope's change: (N, F, L, R), (L, 1), ()."""
    share = np.exp(part["share"][:, None] + part["factor"])[:, :, None] * p.slope
    level = (np.exp(part["level"]) * np.array(LEVELS))[:, None]
    return share**2, level**2, np.exp(2 * part["least"][0])


def _log_density(z2: Array, scale: Array, dof: float) -> Array:
    """Student's t with squared standardised distances z2."""
    constant = math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2) - 0.5 * math.log(dof * math.pi)
    return np.asarray(constant - np.log(scale) - (dof + 1) / 2 * np.log1p(z2 / dof))


def _score(theta: Array, p: Predictive, weight: Array) -> tuple[float, Array]:
    """The objective (to be minimised) and its gradient."""
    from scipy.special import digamma

    part = _split(theta)
    w = _weigh(part, p)
    own, level, least = _squares(part, p)
    total = own + level + least
    ahead = p.beyond[:, None, None, None]
    scale = np.sqrt(total) * ahead + EXTRA
    dof = 2 + math.exp(part["dof"][0])
    z2 = ((p.truth[:, None, None, None] - p.draws) / scale) ** 2
    log_d = (w.joint - w.points[:, None, None])[..., None] + _log_density(z2, scale, dof) - math.log(p.draws.shape[-1])
    at_end = np.logaddexp.reduce(log_d, axis=(1, 2, 3))
    blame = np.exp(log_d - at_end[:, None, None, None]) * weight[:, None, None, None]
    posterior = np.exp(w.joint - w.points[:, None, None]) * weight[:, None, None]
    by_prior = blame.sum(axis=3) - (1 - OF_POINTS) * posterior  # d objective / d log prior, before it is normalised
    # d log density / d ln of the total square
    pull = blame * ((dof + 1) * z2 / (dof + z2) - 1) * (np.sqrt(total) * ahead / scale) / 2
    by_own, by_level, by_least = (2 * pull * own / total, 2 * pull * level / total, 2 * pull * least / total)
    by_dof = 0.5 * (
        digamma((dof + 1) / 2) - digamma(dof / 2) - 1 / dof - np.log1p(z2 / dof) + (dof + 1) / dof * z2 / (dof + z2)
    )
    known = p.chance_known
    gradient = {
        "known": _through(by_prior[known].sum(axis=(0, 2)), _log_form_prior(part)[0]),
        "unknown": _through(np.where(NEEDS, 0.0, by_prior[~known].sum(axis=(0, 2))), _log_form_prior(part)[1]),
        "levels": _through(by_prior.sum(axis=(0, 1)), _log_softmax(np.log(START_PRIOR) + part["levels"])),
        "share": by_own.sum(axis=(0, 2, 3)),
        "factor": by_own.sum(axis=(0, 1, 3)),
        "level": by_level.sum(keepdims=True).ravel(),
        "least": by_least.sum(keepdims=True).ravel(),
        "dof": np.array([(blame * by_dof).sum() * math.exp(part["dof"][0])]),
    }
    rise = float((weight * (at_end + OF_POINTS * w.points)).sum())
    return -rise, -np.concatenate([gradient[name] for name, *_ in UNKNOWNS])


def _through(gradient: Array, log_prior: Array) -> Array:
    """A gradient by log probabilities into one by what they are the softmax of."""
    return np.asarray(gradient - np.exp(log_prior) * gradient.sum())


def learn(p: Predictive, weight: Array, *, rounds: int = 120) -> Array:
    """The vector of unknowns that scores best; `weight` (N,) of the cases."""
    from scipy.optimize import minimize

    start = np.concatenate([np.full(n, s) for _, n, s, _ in UNKNOWNS])
    hold = np.concatenate([np.full(n, h) for _, n, _, h in UNKNOWNS])
    share = 100 * weight / weight.sum()

    def objective(theta: Array) -> tuple[float, Array]:
        value, gradient = _score(theta, p, share)
        away = theta - start
        return value + float((hold * away**2).sum()), gradient + 2 * hold * away

    return np.asarray(minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": rounds}).x)


def describe_learned(theta: Array) -> dict[str, Any]:
    """The learned numbers as they stand in the file, to four digits."""
    part = _split(theta)
    forms = [np.exp(x) for x in _log_form_prior(part)]
    prior = np.exp(_log_softmax(np.log(START_PRIOR) + part["levels"]))
    rows = zip(LEVELS, LOCAL_SIZES, ROUGH, prior, np.exp(part["factor"]), strict=True)
    return {
        "width": BASIS_WIDTH,
        "local_width": LOCAL_WIDTH,
        "levels": [
            {"smooth": s, "local": w, "rough": r, "prior": _short(p), "factor": _short(f)} for s, w, r, p, f in rows
        ],
        "forms": {
            name: {f.name: _short(w) for f, w in zip(FORMS, own, strict=True) if w > 0}
            for name, own in zip(("chance_known", "chance_unknown"), forms, strict=True)
        },
        "beyond": {
            "share": {f.name: _short(math.exp(s)) for f, s in zip(FORMS, part["share"], strict=True)},
            "level": _short(math.exp(part["level"][0])),
            "least": _short(math.exp(part["least"][0])),
            "dof": _short(2 + math.exp(part["dof"][0])),
        },
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def learned_from(theta: Array) -> Learned:
    return parse_learned(describe_learned(theta))


def settings_from(theta: Array) -> Settings:
    """The estimator's settings with what was learned."""
    got = learned_from(theta)
    return Settings(
        form_prior=got.forms,
        discrepancy=got.discrepancy,
        rough=got.rough,
        prior=got.prior,
        width=got.width,
        local=got.local,
        local_width=got.local_width,
        beyond=got.beyond,
    )


def write_learned(path: Path, theta: Array, provenance: Mapping[str, Any]) -> None:
    path.write_text(json.dumps({"provenance": provenance} | describe_learned(theta), indent=2) + "\n", encoding="utf-8")
