"""Words what a pilot found: today's answer first, then 3 and 10 times as many images, then what it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.advise.advice import Advice
from analysis.advise.next_runs import NextRuns
from analysis.advise.wording import DASH, TIMES, duration
from analysis.estimator.crossover.crossings import HORIZON
from analysis.estimator.crossover.wording import (
    FAMILY,
    choose_otherwise,
    measured,
    number,
    percent,
    reason,
    verdict_sentence,
)
from analysis.pilot.folder import Look
from analysis.pilot.plan import Design
from analysis.pilot.run import PilotProgress

_TOLD = ("unequal_classes",)  # warnings of the analysis that belong into the advice
DO = {"cnn": "keep the CNN", "vit": "switch to the ViT"}


def _label_more(advice: Advice) -> str:
    """How many more images to label before the other family pays; empty where none are known to."""
    flip, fit_range = advice.flip, advice.crossover.verdict.fit_range
    if flip is None or fit_range is None or flip.size is None or flip.size > HORIZON * fit_range[1]:
        return ""
    if flip.probability < 0.5:
        return ""
    other = FAMILY["cnn" if advice.leader == "vit" else "vit"]
    low, high = (None if x is None else number(max(0.0, x - advice.train_size)) for x in flip.interval)
    bounds = f"from {low}, no upper end" if high is None else f"{low}{DASH}{high}"
    more = number(max(0.0, flip.size - advice.train_size))
    sure = f"P = {flip.probability:.2f}, {percent(advice.crossover.level)} interval {bounds}"
    return f"label about {more} more images ({sure}) before the {other} pays"


def _errors(advice: Advice) -> str:
    if advice.sides is None:
        return ""
    parts = [
        f"{FAMILY[f]} {s.error[0]:.2f} ({s.error[1]:.2f}{DASH}{s.error[2]:.2f})"
        for f, s in sorted(advice.sides.items(), key=lambda item: item[1].error[0])
    ]
    return f"errors {' and '.join(parts)}, P(ViT better) = {advice.p_vit_better:.2f}"


def answer_for(advice: Advice, *, first: bool = True) -> str:
    """One line for one number of images; what holds all of them back is said with the first."""
    if advice.family is not None:
        more = _label_more(advice)
        return f"{DO[advice.family]}: {_errors(advice)}" + (f"; {more}" if more else "")
    if advice.sides is None:
        return f"this pilot cannot tell: {reason(advice.crossover)}"
    if advice.too_far:
        return (
            f"this pilot cannot tell: {number(advice.extrapolation_factor or 0.0)}{TIMES} the largest size it measured"
        )
    if advice.held_back and not first:
        return f"it cannot tell either; the curves alone say {_errors(advice)}"
    if advice.held_back:
        return f"this pilot cannot tell: {reason(advice.crossover)}; the curves alone say {_errors(advice)}"
    if advice.level:
        return f"the ViT and the CNN are level, {_errors(advice)}: {choose_otherwise(advice.crossover)}"
    return f"this pilot cannot tell: {_errors(advice)}, neither is clearly better"


def report(
    advices: Sequence[Advice],
    plan: NextRuns | None,
    *,
    found: Look,
    design: Design,
    progress: PilotProgress,
    limit: float,
) -> str:
    """The whole answer. `advices`: today's size, three times and ten times of it; `plan`: runs that would tell more."""
    today = advices[0]
    lines = [f"With today's {today.train_size:,} images {answer_for(today)}."]
    for factor, advice in zip((3, 10), advices[1:], strict=True):
        lines.append(f"With {factor}{TIMES} as many ({advice.train_size:,}) {answer_for(advice, first=False)}.")
    lines += ["What this rests on:", *(f"  - {line}" for line in _basis(advices, found, design, progress, limit))]
    if plan is not None and plan.commands:
        cost = f" (about {duration(plan.seconds)} of one core)" if plan.seconds else ""
        lines += [f"Runs that would tell more{cost}:", *(f"  {c}" for c in plan.commands)]
    return "\n".join(lines)


def _basis(advices: Sequence[Advice], found: Look, design: Design, progress: PilotProgress, limit: float) -> list[str]:
    today = advices[0]
    kept = found.train_images - today.train_size
    lines = [*found.lines(), f"{today.train_size:,} of them train, {kept:,} are kept to choose learning rates by"]
    vit, cnn = design.models
    rates = ", ".join(f"{m} {lr:g}" for m, lr in sorted(progress.rates.items()))
    passes = design.steps * 64 / design.sizes[-1]
    lines.append(
        f"tiny models at {design.image_size} pixels: {vit} and {cnn} on {design.sizes[0]:,} to {design.sizes[-1]:,}"
        f" images, {passes:.0f} passes at the largest size, augmentation {design.augment}"
    )
    if design.image_size < found.sides[1]:
        lines.append(
            f"your images are {found.sides[1]} pixels: at {design.image_size} detail is lost (on CIFAR-10 the CNN's"
            " lead at 16 pixels is smaller than at 32); more time would allow a higher resolution"
        )
    if design.augment == "none":
        lines.append("without augmentation, for want of time: with it both errors fall, by different amounts")
    if rates:
        lines.append(f"learning rates chosen on validation at {design.grid_size:,} images: {rates}")
    count = len(progress.seeds)
    if not progress.complete:
        lines.append(f"stopped early: {count} complete seed{'' if count == 1 else 's'}; the same command goes on")
    else:
        seeds = f"{count} seed{'' if count == 1 else 's'} of each size, more where they tell most"
        lines.append(f"{seeds}, within {duration(limit)}")
        lines += [progress.more] if progress.more else []
    if not today.held_back:
        lines.append(verdict_sentence(today.crossover))
    if today.crossover.axis == "train_size" and design.sizes[-1] < today.train_size:
        lines.append(f"measured up to {measured(design.sizes[-1])} images only, for want of time")
    lines += [w["message"] for w in today.crossover.warnings if w["code"] in _TOLD]
    silent = [c.message for c in today.crossover.checks if c.status == "unknown"]
    if silent:
        lines.append(f"not known: {'; '.join(dict.fromkeys(silent))}")
    lines.append("larger or pre-trained models can answer differently: a pilot says which way the data lean, no more")
    return lines
