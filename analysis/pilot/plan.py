"""Designs the pilot from a folder's images, measured rates and a time limit, or says why no design is honest.

Honest means: five sizes or more over a factor of five or more, a learning-rate grid for both families, and steps
enough to fit the training images. On CIFAR-10 at 16 pixels 40 passes over 1,280 images fitted them without augmentation
(train error 0). With it the CNN's training error was half of its test error after 100 passes, while the ViT at its best
rate still stood at .6 of it after 128 (LAB.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

BATCH = 64
EXPONENT = 0.75  # of the budget rule: between equal steps (0) and equal passes (1)
FEWEST = 20  # images at the smallest size
SIZE_STEP = 5.0  # between the largest and the smallest size, at least
COUNT = 5  # sizes; the audit's least
MIN_STEPS = 600  # at the largest size
RATE_GRID = 4.0  # between neighbouring rates: more than one seed's noise
MAX_SEEDS = 5
SLACK = 1.15  # times the time that the rates promise
COARSEST = 16  # pixels: below it little is left of most pictures
SIDES = {8: 2, 12: 3, 16: 4, 24: 4, 32: 4, 48: 6, 64: 8, 96: 12, 128: 16}  # image size -> patch size
RECIPES = (("flip_crop", 200.0), ("none", 40.0))  # augmentation, passes at the largest size


@dataclass(frozen=True)
class ModelPair:
    """A ViT and a CNN of comparable arithmetic; `limit`: training images that they are large enough for."""

    vit: str
    cnn: str
    limit: float


PAIRS = (
    ModelPair("vit_w64d2", "resnet8_w8", 3_000),
    ModelPair("vit_w64d4", "resnet8", 12_000),
    ModelPair("vit_w96d6", "resnet20", math.inf),
)


@dataclass(frozen=True)
class MachineRates:
    """Measured speed: images/s of a run while all workers are busy, by model and image size; and the recipes' rates."""

    images_per_second: Mapping[str, Mapping[int, float]]
    lr: Mapping[str, float]
    workers: int
    start_seconds: float  # of a sweep before its first cell trains
    decode_seconds: float  # of one image

    def of(self, model: str, image_size: int) -> float:
        """At another image size by the number of pixels from the nearest one measured (a ViT's tokens likewise)."""
        known = self.images_per_second[model]
        nearest = min(known, key=lambda size: abs(math.log(size / image_size)))
        return known[nearest] * (nearest / image_size) ** 2


@dataclass(frozen=True)
class Design:
    image_size: int
    pair: ModelPair
    augment: str
    steps: int  # at the largest size
    sizes: tuple[int, ...]
    seeds: int  # that fit as planned; more follow where time is left
    seconds: float  # estimated, of all stages

    @property
    def grid_size(self) -> int:
        """Where rates are chosen: a quarter of a size validates, and a rate too high to fit many images shows there."""
        return self.sizes[-1]

    @property
    def models(self) -> tuple[str, str]:
        return self.pair.vit, self.pair.cnn

    def steps_at(self, size: int) -> int:
        return max(1, round(self.steps * (size / self.sizes[-1]) ** EXPONENT))

    @property
    def overrides(self) -> list[str]:
        """What all cells share."""
        return [
            f"data.image_size={self.image_size}",
            f"data.permute_patch={SIDES[self.image_size]}",
            f"data.augment={self.augment}",
            f"optim.batch_size={BATCH}",
            f"budget.steps={self.steps}",
            f"budget.at={self.sizes[-1]}",
            f"budget.exponent={EXPONENT}",
        ]


def smallest_size(classes: int) -> int:
    return max(FEWEST, 2 * classes)


def fewest_images(classes: int, *, held_out: bool) -> int:
    """Images that a folder needs for a curve: a fifth goes to validation, and a fifth to testing without a test/."""
    return math.ceil(SIZE_STEP * smallest_size(classes) / 0.8 / (0.8 if held_out else 1.0))


def sizes_up_to(largest: int, classes: int) -> tuple[int, ...] | None:
    """Five sizes a factor of two apart, or less where there are few images; None below a factor of five in all."""
    smallest = max(smallest_size(classes), largest / 2 ** (COUNT - 1))
    if largest < SIZE_STEP * smallest:
        return None
    ratio = (largest / smallest) ** (1 / (COUNT - 1))
    return tuple(round(largest / ratio**k) for k in reversed(range(COUNT)))


def image_sizes(median_side: int) -> tuple[int, ...]:
    """From the images' own size down to COARSEST, never above their own; at most 64 pixels for a pilot."""
    top = min(64, max(min(SIDES), median_side))
    return tuple(sorted((s for s in SIDES if min(COARSEST, top // 2) <= s <= top), reverse=True))


def cell_seconds(design: Design, rates: MachineRates, model: str, size: int) -> float:
    return design.steps_at(size) * BATCH / rates.of(model, design.image_size)


def sweep_seconds(design: Design, rates: MachineRates, cells: Sequence[tuple[str, int]], images: int) -> float:
    """Wall time of a sweep of (model, size) cells, with its start and the decoding of `images`."""
    work = sum(cell_seconds(design, rates, model, size) for model, size in cells)
    longest = max((cell_seconds(design, rates, model, size) for model, size in cells), default=0.0)
    return SLACK * max(longest, work / rates.workers) + rates.start_seconds + images * rates.decode_seconds


def _estimate(design: Design, rates: MachineRates, images: int) -> float:
    grid = [(m, design.grid_size) for m in design.models for _ in range(3 * design.seeds)]
    rest = [(m, n) for m in design.models for n in design.sizes if n != design.grid_size]
    return sweep_seconds(design, rates, grid, images) + design.seeds * sweep_seconds(design, rates, rest, images)


def _worth(design: Design, *, available: int, top: int) -> float:
    """Halving the images costs a point, the resolution 1.5, no augmentation 2.5, one seed instead of two 0.7."""
    points = 1.5 * math.log2(design.image_size / top) + math.log2(design.sizes[-1] / available)
    points += 0.0 if design.augment == RECIPES[0][0] else -2.5
    return points + 0.7 * (design.seeds - 2) + 0.3 * PAIRS.index(design.pair)


def designs(*, classes: int, available: int, median_side: int, test_images: int, rates: MachineRates) -> list[Design]:
    """Every honest design for this folder, the best first, with its estimated time.

    Args:
        available: images to train on, validation apart.
    """
    found = []
    tops = image_sizes(median_side)
    for image_size in tops:
        for pair in (p for p in PAIRS if p.vit in rates.images_per_second):
            for augment, passes in RECIPES:
                for halvings in range(12):
                    largest = available // 2**halvings
                    sizes = sizes_up_to(largest, classes)
                    if sizes is None or largest > pair.limit:
                        continue
                    steps = max(MIN_STEPS, round(passes * largest / BATCH))
                    for seeds in (2, 1):
                        design = Design(image_size, pair, augment, steps, sizes, seeds, 0.0)
                        cost = _estimate(design, rates, images_used(design) + test_images)
                        found.append(replace(design, seconds=cost))
    return sorted(found, key=lambda d: -_worth(d, available=available, top=tops[0]))


def images_for(largest: int) -> int:
    """Images that are needed to train on the largest size: a fifth of them is kept for validation."""
    return math.ceil(largest / 0.8)


def images_used(design: Design) -> int:
    """Training images that are decoded."""
    return images_for(design.sizes[-1])


def choose_design(found: Sequence[Design], seconds: float) -> Design | None:
    """The best design that takes at most `seconds`; None if there is none."""
    return next((d for d in found if d.seconds <= seconds), None)


def design_to_dict(design: Design) -> dict[str, Any]:
    return {
        "image_size": design.image_size,
        "pair": PAIRS.index(design.pair),
        "augment": design.augment,
        "steps": design.steps,
        "sizes": list(design.sizes),
        "seeds": design.seeds,
        "seconds": design.seconds,
    }


def from_dict(values: Mapping[str, Any]) -> Design:
    """The design that a plan's file holds; its values become words of a command, so each is what it has to be.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it holds no design.
    """
    pair, augment = PAIRS[values["pair"]], str(values["augment"])
    if augment not in (name for name, _ in RECIPES):
        raise ValueError(f"augment={augment}")
    counts = {key: int(values[key]) for key in ("image_size", "steps", "seeds")}
    sizes = tuple(int(size) for size in values["sizes"])
    return Design(pair=pair, augment=augment, sizes=sizes, seconds=float(values["seconds"]), **counts)


def rates_from_dict(values: Mapping[str, Any]) -> MachineRates:
    """The rates that a plan's file holds.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it holds none.
    """
    speeds = {
        str(model): {int(side): float(speed) for side, speed in sides.items()}
        for model, sides in values["images_per_second"].items()
    }
    lr = {str(model): float(rate) for model, rate in values["lr"].items()}
    start, decode = float(values["start_seconds"]), float(values["decode_seconds"])
    return MachineRates(speeds, lr, int(values["workers"]), start, decode)
