"""Compares two families by their joint laws: who leads at how many images, for a model size or for an arithmetic.

At one number of parameters both families have that size. Within an amount of arithmetic each family has the largest
size that trains within it, never one beyond those measured: the law falls with the size, so that is its best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.estimator.arrays import Array
from analysis.estimator.curve.joint_law import bootstrap_joint, fit_joint

# A law has three unknowns of the model's size (E, A, alpha): fewer sizes fit any of them. Four sizes of images a model
# leave one over for beta, which shares its E.
LEAST_MODELS, LEAST_SIZES = 3, 4
LAW_REPLICATES = 300
Axis = Literal["train_flops", "num_params"]


@dataclass(frozen=True)
class FamilyLaw:
    """Replicates of one family's law, and where it was measured."""

    draws: Array  # (R, 5), in the order of LAW_NAMES
    params: tuple[float, float]  # smallest and largest model
    images: tuple[float, float]
    flops: Array | None = None  # (3,): ln FLOPs = c0 + c1 ln N + c2 ln n; None where they are not known

    def loss(self, num_params: Array, train_size: Array) -> Array:
        """(R, k) of the replicates at k pairs of sizes."""
        a, b, e, alpha, beta = self.draws.T[:, :, None]
        return np.asarray(e + a * num_params**-alpha + b * train_size**-beta)

    def affordable(self, flops: Array, train_size: Array) -> Array:
        """(k,) parameters of the largest measured size within these FLOPs; NaN where the smallest needs more."""
        assert self.flops is not None
        c0, c1, c2 = self.flops
        size = np.exp((np.log(flops) - c0 - c2 * np.log(train_size)) / c1)
        return np.where(size >= self.params[0] * (1 - 1e-6), np.minimum(size, self.params[1]), np.nan)


@dataclass(frozen=True)
class LawContest:
    """The two families' laws, replicate beside replicate."""

    vit: FamilyLaw
    cnn: FamilyLaw

    @property
    def images(self) -> tuple[float, float]:
        """Those that both families were measured at."""
        return max(self.vit.images[0], self.cnn.images[0]), min(self.vit.images[1], self.cnn.images[1])

    def sizes(self, axis: Axis, x: Array, n: Array) -> tuple[Array, Array]:
        """(k,) parameters of the ViT and of the CNN at k points of the axis and of the images."""
        if axis == "train_flops":
            return self.vit.affordable(x, n), self.cnn.affordable(x, n)
        return x, x

    def p_vit_better(self, axis: Axis, x: ArrayLike, n: ArrayLike) -> Array:
        """(k,) P(the ViT's law lies below the CNN's); NaN where a family has no model so cheap."""
        at, images = (np.asarray(v, dtype=float) for v in np.broadcast_arrays(x, n))
        vit, cnn = self.sizes(axis, at, images)
        gap = self.vit.loss(vit, images) - self.cnn.loss(cnn, images)
        p = np.mean((gap < 0) + 0.5 * (gap == 0), axis=0)
        return np.asarray(np.where(np.isnan(vit) | np.isnan(cnn), np.nan, p))

    def reach(self, axis: Axis, n: tuple[float, float]) -> tuple[float, float] | None:
        """The axis from where both families have a model at the fewest images to where both are at their largest at
        the most; None where nothing is common, or nothing is known of the FLOPs."""
        sides = (self.vit, self.cnn)
        if axis == "num_params":
            low, high = max(s.params[0] for s in sides), min(s.params[1] for s in sides)
        else:
            needs = []
            for side in sides:
                if side.flops is None:
                    return None
                needs += [np.exp(side.flops @ [1, np.log(p), np.log(m)]) for p, m in zip(side.params, n, strict=True)]
            low, high = max(needs[0], needs[2]), max(needs[1], needs[3])
        return (float(low), float(high)) if low < high else None


@dataclass(frozen=True)
class Surface:
    """Who leads along an axis and over images; the lines of the crossing and its band are levels of `p`."""

    axis: Axis
    x: Array  # (X,) FLOPs or parameters
    n: Array  # (G,) images
    p: Array  # (X, G): P(ViT better)


def _place(log_n: Array, p: Array, goal: float) -> float:
    """Where the line through two neighbours passes the goal."""
    share = 0.5 if p[0] == p[1] else (goal - p[0]) / (p[1] - p[0])
    return float(np.exp(log_n[0] + share * (log_n[1] - log_n[0])))


def law_crossings(n: Array, p: Array, level: float) -> list[tuple[float, float, float]]:
    """The sizes at which the lead changes hands, each with the ends of its interval at `level`; NaN for an open end.

    The ends are where P(ViT better) passes (1 - level) / 2 and (1 + level) / 2, looked for up to the next change: the
    quantiles of the crossing where every replicate crosses once. A change with two open ends is none.
    """
    known = np.isfinite(p)
    log_n, p = np.log(n[known]), p[known]
    changes = np.flatnonzero((p[1:] > 0.5) != (p[:-1] > 0.5))
    edges, tail, found = [0, *(changes + 1), len(p)], (1 - level) / 2, []
    for k, at in enumerate(changes):
        up = p if p[at + 1] > 0.5 else 1 - p  # of the family that leads afterwards
        before = edges[k] + np.flatnonzero(up[edges[k] : at + 1] <= tail)
        after = at + np.flatnonzero(up[at + 1 : edges[k + 2]] >= 1 - tail)
        if len(before) or len(after):
            i, j = (before[-1] if len(before) else at), (after[0] if len(after) else at)
            low = _place(log_n[i : i + 2], up[i : i + 2], tail) if len(before) else np.nan
            high = _place(log_n[j : j + 2], up[j : j + 2], 1 - tail) if len(after) else np.nan
            found.append((_place(log_n[at : at + 2], up[at : at + 2], 0.5), low, high))
    return found


def make_surface(contest: LawContest, axis: Axis, images: tuple[float, float]) -> Surface | None:
    """P(ViT better) at 60 places of the axis, and 120 sizes in `images`; None where the families share
    no place of it."""
    reach = contest.reach(axis, images)
    if reach is None:
        return None
    x, n = np.geomspace(*reach, 60), np.geomspace(*images, 120)
    p = np.stack([contest.p_vit_better(axis, at, n) for at in x])
    return Surface(axis, x, n, p)


def joint_runs(rows: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """Per family the runs that its law rests on: of models with 4 sizes of images, whatever their number."""
    known = rows[rows["num_params"].notna() & (rows[column] > 0)] if "num_params" in rows.columns else rows[:0]
    found = {}
    for family, own in known.groupby("family"):
        sizes = own.groupby("num_params")["train_size"].nunique()
        found[str(family)] = own[own["num_params"].isin(sizes.index[sizes >= LEAST_SIZES])]
    return found


def _flops(runs: pd.DataFrame) -> Array | None:
    if "train_flops" not in runs.columns:
        return None
    known = runs[runs["train_flops"] > 0]
    if known["num_params"].nunique() < 2 or known["train_size"].nunique() < 2:
        return None
    by = np.column_stack([np.ones(len(known)), np.log(known["num_params"]), np.log(known["train_size"])])
    found: Array = np.linalg.lstsq(by, np.log(known["train_flops"].to_numpy(float)), rcond=None)[0]
    return found if found[1] > 0 else None


def fit_contest(runs: Mapping[str, pd.DataFrame], column: str, *, seed: int = 0) -> LawContest | str:
    """Both families' laws with 300 bootstrap replicates over the runs; a reason where a family has too few models."""
    for family, name in (("vit", "ViTs"), ("cnn", "CNNs")):
        count = runs[family]["num_params"].nunique() if family in runs else 0
        if count < LEAST_MODELS:
            sizes = "size" if count == 1 else "sizes"
            return (
                f"the {name} have {count} model {sizes} with {LEAST_SIZES} sizes of images or more, and a joint law"
                f" needs {LEAST_MODELS} of each family"
            )
    low = max(float(own["train_size"].min()) for own in runs.values())
    if low >= min(float(own["train_size"].max()) for own in runs.values()):
        return "the two families were measured at different numbers of images"
    laws = []
    for i, family in enumerate(("vit", "cnn")):
        own = runs[family]
        data = (own["num_params"], own["train_size"], own[column])
        law = fit_joint(*data, seed=seed)
        draws = bootstrap_joint(law, *data, replicates=LAW_REPLICATES, seed=seed + i)
        ends = [(float(own[c].min()), float(own[c].max())) for c in ("num_params", "train_size")]
        laws.append(FamilyLaw(draws, ends[0], ends[1], _flops(own)))
    whole = np.isfinite(laws[0].draws).all(axis=1) & np.isfinite(laws[1].draws).all(axis=1)
    return LawContest(*(FamilyLaw(s.draws[whole], s.params, s.images, s.flops) for s in laws))
