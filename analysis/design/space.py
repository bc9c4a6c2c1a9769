"""What a design may run: the cells of a sweep with their costs, and what the sweep is to find out.

Free of `scaling.config`: whoever asks for a design hands the cells in.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.arguments import InputError

FEWEST_SIZES = 5  # of a space: fewer carry no verdict
FIRST_SIZES = 4  # that every model runs before anything is chosen; the fifth is chosen
SIZES_APART = 1.4  # factor between two of them, at least


@dataclass(frozen=True)
class Candidate:
    """One cell that may be run. `grid`: it varies the learning rate, and serves the choice of it alone."""

    name: str  # unique; the record's name
    question: str
    family: str
    model: str
    size: float  # training images
    seed: int
    seconds: float  # what the run is expected to take
    grid: bool = False

    def at_cost(self, seconds: float) -> Candidate:
        return dataclasses.replace(self, seconds=max(seconds, 1e-3))


@dataclass(frozen=True)
class Target:
    """When the answer is there: the first that is reached.

    `width` is of the crossing's interval in decades, `p` of the leader at the size `at`, `cost` in seconds of wall
    time; `verdict`: a claimed verdict that what is left would hardly narrow.
    """

    width: float | None = None
    p: float | None = None
    at: float | None = None
    cost: float = math.inf
    verdict: bool = True

    def __post_init__(self) -> None:
        problems = {
            f"stop.width={self.width} must be above 0": self.width is not None and not self.width > 0,
            f"stop.p={self.p} must lie between .5 and 1": self.p is not None and not 0.5 < self.p < 1,
            "stop.p= needs stop.at=N, the training size that it is asked for": self.p is not None and self.at is None,
            f"stop.at={self.at} must be a training size": self.at is not None and not self.at >= 1,
            "stop.cost= must be above 0": not self.cost > 0,
        }
        for text, wrong in problems.items():
            if wrong:
                raise InputError(text)


@dataclass(frozen=True)
class Space:
    """The candidates of all questions, in the order of the sweep."""

    candidates: tuple[Candidate, ...]

    def __post_init__(self) -> None:
        names = [c.name for c in self.candidates]
        if len(set(names)) < len(names):
            raise InputError("two cells of the design have one name")
        for question in self.questions:
            own = self.of(question)
            missing = {"vit", "cnn"} - {c.family for c in own}
            if missing:
                raise InputError(f"a design compares two families, and there is no {missing.pop()} in {question}")
            models = {c.model for c in own}
            sizes = set.intersection(*({c.size for c in own if c.model == m and not c.grid} for m in models))
            if len(sizes) < FEWEST_SIZES:
                raise InputError(
                    f"a design needs at least {FEWEST_SIZES} sizes that all models may run, {question} has {len(sizes)}"
                )

    @property
    def questions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.question for c in self.candidates))

    def of(self, question: str) -> tuple[Candidate, ...]:
        return tuple(c for c in self.candidates if c.question == question)

    def largest(self, question: str) -> float:
        return max(c.size for c in self.of(question))

    @property
    def seconds(self) -> float:
        return sum(c.seconds for c in self.candidates)

    def without(self, names: Iterable[str]) -> Space:
        gone = set(names)
        return dataclasses.replace(self, candidates=tuple(c for c in self.candidates if c.name not in gone))


def first_sizes(candidates: Iterable[Candidate]) -> list[float]:
    """The smallest sizes that all models may run, a factor of SIZES_APART apart where there are enough such."""
    own = [c for c in candidates if not c.grid]
    common = sorted(set.intersection(*({c.size for c in own if c.model == m} for m in {c.model for c in own})))
    apart: list[float] = []
    for size in common:
        if not apart or size >= SIZES_APART * apart[-1]:
            apart.append(size)
    return (apart if len(apart) >= FIRST_SIZES else common)[:FIRST_SIZES]


def opening(space: Space) -> list[Candidate]:
    """What a design runs before it chooses: per question every model once at the first sizes, and the smallest grid of
    learning rates. Cheap runs first."""
    found = []
    for question in space.questions:
        own = space.of(question)
        sizes = set(first_sizes(own))
        seeds = {(c.model, c.size): min(o.seed for o in own if (o.model, o.size, o.grid) == (c.model, c.size, False))
                 for c in own if not c.grid and c.size in sizes}  # fmt: skip
        found += [c for c in own if not c.grid and seeds.get((c.model, c.size)) == c.seed]
        for model in dict.fromkeys(c.model for c in own if c.grid):
            smallest = min(c.size for c in own if c.grid and c.model == model)
            found += [c for c in own if c.grid and c.model == model and c.size == smallest]
    return sorted(found, key=lambda c: (c.seconds, c.name))
