"""Designs: honest ones only, more time never for less, and settings that the training knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.pilot.plan import (
    PAIRS,
    RECIPES,
    SIDES,
    Design,
    MachineRates,
    choose_design,
    design_to_dict,
    designs,
    fewest_images,
    from_dict,
    image_sizes,
    sizes_up_to,
)
from analysis.pilot.run import Tried, next_rates

SPEED = {"vit_w64d2": {16: 2000.0, 32: 400.0}, "resnet8_w8": {16: 3000.0, 32: 1050.0}}
SPEED |= {"vit_w64d4": {16: 1200.0, 32: 290.0}, "resnet8": {16: 1700.0, 32: 450.0}}
RATES = MachineRates(SPEED, {"vit_w64d2": 6e-3, "resnet8_w8": 0.1, "vit_w64d4": 4e-3, "resnet8": 3e-2}, 2, 12.0, 5e-4)
ALL = designs(classes=10, available=1280, median_side=32, test_images=400, rates=RATES)


def test_every_design_is_honest_and_fits_the_images() -> None:
    for design in ALL:
        assert len(set(design.sizes)) >= 5
        assert design.sizes[-1] >= 4.9 * design.sizes[0]
        assert design.sizes[0] >= 20
        assert design.sizes[-1] <= min(1280, design.pair.limit)
        assert 16 <= design.image_size <= 32
        passes = design.steps * 64 / design.sizes[-1]
        assert passes >= dict(RECIPES)[design.augment] * 0.99
        assert design.grid_size in design.sizes


def test_more_time_never_chooses_a_worse_design() -> None:
    places = []
    for seconds in (60, 120, 300, 600, 1800, 7200):
        design = choose_design(ALL, seconds)
        assert design is None or design.seconds <= seconds
        places.append(ALL.index(design) if design else len(ALL))
    assert places == sorted(places, reverse=True)
    assert choose_design(ALL, 20) is None


def test_the_estimate_counts_every_run() -> None:
    [design] = [
        d for d in ALL if (d.image_size, d.pair, d.augment, d.sizes[-1], d.seeds) == (16, PAIRS[0], "none", 1280, 1)
    ]
    one = sum(design.steps * (n / 1280) ** 0.75 for n in design.sizes) * 64
    grid = design.steps * 64  # at the largest size
    work = (one + 2 * grid) * (1 / 2000 + 1 / 3000) / 2  # two workers; the grid has one of the sizes
    assert design.seconds == pytest.approx(1.15 * work + 2 * (12 + 2000 * 5e-4), rel=0.1)


def test_few_images_have_no_design() -> None:
    for classes in (2, 10, 50):
        needed = fewest_images(classes, held_out=False)
        assert sizes_up_to(math.floor(0.8 * needed * 0.9), classes) is None
        assert sizes_up_to(math.ceil(0.8 * needed), classes) is not None
    assert sizes_up_to(1280, 10) == (80, 160, 320, 640, 1280)


def test_image_sizes_never_exceed_the_images() -> None:
    assert image_sizes(32) == (32, 24, 16)
    assert image_sizes(500)[0] == 64
    assert image_sizes(10) == (8,)
    assert all(size % SIDES[size] == 0 for size in SIDES)


def test_a_plan_survives_the_disk() -> None:
    assert all(from_dict(design_to_dict(d)) == d for d in ALL[:20])


def test_the_grid_grows_until_its_best_lies_inside() -> None:
    assert next_rates(0.1, [0.025, 0.1, 0.4]) == []
    assert next_rates(0.4, [0.025, 0.1, 0.4]) == [1.6]
    assert next_rates(0.025, [0.025, 0.1, 0.4]) == [0.00625]


def test_the_recipes_rate_stays_unless_it_is_clearly_beaten() -> None:
    # One standard error of .61 on 320 images is .027.
    close = Tried({0.025: 0.62, 0.1: 0.61, 0.4: 0.59}, 320, (0.025, 0.1, 0.4))
    assert (close.best, close.choose(0.1)) == (0.4, 0.1)
    clear = Tried({0.025: 0.62, 0.1: 0.61, 0.4: 0.58}, 320, (0.025, 0.1, 0.4))
    assert clear.choose(0.1) == 0.4
    failed = Tried({0.025: 0.62}, 320, (0.025, 0.1))
    assert failed.choose(0.1) == 0.025


@pytest.mark.parametrize("pair", PAIRS)
def test_the_training_knows_the_models_and_settings(
    pair: Any, make_cell: Callable[..., Any], image_folder: Callable[..., Path]
) -> None:
    root = image_folder({"train": {"a": 60, "b": 60}, "test": {"a": 5, "b": 5}})
    design = Design(16, pair, "flip_crop", 600, (20, 40, 80), 2, 0.0)
    for model, family in ((pair.vit, "vit"), (pair.cnn, "cnn")):
        where = ["data=folder", f"data.root={root}", f"model={model}", "data.train_size=40"]
        cell = make_cell(*where, *design.overrides)
        assert cell.model.family == family
        assert cell.steps == design.steps_at(40)
        assert (cell.data.image_size, cell.optim.batch_size, cell.data.augment) == (16, 64, "flip_crop")
