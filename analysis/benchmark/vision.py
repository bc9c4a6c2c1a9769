"""Scores the estimator on the open vision curves: extrapolation, real crossings, winners at the end.

Data: data/curves/vision-benchmark.csv (Alabdulmohsin et al. 2022, arXiv 2209.06640) and vision-crossings.csv, the pairs
whose smoothed full curves cross exactly once.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.benchmark.smoothing import WIDTH, smooth, what_came
from analysis.estimator.arrays import Array
from analysis.estimator.crossover.crossings import p_meets
from analysis.estimator.crossover.envelope import Families, Lead
from analysis.estimator.crossover.find_crossover import compare, find_crossover
from analysis.estimator.crossover.paired_draws import FACTOR, TIE
from analysis.estimator.crossover.verdict import Verdict
from analysis.estimator.curve.discrepancy import SETTINGS, Settings
from analysis.estimator.curve.fit_curve import fit_points
from analysis.estimator.curve.noise import summarise

SIZE = "Seen Examples"
# What leave-one-data-set-out may choose among: the discrepancy's behaviour near chance, at small sizes, between
# neighbours. The default is one of them.
CANDIDATES: Mapping[str, Settings] = {
    f"{'squash' if squash else 'plain'}{'+trim' if trim else ''}{'' if rough else '-rough'}": replace(
        SETTINGS if rough else SETTINGS.smooth(), squash=squash, trim=trim
    )
    for squash, trim, rough in itertools.product((True, False), (0.0, 0.5), (True, False))
}
DEFAULT = "squash"
LOOKED_AT = 40  # sizes between a cut and the end at which leads are looked at


def load_curves(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "vision-benchmark.csv").rename(columns={SIZE: "n", "Loss": "y"})


def load_crossings(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "vision-crossings.csv", dtype={"k": str})


def classes(task: str) -> int:
    return 100 if task.startswith("c_") else 1000


def images(task: str) -> str:
    return "CIFAR-100" if task.startswith("c_") else "ImageNet"


def extrapolate(curves: pd.DataFrame, settings: Settings = SETTINGS, *, seed: int = 0) -> pd.Series:
    """Root mean square log error on `Training` = 0 of fits on `Training` = 1, indexed by task and model."""
    found = {}
    for task, rows in curves.groupby("Task"):
        models = [(str(m), r) for m, r in rows.groupby("Model")]
        points = [summarise(r[r.Training == 1].n, r[r.Training == 1].y) for _, r in models]
        fits = fit_points(
            points,
            metric="error",
            num_classes=classes(str(task)),
            streams=[[seed, i] for i in range(len(points))],
            settings=settings,
        )
        for fit, (model, r) in zip(fits, models, strict=True):
            held = r[r.Training == 0]
            off = np.log(fit.predict(held.n.to_numpy())) - np.log(held.y.to_numpy())
            found[str(task), model] = float(np.sqrt(np.mean(off**2)))
    return pd.Series(found)


def leave_one_out(errors: Mapping[str, pd.Series], groups: Mapping[str, str]) -> tuple[pd.Series, dict[str, str]]:
    """Each data set's errors with the candidate that is best, in the mean, on all data sets of other groups.

    Args:
        errors: per candidate what `extrapolate` returns.
        groups: per task the group that is left out together.
    """
    parts, chosen = [], {}
    for group in sorted(set(groups.values())):
        own = [t for t, g in groups.items() if g == group]
        mean = {name: float(e.drop(own, level=0).mean()) for name, e in errors.items()}
        chosen[group] = min(mean, key=lambda name: (mean[name], name))
        best = errors[chosen[group]]
        parts.append(best[best.index.get_level_values(0).isin(own)])
    return pd.concat(parts), chosen


def pair_rows(curves: pd.DataFrame, task: str, vit: str, cnn: str, limit: float) -> pd.DataFrame:
    """Rows of two models' curves up to `limit`, as runs."""
    rows = curves[(curves.Task == task) & curves.Model.isin([vit, cnn]) & (curves.n <= limit)]
    family = np.where(rows.Model == vit, "vit", "cnn")
    table = {"family": family, "model": family, "seen_examples": rows.n, "test_error": rows.y}
    return pd.DataFrame(table).assign(num_classes=classes(task))


def _fit(curves: pd.DataFrame, task: str, vit: str, cnn: str, limit: float, seed: int) -> Families:
    rows = pair_rows(curves, task, vit, cnn, limit)
    return find_crossover(rows, axis="seen_examples", audit=False, seed=seed).families


def _decide(families: Families, tie: float) -> tuple[Families, Verdict]:
    tied = replace(families, tie=tie, _pairs={})
    return tied, compare(tied, ("vit",), ("cnn",), level=0.9)


def foretell(families: Families, at: Array) -> dict[str, float]:
    """P(the first is better at the last of the sizes `at`) and P(they meet before it): of all pairs of draws, of those
    that are tied, and of the others (NaN where there are none); `agree` as in paired_draws.py."""
    lead, pairs = families.lead(("vit",), ("cnn",), at), families.pairs(("vit",), ("cnn",))
    found: dict[str, float] = {"agree": pairs.agree}
    for name, own in (("p_", slice(None)), ("tied_", slice(pairs.tied)), ("free_", slice(pairs.tied, None))):
        part = Lead(lead.vit[own], lead.cnn[own])
        none = not len(part.vit)
        found[f"{name}vit"] = np.nan if none else float(part.p_vit_better()[-1])
        found[f"{name}meets"] = np.nan if none else p_meets(at, part.difference)
    return found


def judge_crossings(
    curves: pd.DataFrame, pairs: pd.DataFrame, k: str, *, ties: Sequence[float] = (TIE,), seed: int = 0
) -> pd.DataFrame:
    """One row per tie and pair that keeps enough points when cut at crossing/k: the verdict, and `off`, log10 of
    claimed over true.

    A crossing is found where the verdict claims one, `observed` or `extrapolated`, in the true direction; `leaned`
    says whether it leans to one.
    """
    found = []
    kept: list[Any] = pairs[[k in str(ks).split() for ks in pairs.k]].to_dict("records")
    for pair in kept:
        limit = pair["crossing"] / float(k)
        families = _fit(curves, pair["task"], pair["model_a"], pair["model_b"], limit, seed)
        for tie in ties:
            got = _decide(families, tie)[1]
            right = got.direction == "vit_overtakes" and got.crossover_size is not None
            off = np.log10(got.crossover_size / pair["crossing"]) if right and got.crossover_size else np.nan
            row = {key: pair[key] for key in ("task", "model_a", "model_b")} | {"tie": tie}
            row["leaned"] = got.lean is not None and got.lean.direction == "vit_overtakes"
            found.append(row | {"verdict": got.verdict, "p_crossing": got.p_crossing, "off": off})
    return pd.DataFrame(found)


def lead_changes(curves: pd.DataFrame) -> pd.DataFrame:
    """How fast leads change: `ratio`, the change of the lead over a factor of pairs.FACTOR in n, over the mean fall of
    the two errors over the factor before. Every pair of models, at three places of their common range."""
    found = []
    for task, rows in curves.groupby("Task"):
        for vit, cnn in itertools.combinations(sorted(rows.Model.unique()), 2):
            own = [rows[rows.Model == m] for m in (vit, cnn)]
            low, end = max(r.n.min() for r in own), min(r.n.max() for r in own)
            for cut in (end / FACTOR**k for k in (1.0, 1.5, 2.0)):
                if cut / FACTOR < low:
                    continue
                at = cut * np.array([1 / FACTOR, 1.0, FACTOR])
                one, other = (smooth(r.n.to_numpy(), r.y.to_numpy(), at) for r in own)
                fell = (one[0] - one[1] + other[0] - other[1]) / 2
                ratio = (one[2] - other[2] - one[1] + other[1]) / fell
                found.append({"task": task, "vit": vit, "cnn": cnn, "cut": cut, "ratio": ratio})
    return pd.DataFrame(found)


def judge_winners(curves: pd.DataFrame, *, ties: Sequence[float] = (TIE,), seed: int = 0) -> pd.DataFrame:
    """Every pair of models of a task, cut at a quarter of their common range: who wins at its end, who was named.

    `p_vit` is P(the first is better at the end), `p_meets` P(crossing before it); `claimed` whether the verdict
    claims a crossing before the end, and `crosses` whether the smoothed full curves change places between the cut and
    the end. `gap`: log error of the first minus the second at the end. One row per tie.
    """
    found = []
    for task, rows in curves.groupby("Task"):
        for vit, cnn in itertools.combinations(sorted(rows.Model.unique()), 2):
            own = [rows[rows.Model == m].sort_values("n") for m in (vit, cnn)]
            end = min(r.n.max() for r in own)
            at = np.geomspace(end / 4, end * np.exp(-WIDTH), 40)
            first, second = (smooth(r.n.to_numpy(), r.y.to_numpy(), at) for r in own)
            truth = what_came(first - second)
            fitted = _fit(curves, str(task), vit, cnn, end / 4, seed)
            for tie in ties:
                families, verdict = _decide(fitted, tie)
                claimed = verdict.crossover_size is not None and end / 4 < verdict.crossover_size <= end
                said = {"verdict": verdict.verdict, "claimed": claimed}
                said |= foretell(families, np.geomspace(end / 4, end, LOOKED_AT))
                found.append({"task": task, "vit": vit, "cnn": cnn, "tie": tie} | said | truth)
    return pd.DataFrame(found)
