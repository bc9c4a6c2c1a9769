"""Gives the verdict of one question from its rows of runs: every ViT-CNN pair, and the two families' envelopes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.arguments import TableArguments
from analysis.estimator.arrays import Array
from analysis.estimator.audit.audit import audit as run_audit
from analysis.estimator.audit.check import Check
from analysis.estimator.crossover.balanced import balanced_notes
from analysis.estimator.crossover.crossings import HORIZON, make_grid
from analysis.estimator.crossover.envelope import Families, Models, fit_families
from analysis.estimator.crossover.peak import interpolation_peak
from analysis.estimator.crossover.verdict import EQUIVALENT, NO_VERDICT, Verdict, decide
from analysis.estimator.curve.average import DRAWS
from analysis.estimator.rows.check import checked
from analysis.estimator.rows.metric import Metric, metric_of
from analysis.estimator.rows.selection import Selection, select
from analysis.estimator.rows.table import Reading, questions_of, read_results
from scaling.records.design_plan import LARGEST

MIXED = ("device", "precision", "threads", "torch_version", "git_commit")


@dataclass(frozen=True)
class Terms:
    """How a question is answered.

    `level` is that of intervals, `audit` whether a failed check holds the verdict back, `seed` that of the replicates;
    `equivalent_within` says what counts as level, `test_examples` how many test images there are where no column does.
    """

    level: float = 0.9
    audit: bool = True
    seed: int = 0
    equivalent_within: float = EQUIVALENT
    test_examples: int | None = None
    tuned: bool = False  # the user says that a foreign table's rates were tuned
    draws: int = DRAWS  # of each curve

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level={self.level} must lie between 0 and 1")
        if not isinstance(self.audit, bool):
            raise TypeError(f"audit={self.audit!r} must be True or False")
        if not 0 < self.equivalent_within < 1:
            raise ValueError(f"equivalent_within={self.equivalent_within} must lie between 0 and 1")
        images = self.test_examples
        if images is not None and not (isinstance(images, Real) and 1 <= images < math.inf):
            raise ValueError(f"test_examples={images} must be a number of images")


TERMS = Terms()


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
    measure: Metric
    axis: str
    level: float
    audited: bool
    equivalent_within: float
    verdict: Verdict
    pairs: tuple[Pair, ...]
    checks: tuple[Check, ...]
    warnings: tuple[dict[str, str], ...]
    selection: Selection = field(repr=False)
    families: Families = field(repr=False)

    @property
    def metric(self) -> str:
        """The user's name of what is compared."""
        return self.measure.name

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if c.status == "failed")

    def p_vit_better(self, n: ArrayLike) -> Array:
        """Array like n: P(the ViTs' envelope lies below the CNNs' at n); NaN where a family has no curve."""
        models, at = self.families.models, np.ravel(np.asarray(n, dtype=float))
        if not models["vit"] or not models["cnn"]:
            return np.full(np.shape(n), np.nan)
        return self.families.lead(models["vit"], models["cnn"], at).p_vit_better().reshape(np.shape(n))

    @property
    def share_beyond(self) -> float | None:
        """The share of the interval, in ln n, that lies beyond the measured sizes; None without an interval."""
        verdict = self.verdict
        if verdict.interval is None or verdict.fit_range is None:
            return None
        low, high = verdict.interval
        start, measured = math.log(low or verdict.fit_range[0]), math.log(verdict.fit_range[1])
        end = math.log(HORIZON * verdict.fit_range[1] if high is None else high)
        return 1.0 if start >= measured else max(0.0, (end - measured) / (end - start)) if end > start else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "metric": self.metric,
            "better": self.measure.better,
            "axis": self.axis,
            **self.verdict.to_dict(),
            "n_runs": len(self.selection.fitted),
            "pairs": [p.to_dict() for p in self.pairs],
            "audit": [dataclasses.asdict(c) for c in self.checks],
            "warnings": list(self.warnings),
        }


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
        lean=None,
        known=None,
        claimed=(),
        probability=None,
    )


def _mixtures(fitted: pd.DataFrame) -> list[dict[str, str]]:
    found = []
    for column in MIXED:
        if column in fitted.columns:
            values = sorted(set(fitted[column].dropna().astype(str)))
            if len(values) > 1:
                found.append({"code": f"mixed_{column}", "message": f"runs of several {column}: {', '.join(values)}"})
    return found


def _reading(results: Any, measure: Metric, *, better: str | None, range: str | None, axis: str) -> Reading:
    if isinstance(results, (str, Path)):
        return read_results(
            TableArguments(results=(Path(results),), metric=measure.name, better=better, range=range, axis=axis)
        )
    try:
        frame = pd.DataFrame(results)
    except (TypeError, ValueError) as error:
        raise ValueError(f"results: neither a table nor the path of one ({' '.join(str(error).split())})") from None
    table, notes = checked(frame, metric=measure, axis=axis, told=range is not None)
    return questions_of(table, measure, axis, notes)


def find_crossover(
    results: Any,
    *,
    level: float = 0.9,
    metric: str = "test_error",
    better: str | None = None,
    range: str | None = None,
    axis: str = "train_size",
    audit: bool = True,
    seed: int = 0,
    test_examples: int | None = None,
    equivalent_within: float = EQUIVALENT,
) -> Crossover:
    """Decides one question: where, if anywhere, do the families' curves cross?

    Args:
        results: a DataFrame (or what makes one), or the path of a folder of records or a table. Needs `family`
            (vit or cnn), `model`, the axis and the metric; uses the record's other columns where present.
        level: of the intervals.
        metric: the column compared: an error, a loss, an accuracy, AUROC or any other metric of rows/metric.py.
        better: "higher" or "lower", for a metric that is not in that list.
        range: "0..1", "0..100" or "unbounded", where it is not the list's.
        axis: the column compared over: train_size, seen_examples or train_flops.
        audit: whether a failed check holds the verdict back.
        seed: of the replicates.
        test_examples: images in the test set, where the rows have no such column.
        equivalent_within: families whose errors differ by less than this share of them are called level.

    Raises:
        ValueError: malformed rows, or rows of several questions (the message names the columns that vary). Thin data
            do not raise: their verdict is `not_identifiable`.
    """
    terms = Terms(level, audit, seed, equivalent_within, test_examples)
    measure = metric_of(metric, better=better, range=range)
    reading = _reading(results, measure, better=better, range=range, axis=axis)
    parts = reading.parts()
    if len(parts) > 1:
        varying = [
            k for k in dict.fromkeys(k for key, _ in parts for k in key) if len({p[0].get(k) for p in parts}) > 1
        ]
        raise ValueError(f"rows of several questions: {', '.join(varying)} vary; keep one of each")
    return answer(*parts[0], metric=measure, axis=axis, terms=terms)


def compare(
    families: Families,
    vit: Models,
    cnn: Models,
    *,
    level: float,
    within: float = EQUIVALENT,
    largest: float | None = None,
) -> Verdict:
    """The verdict of the curves alone on two groups of models.

    `largest`: the size that the horizon counts from, where that is beyond the measured ones.
    """
    if not vit or not cnn:
        return NO_VERDICT
    sizes = families.sizes(vit, cnn)
    if largest is not None:
        sizes = dataclasses.replace(sizes, high=max(sizes.high, largest))
    grid = make_grid(sizes.low, sizes.high, sizes.common)
    lead = families.lead(vit, cnn, grid)
    return decide(grid, lead.difference, sizes=sizes, level=level, within=within)


def answer(
    key: dict[str, Any], rows: pd.DataFrame, *, metric: str | Metric, axis: str, terms: Terms = TERMS
) -> Crossover:
    """`find_crossover` for checked rows of one question."""
    measure = metric_of(metric) if isinstance(metric, str) else metric
    if terms.test_examples is not None:
        known = rows["test_examples"] if "test_examples" in rows.columns else pd.Series(np.nan, rows.index)
        rows = rows.assign(test_examples=known.fillna(float(terms.test_examples)))
    selection = select(rows, axis=axis)
    fitted = selection.fitted
    checks = tuple(run_audit(selection, axis=axis, metric=measure.column, tuned=terms.tuned))
    families = fit_families(fitted, metric=measure, axis=axis, seed=terms.seed, draws=terms.draws)
    checks += interpolation_peak(families.curves, fitted, axis)
    failed = terms.audit and any(c.status == "failed" for c in checks)

    largest = float(rows[LARGEST].max()) if LARGEST in rows.columns and rows[LARGEST].notna().any() else None

    def verdict_of(vit: Models, cnn: Models) -> Verdict:
        within = terms.equivalent_within
        found = compare(families, vit, cnn, level=terms.level, within=within, largest=largest)
        return _hold_back(found, failed)

    counts = fitted["model"].value_counts()
    pairs = tuple(
        Pair(v, c, int(counts[v] + counts[c]), verdict_of((v,), (c,)))
        for v in families.models["vit"]
        for c in families.models["cnn"]
    )
    single = len(families.models["vit"]) == len(families.models["cnn"]) == 1
    verdict = pairs[0].verdict if single else verdict_of(families.models["vit"], families.models["cnn"])
    notes = [{"code": c.code, "message": c.message} for c in checks if c.status == "unknown"]
    if not terms.audit:
        notes.append({"code": "audit_off", "message": "the verdict as the curves alone have it: audit=off"})
    notes += [*rows.attrs.get("notes", ()), *balanced_notes(fitted, measure.name, axis), *_mixtures(fitted)]
    notes += families.warnings
    return Crossover(
        key=key,
        measure=measure,
        axis=axis,
        level=terms.level,
        audited=terms.audit,
        equivalent_within=terms.equivalent_within,
        verdict=verdict,
        pairs=pairs,
        checks=checks,
        warnings=tuple(notes),
        selection=selection,
        families=families,
    )
