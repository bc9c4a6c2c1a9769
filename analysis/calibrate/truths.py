"""Simulates sweeps whose crossing is known, for a cell of the calibration.

Every truth is a ViT's curve and a CNN's that starts below it; they meet exactly once, at the place asked for, or never.
`well` truths are among the fitted forms, `misspecified` ones are not (or the fit is not told what it would need);
curves that `never` meet run parallel (far apart, or nearly or wholly level) or only approach each other.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.estimator.arrays import Array

TrueCurve = Callable[[Array], Array]

# Shares in whether a run gets a test image wrong: of the image's difficulty, and of what it has for one model besides.
IMAGE_DIFFICULTY, MODEL_DIFFICULTY = 0.5, 0.07  # as measured (curve/shared_images.py)
FLOOR = 0.02
CHANCE = 0.9
PLACES = {"inside": 8_000.0, "4x": 256_000.0, "10x": 640_000.0}
WELL = ("power", "power_floor", "saturating")
MISSPECIFIED = ("saturating_blind", "broken", "plateau", "heavy_tails")
APART = {"level": 0.0, "apart_2": 0.02, "apart_5": 0.05, "apart_10": 0.1, "apart_20": 0.2}  # the CNN's lead, everywhere
AHEAD_AT = (128_000.0, 512_000.0)  # beyond the data: where it is asked who leads (no crossing lies there)
MEETS_UP_TO = 512_000.0  # whether the curves meet between the largest size measured and here
NEVER = ("parallel", "approach", "closing", *APART)
TRUTHS = (*WELL, *MISSPECIFIED, *NEVER)


@dataclass(frozen=True)
class SizesAndSeeds:
    """Which runs a simulated sweep has."""

    name: str
    sizes: tuple[float, ...]
    seeds: int
    test_examples: int


DESIGNS = {
    d.name: d
    for d in (
        SizesAndSeeds("8x3", tuple(500.0 * 2**k for k in range(8)), 3, 10_000),
        SizesAndSeeds("8x5", tuple(500.0 * 2**k for k in range(8)), 5, 10_000),
        SizesAndSeeds("8x1", tuple(500.0 * 2**k for k in range(8)), 1, 10_000),
        SizesAndSeeds("5x3", tuple(500.0 * 2 ** (1.75 * k) for k in range(5)), 3, 10_000),
        SizesAndSeeds("8x3_small_test", tuple(500.0 * 2**k for k in range(8)), 3, 1_000),
    )
}


@dataclass(frozen=True)
class SimulatedCell:
    truth: str
    place: str  # a key of PLACES, or "never"
    noise: float  # seed-to-seed spread of the log error
    design: str

    @property
    def name(self) -> str:
        return f"{self.truth}/{self.place}/{self.noise:g}/{self.design}"


def parse_cell(name: str) -> SimulatedCell:
    """The inverse of `SimulatedCell.name`."""
    truth, place, noise, design = name.split("/")
    return SimulatedCell(truth, place, float(noise), design)


def _power(n: Array) -> Array:
    return 8 * n**-0.42


def _floor(n: Array) -> Array:
    return FLOOR + 20 * n**-0.55


def _low(n: Array) -> Array:
    return FLOOR + 12 * n**-0.55


def _saturating(n: Array, odds: float = 1.0, at: float = 3000.0, exponent: float = 0.8) -> Array:
    """(y - E) / (chance - y) falls as a power law and is `odds` at the size `at`."""
    x = odds * (n / at) ** -exponent
    return (FLOOR + CHANCE * x) / (1 + x)


def _broken(n: Array) -> Array:
    """Two power laws with a corner at 3,000: BNSL's bend is smooth, and can only become this in the limit."""
    return FLOOR + 0.3 * np.where(n < 3000, (n / 3000) ** -0.3, (n / 3000) ** -0.6)


def _plateau(n: Array) -> Array:
    """A power law in images that stop counting for a while around 1,000: nearly flat there, then as before."""
    lost = 0.5 / (1 + np.exp(-np.log(n / 1000) / 0.15))
    return FLOOR + 20 * n**-0.55 * np.exp(0.55 * lost)


def _meets(vit: TrueCurve, place: float, exponent: float, floor: float = FLOOR) -> TrueCurve:
    """A CNN's power law with floor that falls more slowly and meets the ViT at `place`."""
    gap = float(vit(np.array([place]))[0]) - floor
    return lambda n: floor + gap * (n / place) ** -exponent


def true_curves(truth: str, place: str) -> tuple[TrueCurve, TrueCurve]:
    """(ViT, CNN). `place` counts only for the truths that cross."""
    if truth == "parallel":
        return _floor, lambda n: 0.65 * _floor(n)
    if truth in APART:
        return _floor, lambda n: (1 - APART[truth]) * _floor(n)
    if truth == "approach":
        return _floor, lambda n: FLOOR + 0.6 * (_floor(n) - FLOOR)
    if truth == "closing":
        return lambda n: _low(n) * (1 + 0.6 * (n / 500) ** -0.5), _low
    at = PLACES[place]
    if truth == "power":
        return _power, _meets(_power, at, 0.3, floor=0.0)
    if truth in ("saturating", "saturating_blind"):
        odds = (at / 3000.0) ** -0.8
        return _saturating, lambda n: _saturating(n, odds, at, 0.6)
    if truth == "broken":
        return _broken, _meets(_broken, at, 0.35)
    if truth == "plateau":
        return _plateau, _meets(_plateau, at, 0.35)
    return _floor, _meets(_floor, at, 0.4)  # power_floor, heavy_tails


def crossing_of(cell: SimulatedCell) -> float | None:
    return None if cell.truth in NEVER else PLACES[cell.place]


def count_wrong(expected: Array, images: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(r,) how many images one model's runs with these expected errors get wrong, of the (J, K) `images` there are of
    each step of difficulty."""
    from scipy.special import ndtr, ndtri  # 0.2 s to import, and only needed here

    shared, own = (ndtri((np.arange(steps) + 0.5) / steps) for steps in images.shape)
    difficulty = np.sqrt(IMAGE_DIFFICULTY) * shared[:, None] + np.sqrt(MODEL_DIFFICULTY) * own
    luck = np.sqrt(1 - IMAGE_DIFFICULTY - MODEL_DIFFICULTY)
    share = ndtr((ndtri(expected)[:, None, None] + difficulty) / luck)
    share *= (expected / share.mean(axis=(1, 2)))[:, None, None]  # of as many steps of difficulty
    return np.asarray(rng.binomial(images, np.minimum(share, 1)).sum(axis=(1, 2)))


def draw_test_set(images: int, rng: np.random.Generator, steps: int = 100) -> NDArray[np.int64]:
    """(steps,) how many images there are of each, equally likely, step of difficulty."""
    return rng.multinomial(images, np.full(steps, 1 / steps))


def for_model(test_set: NDArray[np.int64], rng: np.random.Generator, steps: int = 10) -> NDArray[np.int64]:
    """(J, steps) the images of a test set (J,), by the difficulty that each has for one model besides."""
    return rng.multinomial(test_set, np.full(steps, 1 / steps))


def simulate(cell: SimulatedCell, *, seed: int, draw: int) -> pd.DataFrame:
    """One sweep's rows: errors counted on test images that all runs share, the spread over seeds lognormal (Student's
    t, 3 degrees of freedom, for heavy tails)."""
    design = DESIGNS[cell.design]
    rng = np.random.default_rng([seed, zlib.crc32(cell.name.encode()), draw])
    test_set = draw_test_set(design.test_examples, rng)
    n = np.repeat(design.sizes, design.seeds)
    parts = []
    for family, curve in zip(("vit", "cnn"), true_curves(cell.truth, cell.place), strict=True):
        spread = rng.standard_t(3, len(n)) if cell.truth == "heavy_tails" else rng.standard_normal(len(n))
        expected = np.minimum(curve(n) * np.exp(cell.noise * spread), 1.0)
        error = count_wrong(expected, for_model(test_set, rng), rng) / design.test_examples
        rows = {"family": family, "model": family, "train_size": n, "test_error": error}
        parts.append(pd.DataFrame(rows | {"seed": np.tile(np.arange(design.seeds), len(design.sizes))}))
    table = pd.concat(parts, ignore_index=True).assign(test_examples=design.test_examples)
    return table.assign(num_classes=10) if cell.truth == "saturating" else table
