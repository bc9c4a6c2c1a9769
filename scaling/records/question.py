"""What a scaling curve is of: runs with the same question may share a curve and be compared. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from scaling.config import CellConfig


@dataclass(frozen=True, order=True)
class Question:
    """The data that a model is asked about; the names are columns of the results and keys in `crossover.json`."""

    data: str
    locality: float
    image_size: int
    num_classes: int


# Rows of results that differ in these belong to different verdicts.
QUESTION: tuple[str, ...] = tuple(field.name for field in fields(Question))
# In every question's key; the classes join it where they vary.
IN_EVERY_KEY = tuple(name for name in QUESTION if name != "num_classes")


Init = Literal["scratch", "pretrained"]


def init_of(cell: CellConfig) -> Init:
    """Whether a cell starts from weights."""
    return "scratch" if cell.start is None else "pretrained"


def question_of(cell: CellConfig) -> Question:
    """Returns the question that a cell's record will belong to."""
    return Question(str(cell.data.name), cell.data.locality, cell.data.image_size, cell.num_classes)
