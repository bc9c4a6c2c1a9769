"""`check=budget`: which cells of a sweep to run at twice the steps, to see whether longer training moves the answer."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scaling.compose.composer import Composer, Job
from scaling.config import ConfigError
from scaling.records.question import question_of
from scaling.records.words import key_of, replace_words

TWICE = 2.0
REPORT = Path("report") / "crossover.json"


def _crossings(path: Path) -> list[tuple[dict[str, Any], float]]:
    """(question, size) of every crossing that a report names."""
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))["groups"]
        found = []
        for group in groups:
            sizes = [crossing["size"] for crossing in group["crossings"]] or [group["crossover_size"]]
            found += [(group["key"], float(size)) for size in sizes if size]
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"check_at={path}: not a crossover.json ({type(error).__name__}: {error})") from error


def _is_of(job: Job, key: dict[str, Any]) -> bool:
    mine = dataclasses.asdict(question_of(job.cell))
    return all(key.get(name) in (None, value) for name, value in mine.items())


def _beside(sizes: Sequence[int], crossing: float) -> set[int]:
    """The measured sizes next to a crossing, one on each side; beyond the measured ones, the two nearest."""
    nearest = sorted(sizes, key=lambda n: abs(math.log(n / crossing)))
    below = [n for n in nearest if n <= crossing][:1]
    above = [n for n in nearest if n > crossing][:1]
    return set(below + above) if below and above else set(nearest[:2])


def _sizes_of(job: Job, jobs: Sequence[Job], at: tuple[int, ...] | list[tuple[dict[str, Any], float]]) -> set[int]:
    sizes = sorted({other.cell.data.train_size for other in jobs})
    if isinstance(at, tuple):
        return set(at)
    mine: set[int] = set()
    for key, crossing in at:
        if _is_of(job, key):
            mine |= _beside(sizes, crossing)
    return mine


def budget_jobs(composer: Composer, jobs: Sequence[Job], at: tuple[int, ...] | str | None) -> list[Job]:
    """The sweep's cells at twice their steps, at some of its sizes; those that vary a recipe's value are left out.

    Args:
        at: the sizes, or a crossover.json; None is the sweep's own report if it names a crossing, else the largest size
            and the middle one.

    Raises:
        ConfigError: no cell of the sweep has such a size, or no crossing is reported.
    """
    usual = [job for job in jobs if not any(key_of(word).startswith("optim.") for word in job.words)] or list(jobs)
    cell, sizes = usual[0].cell, sorted({job.cell.data.train_size for job in usual})
    where: tuple[int, ...] | list[tuple[dict[str, Any], float]]
    if isinstance(at, str):
        where = _crossings(Path(at))
        if not where:
            raise ConfigError(f"check_at={at} reports no crossing; name sizes instead, as in check_at=[{sizes[-1]}]")
    elif at is not None:
        where = at
        absent = sorted(set(at) - set(sizes))
        if absent:
            raise ConfigError(f"check_at={absent}: not sizes of this sweep ({', '.join(map(str, sizes))})")
    else:
        report = Path(cell.out) / cell.sweep / REPORT
        where = _crossings(report) if report.is_file() else []
        where = where or (sizes[len(sizes) // 2], sizes[-1])
    chosen = [job for job in usual if job.cell.data.train_size in _sizes_of(job, usual, where)]
    if not chosen:
        raise ConfigError(f"check_at={at}: no cell of this sweep belongs to the questions that cross there")
    factors = [TWICE * job.cell.budget.factor for job in chosen]
    return [
        composer.job(replace_words(job.words, {"budget.factor": f})) for job, f in zip(chosen, factors, strict=True)
    ]
