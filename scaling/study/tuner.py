"""Trials of a setting, run through a sweep's launcher: which value of which model at which size with which seed.

A search is one model on one question at one size. Its grid grows while its best value is at an edge, is then refined
beside the best, gets more seeds of the best, and ends with as many runs as every other search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from scaling.compose.composer import Composer, Job
from scaling.compose.study_config import StudyConfig, TuningConfig
from scaling.config import CellConfig, ConfigError
from scaling.config.budget_config import FINE_TUNING
from scaling.records.files import last_line
from scaling.records.question import Init, Question, init_of, question_of
from scaling.records.record import FILE_NAME, read_record
from scaling.records.words import HydraValue, replace_words, round_setting
from scaling.study.optimum import Optimum, Trial, best_value, find_optimum, mean_errors

FAR = 8  # between the two sizes that are tuned
Launch = Callable[[Sequence[Job]], object]
Asker = tuple[str, Question, Init]  # a model's label, what it is asked, and whether it starts from weights


def asker_of(job: Job) -> Asker:
    """Returns the model and question that a job's searches are for; what is best for a fresh model is not for one that
    starts from weights."""
    return job.cell.model_label, question_of(job.cell), init_of(job.cell)


class TrialFailed(RuntimeError):
    """A trial has no result, so nothing can be chosen."""


def setting(cell: CellConfig, key: str) -> float:
    """The value of a dotted setting such as optim.lr.

    Raises:
        ConfigError: there is none, or it is not positive.
    """
    group, name = key.split(".", 1)
    value = getattr(getattr(cell, group), name, None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(
            f"tune={key}: {cell.model_label} has {value}; a log grid needs a positive number to start from"
        )
    return float(value)


@dataclass
class Search:
    """The trials of one model on one question at one size."""

    template: Job
    size: int
    key: str
    tuning: TuningConfig
    errors: dict[tuple[float, int], float] = field(default_factory=dict)  # by value and seed
    closed: set[float] = field(default_factory=set)  # values that the settings' own limits refuse
    val_examples: int = 1

    @property
    def trials(self) -> list[Trial]:
        return [Trial(value, seed, error) for (value, seed), error in sorted(self.errors.items())]

    def grid(self) -> list[float]:
        start, half = setting(self.template.cell, self.key), self.tuning.values // 2
        places = range(-half, self.tuning.values - half)
        return [round_setting(start * self.tuning.factor**place) for place in places]

    def beyond(self) -> list[float]:
        """The next value outside the grid, where its best one is at an edge."""
        best, at_edge = best_value(self.trials)
        if not at_edge:
            return []
        down = best == min(trial.value for trial in self.trials)
        new = round_setting(best / self.tuning.factor if down else best * self.tuning.factor)
        grown = len({trial.value for trial in self.trials}) - self.tuning.values
        return [new] if new not in self.closed and grown < self.tuning.growth else []

    def beside(self) -> list[float]:
        best, _ = best_value(self.trials)
        root = math.sqrt(self.tuning.factor)
        tried = [trial.value for trial in self.trials]
        near = [round_setting(best / root), round_setting(best * root)]
        return [value for value in near if min(tried) < value < max(tried) and value not in tried]

    def again(self, seeds: Sequence[int], count: int) -> list[tuple[float, int]]:
        """The next `count` (value, seed) pairs to run: best values first, all seeds of a value together."""
        means = mean_errors(self.trials)
        values = sorted(means, key=lambda value: (means[value], value))
        more = range(max(seeds) + 1, max(seeds) + 1 + count)
        wanted = [(value, seed) for value in values[:3] for seed in seeds]
        wanted += [(value, seed) for value in values[3:] for seed in seeds]
        wanted += [(value, seed) for seed in more for value in values[:3]]
        return [pair for pair in wanted if pair not in self.errors][:count]

    def optimum(self) -> Optimum:
        step = math.sqrt(self.tuning.factor)
        return find_optimum(self.trials, val_examples=self.val_examples, step=step)


Asked = list[tuple[Search, float, int]]


class Tuner:
    """Runs trials through a sweep's launcher."""

    def __init__(self, composer: Composer, jobs: Sequence[Job], study: StudyConfig, launch: Launch) -> None:
        assert study.tune is not None
        self.key, self.tuning = study.tune, study.tuning
        self._composer, self._launch = composer, launch
        trained = [job for job in jobs if job.cell.adaptation != "probe"]  # a probe has no optimiser
        if not trained:
            raise ConfigError(f"tune={self.key}: all cells are probes, which choose their strength themselves")
        if any(job.cell.data.per_class for job in trained):
            raise ConfigError(f"tune={self.key}: tuning sets data.train_size; name the sizes so, not as data.per_class")
        if self.key.removeprefix("optim.") in FINE_TUNING:
            trained = [job for job in trained if job.cell.adaptation is not None]
            if not trained:
                raise ConfigError(f"tune={self.key}: it is of fine-tunes, and all cells start from scratch")
        free = {asker_of(job) for job in trained if not job.sets(self.key)}
        plain = [job for job in trained if not job.sets(self.key) or asker_of(job) not in free]
        self.templates = dict(sorted({asker_of(job): job for job in reversed(plain)}.items()))
        self._of_size = {(asker_of(job), job.cell.data.train_size): job for job in reversed(plain)}
        self.sizes = sorted({job.cell.data.train_size for job in plain})
        known = sorted({job.cell.seed for job in plain})
        count = self.tuning.seeds + self.tuning.fresh
        known += range(max(known) + 1, max(known) + 1 + max(0, count - len(known)))
        self.seeds, self.fresh = known[: self.tuning.seeds], known[self.tuning.seeds : count]

    def tuned_sizes(self) -> list[int]:
        """The lowest size and the first that is far from it, unless others are asked for: two near ones would not show
        through their noise how the optimum moves."""
        far = [n for n in self.sizes if n >= FAR * self.sizes[0]] or self.sizes[-1:]
        return sorted(set(self.tuning.sizes or [self.sizes[0], far[0]]))

    def held_size(self) -> int | None:
        """A size outside the fit, where the rule is tried: the next of the sweep above the tuned ones, or where there
        is none the one in their middle, unless another is asked for."""
        if self.tuning.held is not None:
            return self.tuning.held or None
        tuned = self.tuned_sizes()
        middle = math.sqrt(tuned[0] * tuned[-1])
        rest = sorted((n for n in self.sizes if n not in tuned), key=lambda n: abs(math.log(n / middle)))
        return next((n for n in self.sizes if n > tuned[-1]), rest[0] if rest else None)

    def searches(self, sizes: Sequence[int]) -> list[Search]:
        """A search for every question and size, from the sweep's own cell of that size where it has one."""
        return [
            Search(self._of_size.get((asker, n), job), n, self.key, self.tuning)
            for asker, job in self.templates.items()
            for n in sizes
        ]

    def job(self, search: Search, value: float, seed: int) -> Job:
        changes: dict[str, HydraValue] = {"data.train_size": search.size, "seed": seed}
        changes |= {self.key: value, "purpose": "tune"}
        return self._composer.job(replace_words(search.template.words, changes))

    def outline(self) -> list[CellConfig]:
        """Cells that cost what the trials will cost if no grid grows, those of the first seed standing for all."""
        tuning = self.tuning
        each = tuning.values + 2 + 3 * (tuning.seeds - 1) + len(self.fresh)
        held = self.held_size()
        counts = dict.fromkeys(self.tuned_sizes(), each) | ({held: 3} if held else {})
        cells = []
        for search in self.searches(list(counts)):
            value = setting(search.template.cell, self.key)
            cells += [self.job(search, value, self.seeds[0]).cell] * counts[search.size]
        return cells

    def run(self, asked: Asked) -> None:
        """Brings trials to their records and reads their validation errors.

        Raises:
            TrialFailed: one has no result.
        """
        jobs: list[tuple[Search, float, int, Job]] = []
        for search, value, seed in asked:
            try:
                jobs.append((search, value, seed, self.job(search, value, seed)))
            except ConfigError:
                if value == setting(search.template.cell, self.key):
                    raise
                search.closed.add(value)
        if not jobs:
            return
        self._launch([job for *_, job in jobs])
        for search, value, seed, job in jobs:
            path = job.cell.folder / FILE_NAME
            record = read_record(path) if path.exists() else None
            if record is None:
                raise TrialFailed(f"{job.cell.cell_name}: no result, so nothing was chosen; the same command goes on")
            if record.status == "failed":
                why = last_line(record.error_text)
                raise TrialFailed(f"{job.cell.cell_name} failed ({why}): nothing was chosen; retry=failed goes on")
            error = 1.0 if record.status == "diverged" else record.val_error
            assert error is not None
            search.errors[value, seed] = error
            search.val_examples = record.val_examples or search.val_examples

    def search(self, searches: Sequence[Search]) -> None:
        first = self.seeds[0]
        self.run([(search, value, first) for search in searches for value in search.grid()])
        self.grow(searches)
        self.run([(search, value, first) for search in searches for value in search.beside()])
        for _ in self.seeds[1:]:
            self.run([(search, *pair) for search in searches for pair in search.again(self.seeds, 3)])
        self.grow(searches)
        self.even_out(searches)

    def grow(self, searches: Sequence[Search]) -> None:
        """Adds values outside while the best is at an edge."""
        while asked := [(search, value, self.seeds[0]) for search in searches for value in search.beyond()]:
            self.run(asked)

    def even_out(self, searches: Sequence[Search]) -> None:
        """More seeds for those that have had fewer trials than the others."""
        most = max(len(search.errors) for search in searches)
        self.run([(s, *pair) for s in searches for pair in s.again(self.seeds, most - len(s.errors))])
