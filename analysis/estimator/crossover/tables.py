"""Builds the report's tables from answers, as numbers: what the pages show and what its CSV files hold."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimator.crossover.balanced import BALANCED, balanced_matters
from analysis.estimator.crossover.crossings import HORIZON
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.verdict import Verdict
from analysis.estimator.crossover.wording import title
from analysis.estimator.curve.joint_law import LAW_NAMES, bootstrap_joint, fit_joint
from analysis.estimator.curve.law_contest import LAW_REPLICATES, LEAST_MODELS, LawContest, fit_contest, joint_runs
from analysis.estimator.rows.selection import chosen_at
from analysis.estimator.rows.table import defuse_table


def _verdict(verdict: Verdict) -> dict[str, Any]:
    low, high = verdict.interval or (None, None)
    fit_low, fit_high = verdict.fit_range or (None, None)
    return {
        "verdict": verdict.verdict,
        "direction": verdict.direction,
        "crossover_size": verdict.crossover_size,
        "interval_low": low,
        "interval_high": high,
        "p_crossing": verdict.p_crossing,
        "fit_low": fit_low,
        "fit_high": fit_high,
        "extrapolation_factor": verdict.extrapolation_factor,
    }


def verdicts(crossover: Crossover) -> pd.DataFrame:
    failed = ", ".join(c.code for c in crossover.failed_checks)
    row = _verdict(crossover.verdict) | {"n_runs": len(crossover.selection.fitted), "failed_checks": failed}
    return pd.DataFrame([{"metric": crossover.metric, "axis": crossover.axis, "level": crossover.level} | row])


def pair_table(crossover: Crossover) -> pd.DataFrame:
    rows = [{"vit": p.vit, "cnn": p.cnn, "n_runs": p.n_runs} | _verdict(p.verdict) for p in crossover.pairs]
    return pd.DataFrame(rows, columns=["vit", "cnn", "n_runs", *_verdict(crossover.verdict)])


def audit_table(crossover: Crossover) -> pd.DataFrame:
    rows = [{"code": c.code, "status": c.status, "message": c.message} for c in crossover.checks]
    rows += [{"code": w["code"], "status": "warning", "message": w["message"]} for w in crossover.warnings]
    return pd.DataFrame(rows, columns=["code", "status", "message"])


def measured_table(crossover: Crossover) -> pd.DataFrame:
    """A row per model and size: its runs' errors, and what the curve says there."""
    rows, table = crossover.selection.fitted, []
    unequal = balanced_matters(rows, crossover.metric)
    choices = {(c.model, c.train_size): c for c in crossover.selection.choices}
    size_of_choice = chosen_at(rows, crossover.axis)
    order = [m for models in crossover.families.models.values() for m in models]
    for model in order + sorted(set(rows["model"]) - set(order)):
        curve = crossover.families.curves.get(model)
        for at, runs in rows[rows["model"] == model].groupby(crossover.axis):
            errors = runs[crossover.metric]
            chosen = float(runs[size_of_choice].iloc[0])
            choice = choices.get((model, chosen))
            row = {
                "family": runs["family"].iloc[0],
                "model": model,
                crossover.axis: at,
                "lr": choice.lr if choice else None,
                "rates_tried": len(choice.tried) if choice else None,
                "runs": len(runs),
                "mean": errors.mean(),
                "lowest": errors.min(),
                "highest": errors.max(),
                **({"balanced": runs[BALANCED].astype(float).mean()} if unequal else {}),
                "fitted": None,
                "fitted_low": None,
                "fitted_high": None,
            }
            if curve is not None:
                low, high = curve.interval([at], crossover.level)[0]
                row |= {"fitted": curve.predict([at])[0], "fitted_low": low, "fitted_high": high}
            table.append(row)
    return pd.DataFrame(table)


def residuals(crossover: Crossover) -> pd.DataFrame:
    """A row per model with a curve and size: the mean measured error over the fitted one, with the mean's noise."""
    tail = NormalDist().inv_cdf((1 + crossover.level) / 2)
    parts = []
    for model, curve in crossover.families.curves.items():
        points = curve.points
        log_ratio = points.log_error - np.median(curve.log_draws(points.sizes), axis=0)
        noise = tail * np.sqrt(points.variance)
        values = {"ratio": log_ratio, "ratio_low": log_ratio - noise, "ratio_high": log_ratio + noise}
        part = pd.DataFrame(
            {crossover.axis: points.sizes, "runs": points.runs, **{k: np.exp(v) for k, v in values.items()}}
        )
        part.insert(0, "model", model)
        parts.append(part)
    columns = ["model", crossover.axis, "runs", "ratio", "ratio_low", "ratio_high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def fits(crossover: Crossover) -> pd.DataFrame:
    """A row per model and form, the heaviest form first; the parameters in one column, as text."""
    table = []
    for model, curve in crossover.families.curves.items():
        for form in sorted(curve.forms, key=lambda f: -f["weight"]):
            table.append(
                {
                    "model": model,
                    "form": form["name"],
                    "formula": form["formula"],
                    "weight": form["weight"],
                    "parameters": ", ".join(f"{name} = {value:.3g}" for name, value in form["parameters"].items()),
                    "lack_of_fit": curve.lack_of_fit,
                }
            )
    return pd.DataFrame(table, columns=["model", "form", "formula", "weight", "parameters", "lack_of_fit"])


def joint(crossover: Crossover) -> pd.DataFrame:
    """A row per family of at least 3 model sizes, each at 4 data sizes or more: the joint law E + A/N^alpha + B/n^beta.

    Standard errors are those of 300 bootstrap replicates over the runs.
    """
    table = []
    columns = ["family", "models", "runs", *(c for name in LAW_NAMES for c in (name, f"{name}_se"))]
    if crossover.axis != "train_size":
        return pd.DataFrame(columns=columns)
    for family, own in joint_runs(crossover.selection.fitted, crossover.measure.column).items():
        if own["num_params"].nunique() < LEAST_MODELS:
            continue
        data = (own["num_params"], own["train_size"], own[crossover.measure.column])
        law = fit_joint(*data)
        errors = bootstrap_joint(law, *data, replicates=LAW_REPLICATES).std(axis=0)
        values = {
            k: v
            for name, se in zip(LAW_NAMES, errors, strict=True)
            for k, v in ((name, getattr(law, name)), (f"{name}_se", se))
        }
        table.append({"family": family, "models": own["num_params"].nunique(), "runs": len(own)} | values)
    return pd.DataFrame(table, columns=columns)


def law_contest(crossover: Crossover) -> LawContest | str:
    """The families' joint laws against each other; a reason where there is nothing to compare."""
    if crossover.axis != "train_size":
        return "a joint law is one of images, and the axis is another"
    if crossover.audited and crossover.failed_checks:
        return f"the audit failed ({', '.join(c.code for c in crossover.failed_checks)})"
    column = crossover.measure.column
    return fit_contest(joint_runs(crossover.selection.fitted, column), column)


def curve_table(crossover: Crossover) -> pd.DataFrame:
    """Every model's fitted curve with its band, 60 sizes from its smallest to the horizon."""
    parts = []
    for model, curve in crossover.families.curves.items():
        low, high = curve.fit_range
        grid = np.geomspace(low, max(high, (crossover.verdict.fit_range or (low, high))[1]) * HORIZON, 60)
        bounds = curve.interval(grid, crossover.level)
        part = pd.DataFrame(
            {crossover.axis: grid, "fitted": curve.predict(grid), "low": bounds[:, 0], "high": bounds[:, 1]}
        )
        part.insert(0, "model", model)
        parts.append(part)
    columns = ["model", crossover.axis, "fitted", "low", "high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def learning_rates(crossover: Crossover) -> pd.DataFrame:
    """A row per model, size and rate where validation chose among several."""
    rows = [
        {"model": c.model, "train_size": c.train_size, "lr": lr, "val_error": error, "chosen": lr == c.lr}
        for c in crossover.selection.choices
        if len(c.tried) > 1 and c.val_errors
        for lr, error in zip(c.tried, c.val_errors, strict=True)
    ]
    return pd.DataFrame(rows, columns=["model", "train_size", "lr", "val_error", "chosen"])


def left_out(crossover: Crossover) -> pd.DataFrame:
    rows = crossover.selection.left_out
    columns = dict.fromkeys(["name", "model", crossover.axis, "seed", "lr", crossover.metric, "reason", "error_text"])
    return rows[[c for c in columns if c in rows.columns]].reset_index(drop=True)


TABLES = {
    "verdicts": verdicts,
    "pairs": pair_table,
    "audit": audit_table,
    "measured": measured_table,
    "fits": fits,
    "joint": joint,
    "curves": curve_table,
    "residuals": residuals,
    "learning_rates": learning_rates,
    "left_out": left_out,
}


def all_tables(crossovers: Sequence[Crossover]) -> dict[str, str]:
    """Per table its CSV text: the rows of all questions, each with the number of its question and what that is."""
    texts = {}
    for name, make in TABLES.items():
        parts = []
        for i, crossover in enumerate(crossovers):
            part = make(crossover)
            part.insert(0, "question", title(crossover.key))
            part.insert(0, "group", i)
            parts.append(part.astype(object))
        texts[name] = defuse_table(pd.concat(parts, ignore_index=True)).to_csv(index=False)
    return texts
