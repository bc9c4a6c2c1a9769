"""Words verdicts as sentences: the one place that does, for terminal, report and advice alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analysis.estimator.audit.of_weights import unlike_starts
from analysis.estimator.crossover.crossings import HORIZON, LIKELY, Crossing, Interval
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.verdict import Verdict
from scaling.records.question import QUESTION

FAMILY = {"vit": "ViT", "cnn": "CNN"}
UNITS = {
    "train_size": "images",
    "pretrain_size": "pre-training images",
    "seen_examples": "examples seen",
    "train_flops": "FLOPs",
    "train_seconds": "seconds",
}
OTHER = {"vit": "cnn", "cnn": "vit"}
GROUNDS = {  # what families that are level may be chosen by, where a row has it
    "num_params": "parameters",
    "train_flops": "FLOPs of training",
    "train_seconds": "seconds of training",
    "images_per_second": "images/s",
    "peak_memory_bytes": "bytes of memory",
}
MODES: dict[tuple[Any, Any], str] = {  # how a question's runs started; from scratch goes without saying
    ("pretrained", "probe"): "frozen features",
    ("pretrained", "full"): "fine-tuned",
    ("pretrained", None): "from weights",
}
LABELS = {
    "equivalent": "level",
    "observed": "crossing observed",
    "extrapolated": "crossing extrapolated",
    "cnn_ahead": "CNN ahead",
    "vit_ahead": "ViT ahead",
    "multiple": "several crossings",
    "not_identifiable": "not identifiable",
}


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
    if "data_fingerprint" in key:
        parts.append(f"pictures {key['data_fingerprint'][:8]}" if key["data_fingerprint"] else "pictures not recorded")
    if mode := MODES.get((key.get("init"), key.get("adapt"))):
        parts.append(mode)
    if key.get("train_size") is not None:
        parts.append(f"{key['train_size']:,} training images")
    usual = (*QUESTION, "data_fingerprint", "init", "adapt", "train_size")
    for name, value in key.items():
        if name == "provenance":
            parts.append(Path(str(value)).name)  # the file is the question
        elif name not in usual:
            parts.append(f"{name} {value:g}" if isinstance(value, (int, float)) else f"{name} {value}")
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
        crossover.measure.show(
            float(
                crossover.measure.value(
                    np.exp(np.median(crossover.families.envelope(crossover.families.models[f], size)))
                )
            )
        )
        for f in ("cnn", "vit")
    )
    noun = crossover.measure.noun
    kind = {"error": "errors are", "loss": "losses are"}.get(noun, f"{noun} is")
    return f" At {measured(fit_range[1], crossover.axis)} the fitted {kind} {cnn} (CNN) and {vit} (ViT)."


def reason(crossover: Crossover) -> str:
    """Why nothing more can be said."""
    if crossover.audited and crossover.failed_checks:
        return f"held back by the audit ({'; '.join(c.message for c in crossover.failed_checks)})"
    verdict = crossover.verdict
    if verdict.fit_range is None or verdict.p_crossing is None:
        return _without_curve(crossover)
    return _open(crossover)


def _without_curve(crossover: Crossover) -> str:
    """Which family has no curve, why, and what would give it one."""
    rows, said = crossover.selection.fitted, []
    for family, name in FAMILY.items():
        if crossover.families.models[family]:
            continue
        sizes = rows[rows["family"] == family].groupby("model")[crossover.axis].nunique()
        most = f", {sizes.idxmax()} has {sizes.max()}" if len(sizes) else ", and there are no runs of one"
        several = f" (of {len(sizes)} models)" if len(sizes) > 1 else ""
        said.append(f"no {name} has 3 sizes{several}{most}")
    return (
        f"no curve on both sides: {'; '.join(said)}; run one model at more sizes, or, where several names are one"
        " model, give them one name in a column and say columns.model=THAT"
    )


def _likely_inside(verdict: Verdict) -> Crossing | None:
    """The one crossing that is more likely than not, where it lies inside the measured sizes."""
    likely = [c for c in verdict.crossings if c.probability > LIKELY]
    inside = len(likely) == 1 and verdict.fit_range is not None and likely[0].size <= verdict.fit_range[1]
    return likely[0] if inside else None


def _open(crossover: Crossover) -> str:
    """What the curves leave open: a crossing that is leaned to, or whether there is one."""
    verdict, axis = crossover.verdict, crossover.axis
    assert verdict.fit_range is not None
    if verdict.lean is not None:
        lean, factor = verdict.lean, number(verdict.lean.size / verdict.fit_range[1])
        winner, other = ("ViT", "CNN") if lean.direction == "vit_overtakes" else ("CNN", "ViT")
        return (
            f"the {winner} may overtake the {other} near {amount(lean.size, axis)}"
            f" ({interval(lean.interval, crossover.level)}), a {factor}\N{MULTIPLICATION SIGN} extrapolation; P ="
            f" {lean.probability:.2f}"
        )
    likely = _likely_inside(verdict)
    if likely is not None:
        place = f"near {amount(likely.size, axis)} ({interval(likely.interval, crossover.level)})"
        return f"a crossing {place} has P = {likely.probability:.2f}, but the lead is not clear on both sides of it"
    reach = measured(HORIZON * verdict.fit_range[1], axis)
    text = f"whether they cross up to {reach}, P(crossing) = {verdict.p_crossing:.2f}"
    bounds = verdict.interval
    if bounds is not None and bounds[0] is not None and bounds[1] is None:
        return f"{text}; if they do, then beyond {number(bounds[0])} ({percent(crossover.level)} interval)"
    return text


def known_words(crossover: Crossover) -> str:
    """What is known all the same: who is ahead over which measured sizes, and how likely still at the largest one."""
    verdict, axis = crossover.verdict, crossover.axis
    assert verdict.fit_range is not None
    low, high = verdict.fit_range
    p_vit = float(crossover.p_vit_better(high))
    known = verdict.known
    if known is None:
        return (
            f"neither family is clearly ahead at any size from {measured(low)} to {measured(high, axis)}"
            f" (P(ViT better) = {p_vit:.2f} at the largest)"
        )
    name, other = FAMILY[known.family], FAMILY[OTHER[known.family]]
    where = f"from {measured(known.first)} to {measured(known.last, axis)}"
    text = f"the {name} is ahead of the {other} "
    text += f"{where if known.first < known.last else f'at {measured(known.last, axis)}'} (P = {known.probability:.2f})"
    if known.last < high:
        p = p_vit if known.family == "vit" else 1 - p_vit
        still = f"it is still ahead with P = {p:.2f}" if p > 0.5 else f"the {other} is ahead with P = {1 - p:.2f}"
        text += f"; at {measured(high)} {still}"
    return text


def _settles(crossover: Crossover) -> str:
    verdict = crossover.verdict
    assert verdict.fit_range is not None
    low, high = verdict.fit_range
    if verdict.known is not None and verdict.known.last >= high:
        likely = _likely_inside(verdict)
        if likely is not None and verdict.known.first > low:  # what is missing is the other family's lead before it
            start = f"from {measured(low)} to {amount(likely.size, crossover.axis)}"
            return f"more seeds {start}, or smaller sizes, would settle it"
        return f"runs beyond {measured(high, crossover.axis)} would settle it"
    return f"more runs near {measured(high, crossover.axis)} or beyond would settle who leads there"


def other_grounds(crossover: Crossover) -> str:
    """What each family's best model costs at the largest size both measured, as far as the rows tell; may be empty."""
    rows, sides = crossover.selection.fitted, []
    if crossover.verdict.fit_range is None:
        return ""
    high = crossover.verdict.fit_range[1]
    for family in ("vit", "cnn"):
        model = crossover.families.best_model(crossover.families.models[family], high)
        own = rows[rows["model"] == model]
        nearest = own[own[crossover.axis] == own.loc[np.log(own[crossover.axis] / high).abs().idxmin(), crossover.axis]]
        known = [c for c in GROUNDS if c in nearest.columns and nearest[c].notna().all()]
        costs = [f"{number(float(nearest[c].mean()))} {GROUNDS[c]}" for c in known]
        sides.append(f"{FAMILY[family]} ({model}): {', '.join(costs)}" if costs else "")
    return "; ".join(sides) if all(sides) else ""


def choose_otherwise(crossover: Crossover) -> str:
    """The advice where families are level."""
    grounds = other_grounds(crossover)
    return f"choose by other grounds{f' ({grounds})' if grounds else ', such as speed, parameters or memory'}"


def _claim(crossover: Crossover) -> str:
    """The sentence of a verdict that claims something."""
    verdict, axis = crossover.verdict, crossover.axis
    if verdict.verdict in ("observed", "extrapolated"):
        winner, other = ("ViT", "CNN") if verdict.direction == "vit_overtakes" else ("CNN", "ViT")
        text = f"the {winner} overtakes the {other} {_crossing(verdict, crossover.level, axis)}"
        return f"{text}; P = {_p_of_claim(verdict)}."
    if verdict.verdict == "multiple":
        places = [
            f"{number(c.size)} (P = {c.probability:.2f}, {interval(c.interval, crossover.level)})"
            for c in verdict.claimed or verdict.crossings
        ]
        return f"the curves cross more than once, near {' and near '.join(places)} {UNITS.get(axis, axis)}."
    low, high = verdict.fit_range or (math.nan, math.nan)
    if verdict.verdict == "equivalent":
        within = f"their errors are within {percent(crossover.equivalent_within)} of each other"
        text = f"the ViT and the CNN are level from {measured(low)} to {measured(high, axis)}: {within}"
        return f"{text}, P = {_p_of_claim(verdict)}; {choose_otherwise(crossover)}."
    winner, other = ("CNN", "ViT") if verdict.verdict == "cnn_ahead" else ("ViT", "CNN")
    text = f"the {winner} is ahead of the {other} from {measured(low)} to {measured(HORIZON * high, axis)}"
    speaks = f"measured up to {measured(high)}, a {HORIZON:g}\N{MULTIPLICATION SIGN} extrapolation"
    return f"{text} ({speaks}), P = {_p_of_claim(verdict)}; P(crossing) = {verdict.p_crossing:.2f}."


def _p_of_claim(verdict: Verdict) -> str:
    p = verdict.probability if verdict.probability is not None else verdict.p_crossing
    return f"{p or 0.0:.2f}"


def verdict_sentence(crossover: Crossover) -> str:
    """The verdict of one question, in words; the first sentence of every output."""
    verdict = crossover.verdict
    where = f"{title(crossover.key)}: " if title(crossover.key) else ""
    if verdict.verdict != "not_identifiable":
        text = _claim(crossover)
    elif verdict.p_crossing is None or (crossover.audited and crossover.failed_checks):
        text = f"not identifiable: {reason(crossover)}."
    else:
        text = f"{known_words(crossover)}. Not identifiable: {_open(crossover)}; {_settles(crossover)}."
    if unlike_starts(crossover.selection.fitted, crossover.axis):
        text += " These are two checkpoints, pre-trained on different data, not two families."
    if not crossover.audited:
        text += " (Audit off: as the curves alone have it.)"
    return where + text + _last_errors(crossover)


def short_verdict(verdict: Verdict, level: float | None) -> str:
    """The verdict for a table's cell; without its interval if `level` is None."""
    text = LABELS[verdict.verdict]
    if verdict.crossover_size is None:
        return text
    bounds = "" if level is None else f" ({interval(verdict.interval, level)})"
    return f"{text} near {number(verdict.crossover_size)}{bounds}, P = {_p_of_claim(verdict)}"
