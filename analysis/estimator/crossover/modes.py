"""Compares what questions of the same images differ in: runs from scratch, frozen features, fine-tuned weights.

From their answers to the best mode and family at each size, with its probability; questions that the audit holds back
have no say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.estimator.arrays import Array
from analysis.estimator.crossover.crossings import HORIZON
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.crossover.wording import FAMILY, measured, title
from analysis.estimator.rows.starts import ADAPT, START, names_mode

MODE_WORDS = {"scratch": "the {} from scratch", "probe": "the frozen {}", "full": "the fine-tuned {}"}
_TURN_TO = {"scratch": "train {} from scratch", "probe": "freeze {}", "full": "fine-tune {}"}
_GRID = 120  # sizes at which the best is looked for


@dataclass(frozen=True)
class Entrant:
    """One family in one mode."""

    crossover: Crossover
    family: str

    @property
    def mode(self) -> str:
        key = self.crossover.key
        return str(key.get(ADAPT) or ("full" if key.get(START) == "pretrained" else "scratch"))

    @property
    def words(self) -> str:
        return MODE_WORDS[self.mode].format(FAMILY[self.family])

    @property
    def measured(self) -> tuple[float, float]:
        """The smallest and largest size that it was measured at."""
        models = self.crossover.families.models[self.family]
        ranges = [self.crossover.families.curves[m].fit_range for m in models]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def log_draws(self, n: Array) -> Array:
        """(draws, len(n)) log errors."""
        return self.crossover.families.envelope(self.crossover.families.models[self.family], n)

    def value(self, n: float) -> float:
        """The expected error, or the metric that was asked for, at n."""
        draws = self.crossover.measure.value(np.exp(self.log_draws(np.array([n]))))
        return float(np.median(draws))

    def best_model(self, n: float) -> str:
        return self.crossover.families.best_model(self.crossover.families.models[self.family], n)


@dataclass(frozen=True)
class Lasting:
    """What is best from a size on, up to the next one's; `probability` that it is, at its middle size."""

    start: float
    end: float
    best: Entrant
    second: Entrant
    probability: float


@dataclass(frozen=True)
class ModeContest:
    """Every mode and family of one set of images."""

    entrants: tuple[Entrant, ...]
    held_back: tuple[str, ...]  # modes that the audit holds back
    key: dict[str, object]

    def standing(self, n: float) -> tuple[Entrant, Entrant, float] | None:
        """The best at n, the second, and P(no other is better); None where fewer than two speak of n."""
        found = [e for e in self.entrants if e.measured[0] / HORIZON <= n <= e.measured[1] * HORIZON]
        if len(found) < 2:
            return None
        draws = self._draws(found, np.array([n]))[:, :, 0]
        order = np.argsort(np.median(draws, axis=1), kind="stable")
        sure = float((draws.argmin(axis=0) == order[0]).mean())
        return found[order[0]], found[order[1]], sure

    def lasting(self) -> list[Lasting]:
        """Which is best from where to where, over the sizes that at least two measured."""
        lows, highs = zip(*(e.measured for e in self.entrants), strict=True)
        grid = np.geomspace(sorted(lows)[1], sorted(highs)[-2], _GRID)
        if grid[-1] <= grid[0]:
            return []
        middles = np.stack([np.median(e.log_draws(grid), axis=0) for e in self.entrants])
        for row, (low, high) in zip(middles, zip(lows, highs, strict=True), strict=True):
            row[(grid < low * 0.999) | (grid > high * 1.001)] = np.inf  # measured sizes only
        best = middles.argmin(axis=0)
        starts = [0, *(np.flatnonzero(np.diff(best)) + 1)]
        found = []
        for first, last in zip(starts, [*starts[1:], _GRID - 1], strict=True):
            standing = self.standing(float(np.sqrt(grid[first] * grid[last])))
            if standing is not None and standing[0] is self.entrants[best[first]]:
                found.append(Lasting(float(grid[first]), float(grid[last]), *standing))
        return found

    def _draws(self, entrants: Sequence[Entrant], n: Array) -> Array:
        """(entrants, draws, len(n)), in an order of each one's own: those of one model's name are drawn alike."""
        rng = np.random.default_rng(0)
        return np.stack([rng.permutation(e.log_draws(n), axis=0) for e in entrants])


def _images(crossover: Crossover) -> tuple[object, ...]:
    """What a question is about, apart from how its runs started."""
    rest = {k: v for k, v in crossover.key.items() if k not in (START, ADAPT) and not names_mode(k)}
    return (crossover.axis, crossover.metric, *sorted((k, str(v)) for k, v in rest.items()))


def mode_contests(crossovers: Sequence[Crossover]) -> Iterator[ModeContest]:
    """One for every set of images that several modes were tried on."""
    groups: dict[tuple[object, ...], list[Crossover]] = {}
    for crossover in crossovers:
        if crossover.axis == "train_size" and crossover.key.get(START) is not None:
            groups.setdefault(_images(crossover), []).append(crossover)
    for found in groups.values():
        fair = [c for c in found if not (c.audited and c.failed_checks)]
        entrants = tuple(Entrant(c, f) for c in fair for f in ("vit", "cnn") if c.families.models[f])
        if len({(c.key[START], c.key[ADAPT]) for c in found}) > 1 and len(entrants) > 1:
            held = tuple(Entrant(c, "vit").mode for c in found if c not in fair)
            key = {k: v for k, v in found[0].key.items() if k not in (START, ADAPT) and not names_mode(k)}
            yield ModeContest(entrants, held, key)


def _about(size: float) -> str:
    """Two significant digits."""
    digits = max(0, int(np.floor(np.log10(size))) - 1)
    return f"{round(size / 10**digits) * 10**digits:,.0f}"


def _turn(old: Entrant, new: Entrant) -> str:
    return _TURN_TO[new.mode].format("it" if new.family == old.family else f"the {FAMILY[new.family]}")


def contest_sentence(contest: ModeContest, n: float) -> str:
    """`At 400 images: the frozen ViT, 0.38 against 0.40 ...; from about 1,500 fine-tune it.`"""
    where, standing = title(contest.key), contest.standing(n)
    start = f"{where}: at {measured(n)} images: " if where else f"At {measured(n)} images: "
    if standing is None:
        return f"{start}none of the modes speaks of so many."
    best, second, sure = standing
    show = best.crossover.measure.show
    text = f"{start}{best.words} ({best.best_model(n)}), {show(best.value(n))} against {show(second.value(n))}"
    text += f" of {second.words} (P = {sure:.2f})"
    later = next((part for part in contest.lasting() if part.start > n and part.best != best), None)
    if later is not None:
        text += f"; from about {_about(later.start)} {_turn(best, later.best)}"
    return text + _held_back(contest)


def course_sentence(contest: ModeContest) -> str:
    """`Best of all: up to about 1,500 images the frozen ViT, from there to 4,500 the fine-tuned ViT.`"""
    parts = contest.lasting()
    if not parts:
        return f"No two modes were measured at the same sizes{_held_back(contest)}"
    said = [
        f"{'from' if i == 0 else 'from about'} {measured(round(p.start)) if i == 0 else _about(p.start)} images"
        f" {p.best.words} (P = {p.probability:.2f})"
        for i, p in enumerate(parts)
    ]
    end = f", up to {measured(round(parts[-1].end))}, the largest size that two of them measured"
    return f"Best of all modes and families: {'; '.join(said)}{end}{_held_back(contest)}"


def _held_back(contest: ModeContest) -> str:
    if not contest.held_back:
        return "."
    words = [MODE_WORDS[mode].format("runs").removeprefix("the ") for mode in contest.held_back]
    return f" (held back by the audit: {', '.join(words)})."
