"""Verdicts and advice in, sentences out: the one place that words them, for terminal, report and advice alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.crossings import HORIZON, Interval, Verdict
from analysis.crossover import Crossover

FAMILY = {"vit": "ViT", "cnn": "CNN"}
UNITS = {"train_size": "images", "seen_examples": "examples seen", "train_flops": "FLOPs"}
LABELS = {
    "observed": "crossing observed",
    "extrapolated": "crossing extrapolated",
    "cnn_ahead": "CNN ahead",
    "vit_ahead": "ViT ahead",
    "multiple": "several crossings",
    "not_identifiable": "not identifiable",
}


@dataclass(frozen=True)
class Advice:
    """What is known of both families at one size. Intervals are at the crossover's level."""

    crossover: Crossover
    train_size: int
    family: str | None  # to be used, or None where nothing can be said
    p_vit_better: float | None
    errors: Mapping[str, tuple[float, float, float]]  # family -> median, low, high; empty without curves
    gap: tuple[float, float, float] | None  # worse minus better: median, low, high
    models: Mapping[str, str]  # family -> its best model at that size
    extrapolation_factor: float | None  # size / largest measured, > 1 beyond it
    below: float | None  # smallest measured size, if the size lies below it


def number(value: float) -> str:
    """Three significant digits, as people write them: 210,000 or 4.2e15."""
    if value >= 1e12:
        return f"{value:.3g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    rounded = round(value, 2 - math.floor(math.log10(abs(value)))) if value else 0.0
    return f"{rounded:,.{digits}f}"


def measured(value: float, axis: str | None = None) -> str:
    """A measured size or its multiple: not rounded, as long as it is a count that people read."""
    text = f"{value:,.0f}" if value < 1e9 and value == int(value) else number(value)
    return f"{text} {UNITS.get(axis, axis)}" if axis else text


def amount(value: float, axis: str) -> str:
    return f"{number(value)} {UNITS.get(axis, axis)}"


def percent(level: float) -> str:
    return f"{100 * level:.4g}%"


def interval(bounds: Interval | None, level: float) -> str:
    """The interval with its level, with open ends in words."""
    if bounds is None:
        return f"no {percent(level)} interval"
    low, high = bounds
    if low is None and high is None:
        return f"{percent(level)} interval open on both sides"
    if high is None:
        return f"{percent(level)} interval from {number(low or 0)}, no upper end"
    if low is None:
        return f"{percent(level)} interval up to {number(high)}, no lower end"
    return f"{percent(level)} interval {number(low)}\N{EN DASH}{number(high)}"


def title(key: Mapping[str, Any]) -> str:
    """`strokes, locality 0, 16x16`; empty if nothing is known of the data."""
    parts = [str(key["data"])] if key.get("data") is not None else []
    if key.get("locality") is not None:
        parts.append(f"locality {key['locality']:g}")
    if key.get("image_size") is not None:
        parts.append(f"{key['image_size']:g}\N{MULTIPLICATION SIGN}{key['image_size']:g} pixels")
    if key.get("num_classes") is not None:
        parts.append(f"{key['num_classes']:g} classes")
    return ", ".join(parts)


def _crossing(verdict: Verdict, level: float, axis: str) -> str:
    """`near 210,000 images (90% interval ...), a 4.2x extrapolation`."""
    assert verdict.crossover_size is not None
    text = f"near {amount(verdict.crossover_size, axis)} ({interval(verdict.interval, level)})"
    factor = verdict.extrapolation_factor or 0.0
    return text + (f", a {number(factor)}\N{MULTIPLICATION SIGN} extrapolation" if factor > 1 else ", inside the data")


def _last_errors(crossover: Crossover) -> str:
    """`At 4,096 images the errors are 0.112 (CNN) and 0.171 (ViT).`: the curves at the largest common size."""
    fit_range = crossover.verdict.fit_range
    if fit_range is None:
        return ""
    size = np.array([fit_range[1]])
    cnn, vit = (
        float(np.exp(np.median(crossover.families.envelope(crossover.families.models[f], size))))
        for f in ("cnn", "vit")
    )
    kind = "losses" if crossover.metric.endswith("loss") else "errors"
    return f" At {measured(fit_range[1], crossover.axis)} the fitted {kind} are {cnn:.3f} (CNN) and {vit:.3f} (ViT)."


def _reason(crossover: Crossover) -> str:
    """Why nothing can be said."""
    if crossover.audited and crossover.failed_checks:
        return f"held back by the audit ({'; '.join(c.message for c in crossover.failed_checks)})"
    verdict = crossover.verdict
    if verdict.fit_range is None or verdict.p_crossing is None:
        return "no curve on both sides (at least 3 sizes of a ViT and of a CNN are needed)"
    reach = measured(HORIZON * verdict.fit_range[1], crossover.axis)
    text = f"a crossing up to {reach} has probability {verdict.p_crossing:.2f}"
    bounds = verdict.interval
    if bounds is not None and bounds[0] is not None and bounds[1] is None:
        return f"{text}; if the curves cross, then beyond {number(bounds[0])} ({percent(crossover.level)} interval)"
    return text


def verdict_sentence(crossover: Crossover) -> str:
    """The verdict of one question, in words; the first sentence of every output."""
    verdict, axis = crossover.verdict, crossover.axis
    where = f"{title(crossover.key)}: " if title(crossover.key) else ""
    if verdict.verdict in ("observed", "extrapolated"):
        winner, other = ("ViT", "CNN") if verdict.direction == "vit_overtakes" else ("CNN", "ViT")
        text = f"the {winner} overtakes the {other} {_crossing(verdict, crossover.level, axis)}."
    elif verdict.verdict in ("cnn_ahead", "vit_ahead"):
        winner, other = ("CNN", "ViT") if verdict.verdict == "cnn_ahead" else ("ViT", "CNN")
        low, high = verdict.fit_range or (math.nan, math.nan)
        text = f"the {winner} is ahead of the {other} from {measured(low)} to {measured(HORIZON * high, axis)}"
        text += f" (measured up to {measured(high)}); P(crossing) = {verdict.p_crossing:.2f}."
    elif verdict.verdict == "multiple":
        places = [
            f"{number(c.size)} (P = {c.probability:.2f}, {interval(c.interval, crossover.level)})"
            for c in verdict.crossings
            if c.probability >= 0.5
        ]
        text = f"the curves cross more than once, near {' and near '.join(places)} {UNITS.get(axis, axis)}."
    else:
        text = f"not identifiable: {_reason(crossover)}."
    if not crossover.audited:
        text += " (Audit off: as the curves alone have it.)"
    return where + text + _last_errors(crossover)


def short_verdict(verdict: Verdict, level: float) -> str:
    """The verdict for a table's cell."""
    text = LABELS[verdict.verdict]
    if verdict.crossover_size is None:
        return text
    return f"{text} near {number(verdict.crossover_size)} ({interval(verdict.interval, level)})"


def _pick(advice: Advice, beyond: str) -> str:
    crossover = advice.crossover
    better = advice.family or ("vit" if (advice.p_vit_better or 0) > 0.5 else "cnn")
    worse = "cnn" if better == "vit" else "vit"
    assert advice.gap is not None
    kind = "loss" if crossover.metric.endswith("loss") else "error"
    low, high = advice.gap[1:]
    dash = "\N{EN DASH}" if low >= 0 else " to "
    numbers = (
        f"{kind} {advice.errors[better][0]:.3f} vs {advice.errors[worse][0]:.3f}"
        f" ({percent(crossover.level)} interval of the gap {low:.3f}{dash}{high:.3f})"
    )
    likely = (advice.p_vit_better or 0) if better == "vit" else 1 - (advice.p_vit_better or 0)
    if advice.family:
        return f"use the {FAMILY[better]} ({advice.models[better]}): {numbers}{beyond}"
    lead = f"the {FAMILY[better]} leads with probability {likely:.2f}, {numbers}{beyond}"
    held_back = crossover.audited and crossover.failed_checks  # then no family is named, however clear the curves are
    return lead if held_back else f"neither is clearly better: {lead}"


def advice_sentence(advice: Advice) -> str:
    """One sentence: what to use at this size, on which evidence."""
    crossover = advice.crossover
    verdict, axis = crossover.verdict, crossover.axis
    where = f"{title(crossover.key)}: at" if title(crossover.key) else "At"
    start = f"{where} {advice.train_size:,} {UNITS.get(axis, axis)} "
    if not advice.errors:
        return f"{start}no advice: {_reason(crossover)}."
    factor = advice.extrapolation_factor or 0.0
    if factor > HORIZON:
        times = f"{number(factor)}\N{MULTIPLICATION SIGN}"
        return f"{start}no advice: that is {times} the largest size measured, and the curves speak up to {HORIZON:g}."
    beyond = f", a {number(factor)}\N{MULTIPLICATION SIGN} extrapolation" if factor > 1 else ""
    if advice.below is not None:
        beyond = f", below the smallest size measured ({measured(advice.below)})"
    if crossover.audited and crossover.failed_checks:
        return f"{start}no advice: {_reason(crossover)}; the curves alone say: {_pick(advice, beyond)}."
    text = start + _pick(advice, beyond)
    if verdict.crossover_size is not None:
        return f"{text}; the curves cross {_crossing(verdict, crossover.level, axis)}."
    if verdict.verdict in ("cnn_ahead", "vit_ahead"):
        return f"{text}; no crossing in sight up to {HORIZON:g} times the largest size measured."
    return f"{text}; whether and where the curves cross is not identifiable."
