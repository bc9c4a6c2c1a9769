"""Builds what one question's section of the report says: sentences, facts and tables, as strings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimator.crossover import tables
from analysis.estimator.crossover.crossings import HORIZON
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.wording import (
    FAMILY,
    measured,
    number,
    percent,
    short_verdict,
    title,
    verdict_sentence,
)
from analysis.estimator.curve.joint_law import LAW_NAMES
from analysis.figures.curves import untrained
from analysis.figures.diagnostics import has_parameters, models_with_grids
from analysis.figures.render import Drawn
from analysis.figures.style import axis_label, metric_label
from analysis.report.law_words import surface_sentence
from analysis.report.page_data import MOST_DRAWN

CAPTIONS = {
    "curves": (
        "Every point is a run, filled where it is fitted; lines are the fitted curves with their {level} bands, dashed"
        " beyond the measured sizes; the crossing and its interval are shaded."
    ),
    "gap": "{ratio} with its {level} band: the curves cross where it passes 1; below, the ViT leads.",
    "residuals": (
        "What was measured over what was fitted, with the {level} noise of the mean: bars that leave 1 more often than"
        " that say that the curve does not describe the runs."
    ),
    "joint": (
        "{metric} = E + A/N^alpha + B/n^beta over all sizes N of a family and all n: how much a larger model (alpha) or"
        " more images (beta) would still help, and what neither would remove (E). One form, with bootstrap standard"
        " errors; the verdicts do not rest on it."
    ),
    "learning_rates": "Validation error against learning rate where several were tried; the chosen rate is ringed.",
    "parameters": "What was measured against the parameters, a colour per size; lines join a family's models.",
    "surface": (
        "Where the families' joint laws cross (line, with its {level} band), against the FLOPs of a run, with the"
        " largest measured models that keep within them, and against parameters; coloured where a family is ahead with"
        " P >= .9; dotted: the most images measured. The verdicts do not rest on it."
    ),
    "overview": "What was measured against size for every question; the crossing and its interval are shaded.",
    "modes": (
        "Every mode of each family: points are runs, lines the family's envelope in that mode, with its band, over the"
        " sizes that it was measured at."
    ),
    "design": (
        "What the adaptive design knew against what it had cost: the interval of the crossing, as its upper over its"
        " lower end (triangles: open, or no crossing), and how much of who leads at which size was still open."
    ),
    "knob": (
        "Crossover size against what differs between the questions. The grey bar spans the measured sizes, its paler"
        " part reaches as far as the verdict speaks."
    ),
}


def _decimals(value: float) -> str:
    return f"{value:.3g}" if value < 0.1 else f"{value:.3f}"


def _cell(value: Any, pattern: str = "{:g}") -> str:
    return "" if value is None or pd.isna(value) else pattern.format(value)


def _balanced(value: Any) -> str:
    """The balanced error beside the error, where classes are unequal."""
    return "" if value is None or pd.isna(value) else f"; balanced {_decimals(value)}"


def _measured(crossover: Crossover) -> list[dict[str, str]]:
    table = []
    for row in tables.measured_table(crossover).to_dict("records"):
        at, fit = row[crossover.axis], ""
        if not pd.isna(row["fitted"]):
            low, high = _decimals(row["fitted_low"]), _decimals(row["fitted_high"])
            fit = f"{_decimals(row['fitted'])} ({low} to {high})"
        table.append(
            {
                "model": row["model"],
                "size": number(at) if crossover.axis != "train_size" else f"{at:,.0f}",
                "lr": _cell(row["lr"]),
                "tried": _cell(row["rates_tried"]),
                "runs": str(row["runs"]),
                "errors": f"{_decimals(row['mean'])} ({_decimals(row['lowest'])} to {_decimals(row['highest'])})"
                + _balanced(row.get("balanced")),
                "fit": fit,
            }
        )
    return table


def _fits(crossover: Crossover) -> list[dict[str, str]]:
    shown, last = [], None
    for row in tables.fits(crossover).to_dict("records"):
        first = row["model"] != last
        p = "no degrees of freedom" if pd.isna(row["lack_of_fit"]) else f"p = {row['lack_of_fit']:.2g}"
        shown.append(
            {
                "model": row["model"] if first else "",
                "name": row["form"],
                "formula": row["formula"],
                "weight": f"{row['weight']:.2f}",
                "parameters": row["parameters"],
                "lack_of_fit": p if first else "",
            }
        )
        last = row["model"]
    return shown


def _joint(crossover: Crossover) -> list[dict[str, str]]:
    shown = []
    for row in tables.joint(crossover).to_dict("records"):
        values = {name: f"{row[name]:.3g} \N{PLUS-MINUS SIGN} {row[name + '_se']:.1g}" for name in LAW_NAMES}
        shown.append(values | {"family": FAMILY[row["family"]], "models": str(row["models"]), "runs": str(row["runs"])})
    return shown


def _surface(crossover: Crossover) -> str:
    contest = tables.law_contest(crossover)
    return "" if isinstance(contest, str) else surface_sentence(crossover, contest)


def _ratio(crossover: Crossover) -> str:
    noun = crossover.measure.fitted_noun
    return f"ViT {noun} over CNN {noun}"


def _fitted_label(crossover: Crossover) -> str:
    measure = crossover.measure
    return measure.fitted_noun if measure.higher else metric_label(crossover)


def _left_out(crossover: Crossover) -> list[dict[str, str]]:
    return [
        {
            "model": row["model"],
            "size": _cell(row.get(crossover.axis), "{:,.0f}"),
            "seed": _cell(row.get("seed")),
            "error": _cell(row.get(crossover.metric), "{:.4f}"),
            "reason": " ".join(str(part) for part in (row["reason"], row.get("error_text")) if part and part == part),
        }
        for row in tables.left_out(crossover).to_dict("records")
    ]


def inline_svg(svg: bytes, prefix: str) -> str:
    """The svg element alone, its ids unlike those of other figures."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)


def _audit(crossover: Crossover) -> tuple[str, str]:
    failed = [c.code for c in crossover.failed_checks]
    unknown = sum(c.status == "unknown" for c in crossover.checks)
    if failed:
        return "failed", f"failed: {', '.join(failed)}" + ("" if crossover.audited else " (audit off)")
    return ("unknown", f"passed, {unknown} unknown") if unknown else ("passed", "passed")


def _factor(crossover: Crossover) -> str:
    """How far beyond the largest measured size the verdict reaches."""
    verdict = crossover.verdict
    if verdict.extrapolation_factor is not None:
        return _times(verdict.extrapolation_factor) if verdict.extrapolation_factor > 1 else "inside the data"
    return f"{HORIZON:g}\N{MULTIPLICATION SIGN}" if verdict.verdict in ("cnn_ahead", "vit_ahead") else ""


def _times(value: float) -> str:
    return f"{number(value)}\N{MULTIPLICATION SIGN}"


def _facts(crossover: Crossover) -> list[dict[str, str]]:
    """The numbers behind the sentence, each with its name."""
    verdict, dash = crossover.verdict, "\N{EN DASH}"
    audit_class, audit_text = _audit(crossover)
    facts = [("verdict", short_verdict(verdict, crossover.level), ""), ("beyond the data", _factor(crossover), "")]
    facts.append(("P(crossing)", _cell(verdict.p_crossing, "{:.2f}"), ""))
    if verdict.fit_range is not None:
        low, high = verdict.fit_range
        facts.append(("measured", f"{measured(low)}{dash}{measured(high, crossover.axis)}", ""))
        tail = (1 - crossover.level) / 2
        for family in ("cnn", "vit"):
            draws = crossover.families.envelope(crossover.families.models[family], np.array([high]))
            bounds = np.sort(crossover.measure.value(np.exp(np.quantile(draws, [tail, 0.5, 1 - tail]))))
            text = f"{_decimals(bounds[1])} ({_decimals(bounds[0])}{dash}{_decimals(bounds[2])})"
            facts.append((f"{FAMILY[family]} at {measured(high)}", text, ""))
    if bare := untrained(crossover):
        facts.append(("untrained starts", ", ".join(f"{m} {_decimals(v)}" for m, v in bare.items()), ""))
    left_out = len(crossover.selection.left_out)
    runs = f"{len(crossover.selection.fitted)} fitted" + (f", {left_out} left out" if left_out else "")
    if len(crossover.selection.fitted) > MOST_DRAWN:
        runs += "; the plots show an even choice of them"
    facts += [("runs", runs, ""), ("audit", audit_text, audit_class)]
    return [{"name": name, "value": value, "class": kind} for name, value, kind in facts if value]


def section(crossover: Crossover, index: int, drawn: Drawn, pictures: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What the templates show of one question; `index` is its number in the report."""
    level = percent(crossover.level)
    audit_class, audit_text = _audit(crossover)
    return {
        "title": title(crossover.key) or "all rows",
        "sentence": verdict_sentence(crossover),
        "short": short_verdict(crossover.verdict, crossover.level),
        "p_crossing": _cell(crossover.verdict.p_crossing, "{:.2f}"),
        "factor": _factor(crossover),
        "n_runs": len(crossover.selection.fitted),
        "n_models": len(set(crossover.selection.fitted["model"])),
        "audit_class": audit_class,
        "audit_text": audit_text,
        "facts": _facts(crossover),
        "level": level,
        "ratio": _ratio(crossover),
        "axis_label": axis_label(crossover),
        "metric_label": metric_label(crossover),
        "static": inline_svg(svg, f"static-{index}") if (svg := drawn.files.get(f"curves-{index}.svg")) else "",
        "figures": [
            {"name": f"{name}-{index}", "caption": CAPTIONS[name].format(level=level, ratio=_ratio(crossover))}
            for name in drawn.names[index]
        ],
        "has_curves": bool(crossover.families.curves),
        "has_parameters": has_parameters(crossover),
        "grids": models_with_grids(crossover),
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
        "mechanism": pictures,
        "measured": _measured(crossover),
        "fits": _fits(crossover),
        "joint": _joint(crossover),
        "surface": _surface(crossover),
        "joint_caption": CAPTIONS["joint"].format(metric=_fitted_label(crossover)),
        "left_out": _left_out(crossover),
    }
