"""Rows of runs in, the verdict of one question out: every ViT-CNN pair, and the two families' envelopes."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.arguments import TableArguments
from analysis.audit import Check
from analysis.audit import audit as run_audit
from analysis.crossings import NO_VERDICT, Verdict, decide, make_grid
from analysis.noise import summarise
from analysis.power_law import DRAWS, Curve, _chance, fit_points
from analysis.results import check, load, split_questions
from analysis.selection import Selection, select

Array = NDArray[np.float64]

MIXED = ("device", "precision", "threads", "torch_version", "git_commit")


@dataclass(frozen=True)
class Pair:
    vit: str
    cnn: str
    n_runs: int
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        return {"vit": self.vit, "cnn": self.cnn, "n_runs": self.n_runs} | self.verdict.to_dict()


@dataclass(frozen=True)
class Crossover:
    """The answer to one question, and what it was made from. `to_dict()` is a group of crossover.json."""

    key: dict[str, Any]
    metric: str
    axis: str
    level: float
    audited: bool
    verdict: Verdict
    pairs: tuple[Pair, ...]
    checks: tuple[Check, ...]
    warnings: tuple[dict[str, str], ...]
    selection: Selection = field(repr=False)
    curves: Mapping[str, Curve] = field(repr=False)  # per model
    families: Mapping[str, tuple[str, ...]]  # family -> models with a curve
    _choosers: Mapping[str, Curve] = field(repr=False)  # curves of val_error, for the envelopes

    def envelope(self, family: str, n: Array) -> Array:
        """(draws, len(n)) log errors of the family's envelope at sizes n."""
        return _envelope(self.families[family], self.curves, self._choosers, n)

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if c.status == "failed")

    def to_dict(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "metric": self.metric,
            "axis": self.axis,
            **self.verdict.to_dict(),
            "n_runs": len(self.selection.fitted),
            "pairs": [p.to_dict() for p in self.pairs],
            "audit": [dataclasses.asdict(c) for c in self.checks],
            "warnings": list(self.warnings),
        }


def _envelope(models: tuple[str, ...], curves: Mapping[str, Curve], choosers: Mapping[str, Curve], n: Array) -> Array:
    """Mean of the models' log errors, weighted by the probability that the model is the family's best at n.

    That probability comes from `val_error`, drawn independently of the test errors: the lowest of several noisy test
    curves would be too low (the winner's curse). Smooth in n, so that a change of model is no jump to cross at.
    """
    draws = np.stack([curves[m].log_draws(n) for m in models])  # (models, draws, n)
    if len(models) == 1:
        return draws[0]
    votes = np.stack([choosers[m].log_draws(n) for m in models]).argmin(axis=0)
    share = np.stack([(votes == i).mean(axis=0) for i in range(len(models))])  # (models, n)
    return np.einsum("mdn,mn->dn", draws, share)


def _fit(
    rows: pd.DataFrame, *, metric: str, axis: str, images: str, num_classes: int | None, stream: list[int]
) -> Curve | None:
    """The curve of one model's rows, or None below 3 distinct sizes."""
    if rows[axis].nunique() < 3:
        return None
    is_error = metric.endswith("_error")
    test_examples = rows[images] if images in rows.columns and rows[images].notna().all() else None
    points = summarise(rows[axis], rows[metric], test_examples=test_examples, is_error=is_error)
    kind = "error" if is_error else "loss"
    return fit_points(points, metric=kind, chance=_chance(kind, num_classes), stream=stream, draws=DRAWS)


def _fit_models(
    fitted: pd.DataFrame, *, metric: str, axis: str, seed: int
) -> tuple[dict[str, Curve], dict[str, Curve], dict[str, tuple[str, ...]], list[dict[str, str]]]:
    classes = fitted["num_classes"].dropna() if "num_classes" in fitted.columns else pd.Series(dtype=float)
    num_classes = int(classes.iloc[0]) if classes.nunique() == 1 and classes.iloc[0] >= 2 else None
    curves: dict[str, Curve] = {}
    choosers: dict[str, Curve] = {}
    families: dict[str, tuple[str, ...]] = {}
    warnings: list[dict[str, str]] = []
    for family in ("vit", "cnn"):
        models = []
        for model, rows in fitted[fitted["family"] == family].groupby("model", sort=True):
            name = str(model)
            stream = [seed, zlib.crc32(name.encode())]  # a model's replicates do not depend on which others are there
            options: dict[str, Any] = {"axis": axis, "num_classes": num_classes}
            curve = _fit(rows, metric=metric, images="test_examples", stream=stream, **options)
            if curve is None:
                warnings.append({"code": "no_curve", "message": f"{name}: fewer than 3 sizes, no curve"})
                continue
            models.append(name)
            curves[name] = curve
            warnings += [w | {"message": f"{name}: {w['message']}"} for w in curve.warnings]
            if "val_error" in rows.columns and rows["val_error"].notna().all():
                chooser = _fit(rows, metric="val_error", images="val_examples", stream=[*stream, 1], **options)
                assert chooser is not None  # as many sizes as the curve
                choosers[name] = chooser
        families[family] = tuple(models)
        if len(models) > 1 and not all(m in choosers for m in models):
            text = f"no val_error to choose the best {family} by: the test errors choose, slightly in its favour"
            warnings.append({"code": "envelope_without_validation", "message": text})
            choosers.update({m: curves[m] for m in models})
    return curves, choosers, families, warnings


def _common_range(vit: list[Curve], cnn: list[Curve]) -> tuple[float, float]:
    """Sizes that both sides measured, or those of either where none are common."""
    ranges = [(min(c.fit_range[0] for c in side), max(c.fit_range[1] for c in side)) for side in (vit, cnn)]
    low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
    return (low, high) if low < high else (min(r[0] for r in ranges), max(r[1] for r in ranges))


def _hold_back(verdict: Verdict, failed: bool) -> Verdict:
    """What the curves say without the claim: crossings and probabilities stay, as evidence."""
    if not failed:
        return verdict
    return dataclasses.replace(
        verdict,
        verdict="not_identifiable",
        direction=None,
        crossover_size=None,
        interval=None,
        extrapolation_factor=None,
    )


def _mixtures(fitted: pd.DataFrame) -> list[dict[str, str]]:
    found = []
    for column in MIXED:
        if column in fitted.columns:
            values = sorted(set(fitted[column].dropna().astype(str)))
            if len(values) > 1:
                found.append({"code": f"mixed_{column}", "message": f"runs of several {column}: {', '.join(values)}"})
    return found


def _table(results: Any, metric: str, axis: str) -> pd.DataFrame:
    if isinstance(results, (str, Path)):
        return load(TableArguments(results=(Path(results),), metric=metric, axis=axis))
    return check(pd.DataFrame(results), metric=metric, axis=axis)


def find_crossover(
    results: Any,
    *,
    level: float = 0.9,
    metric: str = "test_error",
    axis: str = "train_size",
    audit: bool = True,
    seed: int = 0,
) -> Crossover:
    """Decides one question: where, if anywhere, do the families' curves cross?

    Args:
        results: a DataFrame (or what makes one), or the path of a folder of records or a table. Needs `family`
            (vit or cnn), `model`, the axis and the metric; uses the record's other columns where present.
        level: of the intervals.
        metric: the column compared: an error in [0, 1], or a loss in nats.
        axis: the column compared over: train_size, seen_examples or train_flops.
        audit: whether a failed check holds the verdict back.
        seed: of the replicates.

    Raises:
        ValueError: malformed rows, or rows of several questions (the message names the columns that vary). Thin data
            do not raise: their verdict is `not_identifiable`.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level} must lie between 0 and 1")
    table = _table(results, metric, axis)
    parts = split_questions(table)
    if len(parts) > 1:
        varying = [k for k in dict.fromkeys(k for key, _ in parts for k in key) if len({p[0].get(k) for p in parts}) > 1]
        raise ValueError(f"rows of several questions: {', '.join(varying)} vary; keep one of each")
    return answer(*parts[0], level=level, metric=metric, axis=axis, audit=audit, seed=seed)


def answer(
    key: dict[str, Any], rows: pd.DataFrame, *, level: float, metric: str, axis: str, audit: bool, seed: int
) -> Crossover:
    """`find_crossover` for checked rows of one question."""
    selection = select(rows, axis=axis)
    fitted = selection.fitted
    checks = tuple(run_audit(selection, axis=axis))
    failed = audit and any(c.status == "failed" for c in checks)
    curves, choosers, families, warnings = _fit_models(fitted, metric=metric, axis=axis, seed=seed)

    def compare(vit: tuple[str, ...], cnn: tuple[str, ...]) -> Verdict:
        if not vit or not cnn:
            return NO_VERDICT
        low, high = _common_range([curves[m] for m in vit], [curves[m] for m in cnn])
        grid = make_grid(low, high)
        difference = _envelope(vit, curves, choosers, grid) - _envelope(cnn, curves, choosers, grid)
        return _hold_back(decide(grid, difference, low=low, high=high, level=level), failed)

    counts = fitted["model"].value_counts()
    pairs = tuple(
        Pair(v, c, int(counts[v] + counts[c]), compare((v,), (c,))) for v in families["vit"] for c in families["cnn"]
    )
    single = len(families["vit"]) == len(families["cnn"]) == 1
    verdict = pairs[0].verdict if single else compare(families["vit"], families["cnn"])
    notes = [{"code": c.code, "message": c.message} for c in checks if c.status == "unknown"]
    if not audit:
        notes.append({"code": "audit_off", "message": "the verdict as the curves alone have it: audit=off"})
    notes += _mixtures(fitted) + warnings
    return Crossover(
        key, metric, axis, level, audit, verdict, pairs, checks, tuple(notes), selection, curves, families, choosers
    )
