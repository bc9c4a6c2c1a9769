"""Words advice as text: one sentence first, then what it rests on, what it cannot tell, and what to run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

from analysis.advise.advice import Advice, Flip, Side
from analysis.advise.next_runs import NextRuns
from analysis.advise.train_commands import Cells, command
from analysis.estimator.crossover.crossings import HORIZON, LIKELY
from analysis.estimator.crossover.wording import (
    FAMILY,
    UNITS,
    choose_otherwise,
    measured,
    number,
    percent,
    reason,
    title,
    verdict_sentence,
)
from scaling.records.files import duration

DASH, TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"


def _known(value: object) -> float | None:
    """A number of a row that may be empty."""
    return float(value) if isinstance(value, Real) and value == value else None


def recipe(side: Side, train_size: int) -> str:
    """`75,290 parameters, learning rate 0.03, 8,944 steps of 128`: what the row of that model tells; may be empty."""
    row, parts = side.run, []
    params, lr = _known(row.get("num_params")), _known(row.get("lr"))
    if params:
        parts.append(f"{params:,.0f} parameters")
    if lr:
        parts.append(f"learning rate {lr:g}")
    seen, steps, n = (_known(row.get(k)) for k in ("seen_examples", "steps", "train_size"))
    if seen and steps and n:
        at = "" if n == train_size else f" at {n:,.0f} images"
        parts.append(f"{steps:,.0f} steps of {seen / steps:.0f}{at}")
    return ", ".join(parts)


def _bounds(low: float, high: float, digits: int = 3) -> str:
    return f"{low:.{digits}f}{DASH if low >= 0 else ' to '}{high:.{digits}f}"


def _errors(advice: Advice, better: str) -> str:
    """`error 0.112 (90% interval 0.10-0.12) vs 0.171 (...) of the ViT (vit_w64d4)`."""
    assert advice.sides is not None
    worse = "cnn" if better == "vit" else "vit"
    measure = advice.crossover.measure
    first, second = advice.sides[better], advice.sides[worse]
    bounds = [_bounds(*side.error[1:], 1 if measure.unit == 100 else 3) for side in (first, second)]
    level = percent(advice.crossover.level)
    return (
        f"expected {measure.noun} {measure.show(first.error[0])} ({level} interval {bounds[0]}) vs"
        f" {measure.show(second.error[0])} ({bounds[1]}) of the {FAMILY[worse]} ({second.model})"
    )


def flip_words(flip: Flip | None, advice: Advice) -> str:
    """How many more images would change the lead."""
    unit = UNITS.get(advice.crossover.axis, advice.crossover.axis)
    if flip is None or advice.crossover.verdict.fit_range is None:
        return ""
    horizon = HORIZON * advice.crossover.verdict.fit_range[1]
    if flip.size is None or flip.size > horizon or flip.probability < LIKELY:
        return f"more {unit}, up to {measured(horizon)}, are not likely to flip it (P = {flip.probability:.2f})"
    low, high = flip.interval
    more = [None if x is None else max(0.0, x - advice.train_size) for x in (low, flip.size, high)]
    start, end = more[0] or 0.0, more[2]
    bounds = f"from {number(start)}, no upper end" if end is None else f"{number(start)}{DASH}{number(end)}"
    sure = f"P = {flip.probability:.2f}, {percent(advice.crossover.level)} interval {bounds}"
    return f"about {number(more[1] or 0.0)} more {unit} would flip it ({sure})"


def _where(advice: Advice) -> str:
    unit = UNITS.get(advice.crossover.axis, advice.crossover.axis)
    at = f"{measured(advice.train_size)} {unit}"
    where = title(advice.crossover.key)
    return f"{where}: at {at}" if where else f"At {at}"


def _limits(advice: Advice) -> str:
    limits = [("train_flops", "FLOPs of training"), ("num_params", "parameters")]
    given = [f"{getattr(advice.limits, k):.3g} {text}" for k, text in limits if getattr(advice.limits, k) is not None]
    return f" and at most {' and '.join(given)}" if given else ""


def advice_sentence(advice: Advice, plan: NextRuns | None = None) -> str:
    """One sentence: what to use at this size, or that these runs cannot tell and what would."""
    start = f"{_where(advice)}{_limits(advice)} "
    if advice.family and advice.sides is not None:
        side = advice.sides[advice.family]
        made = recipe(side, advice.train_size)
        parts = [
            f"{start}use the {FAMILY[advice.family]} ({side.model}{'; ' + made if made else ''})",
            _errors(advice, advice.family),
        ]
        flip = flip_words(advice.flip, advice)
        tail = f"P(ViT better) = {advice.p_vit_better:.2f}" + (f"; {flip}" if flip else "")
        return f"{': '.join(parts)}{_beyond(advice)}; {tail}."
    if advice.level and not advice.held_back:
        within = percent(advice.crossover.equivalent_within)
        text = f"{start}the ViT and the CNN are level, their errors within {within} of each other"
        return f"{text} ({_errors(advice, advice.leader)}): {choose_otherwise(advice.crossover)}."
    return f"{start}one cannot tell from these runs: {_why_not(advice)}{_proposal(plan)}."


def _beyond(advice: Advice) -> str:
    factor = advice.extrapolation_factor or 0.0
    if factor > 1:
        return f", a {number(factor)}{TIMES} extrapolation"
    return f", below the smallest size measured ({measured(advice.below)})" if advice.below is not None else ""


def _out_of_reach(advice: Advice) -> str:
    """Why nothing is said so far from the data, and the nearest sizes at which something can be."""
    low, high = advice.crossover.verdict.fit_range or (1.0, 1.0)
    reach = f"the curves speak from {measured(max(1.0, low / HORIZON))} to {measured(high * HORIZON)}"
    if advice.too_small:
        part = number(low / advice.train_size)
        return f"that is a {part}th of the smallest size measured, and {reach}"
    return f"that is {number(advice.extrapolation_factor or 0.0)}{TIMES} the largest size measured, and {reach}"


def _why_not(advice: Advice) -> str:
    if advice.too_large:
        return advice.too_large
    if advice.sides is None or advice.p_vit_better is None:
        return reason(advice.crossover)
    if advice.too_far:
        return _out_of_reach(advice)
    likely = max(advice.p_vit_better, 1 - advice.p_vit_better)
    curves = f"the {FAMILY[advice.leader]} leads with probability {likely:.2f}, {_errors(advice, advice.leader)}"
    if advice.held_back:
        return f"{reason(advice.crossover)}; the curves alone say: {curves}{_beyond(advice)}"
    return f"neither is clearly better: {curves}{_beyond(advice)}"


def _cells_words(cells: Cells) -> str:
    sizes = ", ".join(f"{n:,}" for n in cells.sizes)
    seeds = f"seed{'s' if len(cells.seeds) > 1 else ''} {', '.join(map(str, cells.seeds))}"
    rates = f", learning rates {', '.join(f'{r:.3g}' for r in cells.rates)}" if cells.rates else ""
    extra = "".join(f", {e}" for e in cells.extra if not e.startswith("sweep="))
    return f"{cells.model} at {sizes} images ({seeds}{rates}{extra})"


def _proposal(plan: NextRuns | None) -> str:
    if plan is None or not plan.cells:
        return ""
    cost = f", about {duration(plan.seconds)} of training as measured so far" if plan.seconds else ""
    chance = f", with a chance of {plan.chance:.2f}" if plan.chance is not None else ""
    names = list(dict.fromkeys(c.model for c in plan.cells))
    what = f"{plan.runs} runs of {' and '.join(names) if len(names) < 4 else f'{len(names)} models'}"
    verb = "would settle it" if plan.chance is not None else "would fix what the audit found"
    return f"; the cheapest runs that {verb}{chance} are {what}{cost} (below)"


def train_command(advice: Advice) -> str | None:
    """The command that trains what is advised, on that many images."""
    if advice.family is None or advice.sides is None or advice.crossover.axis != "train_size":
        return None
    side = advice.sides[advice.family]
    seed = int(_known(side.run.get("seed")) or 0)
    return command(side.run, Cells(side.model, (advice.train_size,), (seed,), (), ("sweep=advised", "keep=last")))


def _evidence(advice: Advice) -> list[str]:
    crossover = advice.crossover
    lines = [verdict_sentence(crossover)]
    if advice.gap is not None:
        middle, low, high = advice.gap
        lines.append(
            f"the {FAMILY[advice.leader]}'s lead at {measured(advice.train_size)}: {middle:.3f}"
            f" ({percent(crossover.level)} interval {_bounds(low, high)})"
        )
    if crossover.verdict.fit_range is not None:
        first, last = (measured(x) for x in crossover.verdict.fit_range)
        lines.append(f"{len(crossover.selection.fitted)} runs, measured from {first} to {last}")
    if advice.sides is not None:
        for family, side in advice.sides.items():
            others = [m for m in side.models if m != side.model]
            if others:
                lines.append(f"best {FAMILY[family]} there by validation error: {side.model}, of {len(others) + 1}")
    return lines


def _caveats(advice: Advice, plan: NextRuns | None) -> list[str]:
    crossover = advice.crossover
    lines = []
    if (advice.extrapolation_factor or 0.0) > 1 and advice.sides is not None:
        lines.append(
            f"nothing was measured there: {number(advice.extrapolation_factor or 0.0)}{TIMES} the largest size"
        )
    if crossover.audited:
        lines += [f"audit failed: {c.message}" for c in crossover.failed_checks]
    silent = [c for c in crossover.checks if c.status == "unknown"]
    if silent:
        lines.append(f"not known from these results: {'; '.join(dict.fromkeys(c.message for c in silent))}")
    # Of the warnings those that no check of the audit has said already.
    told = {c.code for c in silent} | {"single_seed", "few_sizes"}
    lines += [w["message"] for w in crossover.warnings if w["code"] not in told]
    if plan is not None:
        lines += [f"no run fixes: {text}" for text in plan.unfixed]
    lines.append(
        "this speaks of these models, recipes, budgets and data; another recipe can move the answer severalfold"
    )
    return list(dict.fromkeys(lines))


def text(advice: Advice, plan: NextRuns | None) -> str:
    """The whole answer for a terminal."""
    blocks = [
        advice_sentence(advice, plan),
        _list("Evidence", _evidence(advice)),
        _list("Caveats", _caveats(advice, plan)),
    ]
    train = train_command(advice)
    if train:
        blocks.append(_list("To train it", [train], mark=""))
    if plan is not None and plan.cells:
        blocks.append(_list("Runs that would tell", plan.commands or [_cells_words(c) for c in plan.cells], mark=""))
        if plan.commands:
            blocks.append("  then this command again")
    elif advice.family is None and advice.sides is not None and plan is None and not advice.held_back:
        blocks.append(_close(advice))
    return "\n".join(blocks)


def _close(advice: Advice) -> str:
    """Nothing settles it: then the choice hardly matters, as far as the error goes."""
    assert advice.gap is not None
    worst = max(abs(x) for x in advice.gap if math.isfinite(x))
    return (
        f"  No affordable number of runs is likely to settle it; the errors differ by {worst:.3f} at most"
        f" ({percent(advice.crossover.level)} interval), so choose by other grounds, or measure nearer to that size."
    )


def _list(heading: str, lines: Mapping[str, str] | list[str] | tuple[str, ...], mark: str = "- ") -> str:
    return "\n".join([f"{heading}:", *(f"  {mark}{line}" for line in lines)])
