"""What a scaling curve is of: runs with the same question may share a curve and be compared. Free of torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Literal

from scaling.config import CellConfig
from scaling.records.cell_folder import BEST_FILE, WEIGHTS_FILE


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


def source_recipe(start: str) -> str:
    """What the weights at `start` were made by, apart from their seed and the number of images: a run's folder without
    these (`vit_w64d2-strokes-loc1` of `runs/source/vit_w64d2-strokes-loc1-n512-s0-lr0.006-1b2c3d4e`), a file, or a
    published name."""
    if re.match(r"[a-z_]{2,}:", start):
        return start
    parts = [part for part in re.split(r"[\\/]", start) if part]
    if len(parts) > 1 and parts[-1] in (WEIGHTS_FILE, BEST_FILE):
        parts.pop()  # of a run's folder
    name = re.sub(r"\.[a-z]+$", "", parts[-1] if parts else "")
    return re.sub(r"-(n\d+|s\d+|lr[^-]+(-\d+)?|[0-9a-f]{8})(?=-|$)", "", name)


def question_of(cell: CellConfig) -> Question:
    """Returns the question that a cell's record will belong to."""
    return Question(str(cell.data.name), cell.data.locality, cell.data.image_size, cell.num_classes)
