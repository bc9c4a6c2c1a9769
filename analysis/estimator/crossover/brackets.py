"""Sets published brackets beside an estimate: "B/32 worse than R50 at 9 M images, better from 90 M".

A bracket is knowledge of another experiment, censored to two sizes. It is shown, and its probability under the estimate
is given; it never moves the estimate, since data, recipes and models differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from analysis.arguments import InputError, whole_number
from analysis.estimator.crossover.find_crossover import Crossover


@dataclass(frozen=True)
class Bracket:
    """The ViT is worse at `below` and better from `above` on."""

    label: str
    below: float
    above: float


def parse_bracket(text: str) -> Bracket:
    """`LABEL:9e6-90e6`, the ViT worse at the first number of images and better from the second on.

    Raises:
        InputError: anything else.
    """
    match = re.fullmatch(r"(.+):([^:-]+)-([^:-]+)", text)
    if not match:
        raise InputError(f"{text!r} is no bracket; write LABEL:9e6-90e6, the ViT worse at 9e6 and better from 90e6 on")
    below, above = (whole_number("bracket", part) for part in match.groups()[1:])
    if not below < above:
        raise InputError(f"{text!r}: the first number of images must be below the second")
    return Bracket(match.group(1), below, above)


def describe(crossover: Crossover, bracket: Bracket) -> str:
    """One line: the bracket, whether the estimate's interval overlaps it, and P(the families here do the same)."""
    text = f"{bracket.label}: the ViT worse at {bracket.below:,.0f} images, better from {bracket.above:,.0f}"
    interval = crossover.verdict.interval
    if interval is not None:
        low, high = interval[0] or 0.0, float("inf") if interval[1] is None else interval[1]
        overlaps = low <= bracket.above and bracket.below <= high
        text += f"; {'overlaps' if overlaps else 'lies apart from'} the interval estimated here"
    worse, better = 1 - crossover.p_vit_better(bracket.below), crossover.p_vit_better(bracket.above)
    return f"{text}; by these curves P(worse there) = {float(worse):.2f}, P(better there) = {float(better):.2f}"
