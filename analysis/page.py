"""Answers in, the texts of report.html and report.md out: everything that their templates show, as strings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis.average import DISCREPANCY, DRAWS
from analysis.crossings import HORIZON
from analysis.crossover import Crossover
from analysis.plot import AXES, INK, METRICS
from analysis.words import number, percent, short_verdict, title, verdict_sentence

CAPTIONS = {
    "curves": (
        "Error against size on log axes. Points are runs, lines the fitted curves with their {level} bands, dashed"
        " beyond the measured sizes; the crossing and its interval are shaded."
    ),
    "gap": ("ViT error over CNN error with its {level} band; the curves cross where it passes 1."),
    "learning_rates": ("Validation error against learning rate where several were tried; the chosen rate is ringed."),
}
METHOD = (
    "Each model's error is averaged over forms (power law, with irreducible error, shifted, saturating at"
    " chance, broken once), weighted by how well each predicts the points given weak priors, and with a smooth"
    " deviation from the form of {deviations} (weighted likewise) that grows beyond the data. Residuals are"
    " those of log errors; the noise is the binomial noise of the test set and the spread over seeds.",
    "Intervals hold {level} of {draws:,} replicates, in which noise, priors and deviations are drawn again and"
    " the curves refitted. A crossing is looked for from the smallest measured size on; verdicts speak up to"
    " {horizon:g} times the largest measured size. An interval without an end on one side is open: the data do"
    " not say.",
    "Per model and size the learning rate with the lowest mean validation error over its seeds is used, even"
    " where it has fewer seeds than others; test errors choose nothing. Runs that did not finish are listed,"
    " never fitted.",
)


def _method(level: float) -> list[str]:
    deviations = ", ".join(f"{100 * s:g}%" for s in DISCREPANCY)
    values = {"deviations": deviations, "level": percent(level), "draws": DRAWS, "horizon": HORIZON}
    return [paragraph.format(**values) for paragraph in METHOD]


def _decimals(value: float) -> str:
    return f"{value:.3g}" if value < 0.1 else f"{value:.3f}"


def _cell(value: Any, pattern: str = "{:g}") -> str:
    return "" if value is None or value != value else pattern.format(value)


def _measured(crossover: Crossover) -> list[dict[str, str]]:
    rows, table = crossover.selection.fitted, []
    choices = {(c.model, c.train_size): c for c in crossover.selection.choices}
    order = [m for models in crossover.families.models.values() for m in models]
    for model in order + sorted(set(rows["model"]) - set(order)):
        curve = crossover.families.curves.get(model)
        for size, runs in rows[rows["model"] == model].groupby(crossover.axis):
            at = float(runs[crossover.axis].iloc[0])
            errors, choice = runs[crossover.metric], choices.get((model, at))
            fit = ""
            if curve is not None:
                low, high = curve.interval([at], crossover.level)[0]
                fit = f"{_decimals(curve.predict([at])[0])} ({_decimals(low)} to {_decimals(high)})"
            table.append(
                {
                    "model": model,
                    "size": number(at) if crossover.axis != "train_size" else f"{size:,.0f}",
                    "lr": _cell(runs["lr"].iloc[0]) if "lr" in runs.columns else "",
                    "tried": str(len(choice.tried)) if choice else "",
                    "runs": str(len(runs)),
                    "errors": f"{_decimals(errors.mean())} ({_decimals(errors.min())} to {_decimals(errors.max())})",
                    "fit": fit,
                }
            )
    return table


def _fits(crossover: Crossover) -> list[dict[str, str]]:
    table = []
    for model, curve in crossover.families.curves.items():
        for i, form in enumerate(sorted(curve.forms, key=lambda f: -f["weight"])):
            p = curve.lack_of_fit
            table.append(
                {
                    "model": model if i == 0 else "",
                    "name": form["name"],
                    "formula": form["formula"],
                    "weight": f"{form['weight']:.2f}",
                    "parameters": ", ".join(f"{name} = {value:.3g}" for name, value in form["parameters"].items()),
                    "lack_of_fit": "" if i else "no degrees of freedom" if p is None else f"p = {p:.2g}",
                }
            )
    return table


def _left_out(crossover: Crossover) -> list[dict[str, str]]:
    return [
        {
            "model": row["model"],
            "size": _cell(row.get(crossover.axis), "{:,.0f}"),
            "seed": _cell(row.get("seed")),
            "error": _cell(row.get(crossover.metric), "{:.4f}"),
            "reason": " ".join(str(part) for part in (row["reason"], row.get("error_text")) if part and part == part),
        }
        for row in crossover.selection.left_out.to_dict("records")
    ]


def _inline(svg: bytes, prefix: str) -> str:
    """The svg element alone, in the page's text colour, its ids unlike those of other figures."""
    text = svg.decode()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)


def _audit(crossover: Crossover) -> tuple[str, str]:
    failed = [c.code for c in crossover.failed_checks]
    unknown = sum(c.status == "unknown" for c in crossover.checks)
    if failed:
        return "failed", f"failed: {', '.join(failed)}" + ("" if crossover.audited else " (audit off)")
    return ("unknown", f"passed, {unknown} unknown") if unknown else ("passed", "passed")


def _group(crossover: Crossover, index: int, figures: Mapping[str, bytes]) -> dict[str, Any]:
    level = percent(crossover.level)
    audit_class, audit_text = _audit(crossover)
    return {
        "title": title(crossover.key) or "all rows",
        "sentence": verdict_sentence(crossover),
        "short": short_verdict(crossover.verdict, crossover.level),
        "p_crossing": _cell(crossover.verdict.p_crossing, "{:.2f}"),
        "n_runs": len(crossover.selection.fitted),
        "audit_class": audit_class,
        "audit_text": audit_text,
        "level": level,
        "axis_label": AXES.get(crossover.axis, crossover.axis),
        "metric_label": METRICS.get(crossover.metric, crossover.metric),
        "figures": [
            {
                "name": figure_name(name, index),
                "caption": CAPTIONS[name].format(level=level),
                "svg": _inline(svg, figure_name(name, index)),
            }
            for name, svg in figures.items()
        ],
        "pairs": [
            {
                "vit": p.vit,
                "cnn": p.cnn,
                "short": short_verdict(p.verdict, crossover.level),
                "p_crossing": _cell(p.verdict.p_crossing, "{:.2f}"),
                "n_runs": p.n_runs,
            }
            for p in crossover.pairs
        ],
        "checks": crossover.checks,
        "warnings": crossover.warnings,
        "measured": _measured(crossover),
        "fits": _fits(crossover),
        "left_out": _left_out(crossover),
    }


def figure_name(name: str, index: int) -> str:
    return f"{name}-{index}"


def _markdown(text: str) -> str:
    """Text that people wrote, without the signs that Markdown would take for its own."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", str(text))


def render_pages(
    crossovers: Sequence[Crossover],
    figures: Sequence[Mapping[str, bytes]],
    *,
    command: str,
    versions: Mapping[str, str],
) -> tuple[str, str]:
    """report.html and report.md.

    Args:
        figures: per question its figures by name, as transparent SVG.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = _markdown
    values = {
        "groups": [_group(c, i, f) for i, (c, f) in enumerate(zip(crossovers, figures, strict=True))],
        "method": _method(crossovers[0].level),
        "command": command,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    html = environment.get_template("report.html.j2").render(values)
    return html, environment.get_template("report.md.j2").render(values)


def band(crossover: Crossover, model: str) -> dict[str, Any]:
    """One model's fit as numbers, for fits.json."""
    curve = crossover.families.curves[model]
    low, high = curve.fit_range
    grid = np.geomspace(low, max(high, (crossover.verdict.fit_range or (low, high))[1]) * HORIZON, 60)
    interval = curve.interval(grid, crossover.level)
    return {
        "model": model,
        "family": next(f for f, models in crossover.families.models.items() if model in models),
        "forms": curve.forms,
        "lack_of_fit": curve.lack_of_fit,
        "seed_spread": curve.points.tau,
        "fit_range": list(curve.fit_range),
        "points": [
            {"size": float(n), "log_error": float(z), "standard_error": float(np.sqrt(v)), "runs": int(r)}
            for n, z, v, r in zip(
                curve.points.sizes, curve.points.log_error, curve.points.variance, curve.points.runs, strict=True
            )
        ],
        "curve": [
            {"size": float(n), "median": float(m), "interval": [float(a), float(b)]}
            for n, m, (a, b) in zip(grid, curve.predict(grid), interval, strict=True)
        ],
        "warnings": curve.warnings,
    }
