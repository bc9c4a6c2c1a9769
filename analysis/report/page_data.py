"""Collects what the page's interactive plots draw of one question's answer and views: plain numbers, for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.tables import residuals
from analysis.estimator.crossover.wording import FAMILY, verdict_sentence
from analysis.figures.across_questions import KNOBS, knob_table, knobs
from analysis.figures.curves import claimed, gap_quantiles, reach, untrained
from analysis.figures.diagnostics import grids, models_with_grids
from analysis.figures.style import LINES, SHAPES, axis_label, lines, looks, metric_label
from analysis.report.other_axes import views

_STEPS = 60  # of a drawn curve
MOST_DRAWN = 10_000  # runs of one question that the page shows, and as many that are not fitted
RUN_FIELDS = (
    "name", "model", "train_size", "seen_examples", "train_flops", "train_seconds", "seed", "subset_seed", "lr",
    "num_params", "train_error", "val_error", "test_error", "test_balanced_error", "test_loss",
)  # fmt: skip


def _number(value: Any) -> Any:
    """Five digits are more than a screen shows; None for what is not a finite number."""
    if value is None or isinstance(value, str):
        return value
    number = float(value)
    return float(f"{number:.5g}") if math.isfinite(number) else None


def _numbers(values: Any) -> list[float | None]:
    return [_number(v) for v in np.asarray(values, dtype=float)]


def _link(value: Any) -> str | None:
    """A run's W&B page: only an https address, since tables come from anywhere."""
    return value if isinstance(value, str) and urlsplit(value).scheme == "https" else None


def _runs(crossover: Crossover) -> list[dict[str, Any]]:
    """Every finished run, those that are fitted first."""
    parts = []
    chosen = crossover.selection.fitted
    for rows, fitted in ((chosen, True), (crossover.selection.finished.drop(index=chosen.index), False)):
        fields = dict.fromkeys((*RUN_FIELDS, crossover.axis, crossover.metric))
        every = -(-len(rows) // MOST_DRAWN) or 1  # more than that no screen can show, nor a browser hold
        for row in rows.iloc[::every].to_dict("records"):
            run = {k: row[k] for k in fields if row.get(k) is not None and row[k] == row[k]}
            run = {k: v if isinstance(v, str) else _number(v) for k, v in run.items()}
            link = _link(row.get("wandb_url"))
            parts.append(run | {"fitted": fitted} | ({"url": link} if link else {}))
    return parts


def _view(crossover: Crossover) -> dict[str, Any]:
    low, high = reach(crossover)
    fit_range = crossover.verdict.fit_range
    lines = []
    for model, curve in crossover.families.curves.items():
        start, last = curve.fit_range
        inside = np.geomspace(start, last, _STEPS // 2)
        beyond = np.geomspace(last, high, _STEPS // 2)[1:] if high > last else np.array([])
        grid = np.concatenate([inside, beyond])
        band = curve.interval(grid, crossover.level)
        values = {"x": grid, "y": curve.predict(grid), "low": band[:, 0], "high": band[:, 1]}
        lines.append({"model": model, "last": _number(last), **{k: _numbers(v) for k, v in values.items()}})
    gap = None
    if fit_range is not None:
        grid = np.geomspace(fit_range[0], high, _STEPS)
        lower, middle, upper = gap_quantiles(crossover, grid)
        gap = {k: _numbers(v) for k, v in (("x", grid), ("y", middle), ("low", lower), ("high", upper))}
    rest = residuals(crossover).rename(columns={crossover.axis: "x"})
    return {
        "metric": crossover.metric,
        "axis": crossover.axis,
        "metric_label": metric_label(crossover),
        "axis_label": axis_label(crossover),
        "kind": crossover.measure.fitted_noun,
        "better": crossover.measure.better,
        "reach": _numbers((low, high)),
        "range": None if fit_range is None else _numbers(fit_range),
        "crossings": [[_number(size), *(_number(end) for end in ends)] for size, ends in claimed(crossover)],
        "sentence": verdict_sentence(crossover),
        "lines": lines,
        "untrained": [{"model": model, "y": _number(value)} for model, value in untrained(crossover).items()],
        "gap": gap,
        "residuals": [{k: _number(v) for k, v in row.items()} for row in rest.to_dict("records")],
    }


def _grids(crossover: Crossover) -> list[dict[str, Any]]:
    return [
        {
            "model": model,
            "sizes": [
                {"size": c.train_size, "lr": list(c.tried), "val": _numbers(c.val_errors), "chosen": c.lr}
                for c in grids(crossover, model)
            ],
        }
        for model in models_with_grids(crossover)
    ]


def chart(crossover: Crossover) -> dict[str, Any]:
    """What one question's plots show."""
    families = {f for f, _, _ in looks(crossover).values()}
    return {
        "size_axis": crossover.axis,
        "families": {f: FAMILY[f] for f in ("vit", "cnn") if f in families},
        "models": [
            {"model": model, "family": family, "colour": f"var(--{family}-{i})", "shape": SHAPES[marker]}
            | {"dash": lines(crossover)[model] != LINES[0]}
            for model, (family, i, marker) in looks(crossover).items()
        ],
        "runs": _runs(crossover),
        "views": [_view(view) for view in views(crossover)],
        "grids": _grids(crossover),
    }


def _name(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def knob_charts(crossovers: Sequence[Crossover]) -> list[dict[str, Any]]:
    """The crossover size against each thing that differs between the questions."""
    found = []
    for knob in knobs(crossovers):
        table = knob_table(crossovers, knob).rename(columns={knob: "value"})
        rows = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in table.to_dict("records")]
        values = sorted(set(table["value"]))
        found.append(
            {
                "label": KNOBS[knob],
                "axis_label": axis_label(crossovers[0]),
                "order": [_name(v) for v in values],
                "rows": [row | {"value": _name(row["value"])} for row in rows],
            }
        )
    return found
