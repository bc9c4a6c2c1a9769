"""Words what the joint laws over model sizes say: where families of equal arithmetic cross, and which one to take."""

from __future__ import annotations

import numpy as np

from analysis.estimator.crossover.crossings import HORIZON
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.verdict import AHEAD
from analysis.estimator.crossover.wording import FAMILY, interval, measured, number
from analysis.estimator.curve.law_contest import Axis, LawContest, law_crossings


def _law_crossing(crossover: Crossover, contest: LawContest, axis: Axis, x: float) -> str:
    """Where the joint laws cross at one place of the axis."""
    low, high = contest.images
    n = np.geomspace(low, HORIZON * high, 200)
    p = contest.p_vit_better(axis, x, n)
    parts = []
    for size, low_end, high_end in law_crossings(n, p, crossover.level):
        bounds = (None if low_end != low_end else low_end, None if high_end != high_end else high_end)
        parts.append(f"{number(size)} images ({interval(bounds, crossover.level)})")
    if parts:
        return f"at {' and at '.join(parts)}"
    known = p[np.isfinite(p)]
    for family, chance in (("vit", known), ("cnn", 1 - known)):
        if len(known) and chance.min() >= AHEAD:
            return f"nowhere (the {FAMILY[family]} is ahead)"
    return "at a place that is not known"


def surface_sentence(crossover: Crossover, contest: LawContest) -> str:
    """The crossing at both ends and in the middle of what the families share, of FLOPs where they are known."""
    images = (contest.images[0], HORIZON * contest.images[1])
    for axis, unit in (("train_flops", "FLOPs of training"), ("num_params", "parameters")):
        reach = contest.reach(axis, images)  # type: ignore[arg-type]
        if reach is None:
            continue
        places = [f"with {x:.2g} {unit} {_law_crossing(crossover, contest, axis, x)}"  # type: ignore[arg-type]
                  for x in np.geomspace(*reach, 3)]  # fmt: skip
        return f"By the joint laws the families cross, {'; '.join(places)}."
    return ""


def law_advice(crossover: Crossover, contest: LawContest | str, flops: float, size: float) -> str:
    """Which family the joint laws prefer at a number of images within an arithmetic, or why they do not say."""
    start = "the joint laws over model sizes say nothing here"
    if isinstance(contest, str):
        return f"{start}: {contest}"
    if contest.vit.flops is None or contest.cnn.flops is None:
        return f"{start}: the runs do not say their FLOPs"
    low, high = contest.images
    if not low <= size <= HORIZON * high:
        return f"{start}: they speak of {measured(low)} to {measured(HORIZON * high)} images"
    at = np.array([float(size)])
    sizes = contest.sizes("train_flops", np.array([flops]), at)
    for family, params in zip(("vit", "cnn"), sizes, strict=True):
        if params[0] != params[0]:
            return (
                f"{start}: the smallest {FAMILY[family]} needs more than {flops:.3g} FLOPs for {measured(size)} images"
            )
    p = float(contest.p_vit_better("train_flops", flops, at)[0])
    leader = FAMILY["vit" if p > 0.5 else "cnn"] if max(p, 1 - p) >= AHEAD else "neither family clearly"
    models = f"a ViT of {number(float(sizes[0][0]))} and a CNN of {number(float(sizes[1][0]))} parameters"
    where = _law_crossing(crossover, contest, "train_flops", flops)
    return f"by the joint laws, with {models}: {leader} (P(ViT better) = {p:.2f}); they cross {where}"
