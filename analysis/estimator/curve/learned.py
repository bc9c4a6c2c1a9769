"""Reads what was learned from real curves: learned.json in, the defaults of `Settings` out.

The numbers are written by `python -m analysis.benchmark parts=learn`, with what they were learned from beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.estimator.arrays import Array

PATH = Path(__file__).with_name("learned.json")


@dataclass(frozen=True)
class Beyond:
    """How the slope changes after the data: a number of its own for every replicate, Student's t times a scale.

    The scale of the change of d log error / d ln n has three parts, added in squares: a share of the curve's own slope
    at the end of the data, a multiple of the deviation inside the data, and a little in any case.
    """

    share: Mapping[str, float]  # per form: of the slope over the last factor of 2 within the data
    factor: tuple[float, ...]  # of that share, per size of discrepancy
    level: float  # per unit of the size of discrepancy
    least: float
    dof: float  # of Student's t

    def scale(self, form: str, index: NDArray[np.int64], discrepancy: Array, slope: Array) -> Array:
        """(D,) standard scales of the change for replicates of one form; `index` (D,) says which size of
        discrepancy each has, `discrepancy` (D,) how large that is."""
        share = self.share[form] * np.array(self.factor)[index] * slope
        return np.asarray(np.sqrt(share**2 + (self.level * discrepancy) ** 2 + self.least**2))


@dataclass(frozen=True)
class Learned:
    discrepancy: tuple[float, ...]
    rough: tuple[float, ...]
    prior: tuple[float, ...]
    width: float
    local: tuple[float, ...]
    local_width: float
    forms: Mapping[bool, Mapping[str, float]]  # prior weights where the chance level is known, and where it is not
    beyond: Beyond


def parse_learned(content: Mapping[str, Any]) -> Learned:
    """The settings in a file's content; the provenance in it is for readers."""
    levels, beyond = content["levels"], content["beyond"]
    return Learned(
        discrepancy=tuple(row["smooth"] for row in levels),
        rough=tuple(row["rough"] for row in levels),
        prior=tuple(row["prior"] for row in levels),
        width=content["width"],
        local=tuple(row["local"] for row in levels),
        local_width=content["local_width"],
        forms={True: content["forms"]["chance_known"], False: content["forms"]["chance_unknown"]},
        beyond=Beyond(
            share=beyond["share"],
            factor=tuple(row["factor"] for row in levels),
            level=beyond["level"],
            least=beyond["least"],
            dof=beyond["dof"],
        ),
    )


LEARNED = parse_learned(json.loads(PATH.read_text(encoding="utf-8")))
