"""Published brackets in, what they say beside an estimate out: "B/32 is worse than R50 at 9 M images, better from 90 M".

A bracket is knowledge of another experiment, censored to two sizes. It is shown, and its probability under the estimate
is given; it never moves the estimate, since data, recipes and models differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from analysis.arguments import InputError, whole_number
from analysis.crossover import Crossover


@dataclass(frozen=True)
class Bracket:
    """The ViT is worse at `below` and better from `above` on (or the other way round if `cnn_overtakes`)."""

    label: str
    below: float
    above: float
    cnn_overtakes: bool = False


PUBLISHED = (
    Bracket("ViT-B/32 and ResNet-50 pre-trained on JFT, arXiv 2010.11929", 9e6, 90e6),
    Bracket("ViT-L/16 and BiT-L (ResNet-152x4) pre-trained on ImageNet-21k and JFT, arXiv 2010.11929", 14e6, 303e6),
)


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


def compare(crossover: Crossover, bracket: Bracket) -> dict[str, float | str | None]:
    """The bracket beside the estimate: whether the intervals overlap, and P(the estimate's families do the same)."""
    interval = crossover.verdict.interval
    overlap = None
    if interval is not None:
        low, high = interval[0] or 0.0, float("inf") if interval[1] is None else interval[1]
        overlap = "overlaps" if low <= bracket.above and bracket.below <= high else "apart"
    at = crossover.p_vit_better([bracket.below, bracket.above])
    before, after = (1 - at[0], at[1]) if not bracket.cnn_overtakes else (at[0], 1 - at[1])
    return {
        "label": bracket.label,
        "below": bracket.below,
        "above": bracket.above,
        "interval": overlap,
        "p_worse_below": float(before),
        "p_better_above": float(after),
    }


def describe(crossover: Crossover, bracket: Bracket) -> str:
    """One line for people."""
    got = compare(crossover, bracket)
    first, second = ("CNN", "ViT") if bracket.cnn_overtakes else ("ViT", "CNN")
    text = f"{bracket.label}: {first} worse than the {second} at {bracket.below:,.0f}, better from {bracket.above:,.0f}"
    if got["interval"] is not None:
        text += f"; {'overlaps' if got['interval'] == 'overlaps' else 'lies apart from'} the interval estimated here"
    return f"{text}; P(the same here) = {got['p_worse_below']:.2f} and {got['p_better_above']:.2f}"
