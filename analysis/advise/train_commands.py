"""Writes the `scaling.train` commands that run rows of results again, or such cells at other sizes, seeds or rates.

A record holds the overrides that run it again; here some of them are exchanged. Rows of foreign tables have none: then
there is no command, and the words have to do.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.estimator.rows.selection import overrides_of
from scaling.records.replay import ReplayError, replayed
from scaling.records.words import hydra_value


@dataclass(frozen=True)
class Cells:
    """One model at some sizes, with every seed and every rate: what one command runs."""

    model: str
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    rates: tuple[float, ...] = ()  # empty: the recipe's own
    extra: tuple[str, ...] = ()  # further overrides, such as retry=all

    @property
    def count(self) -> int:
        return len(self.sizes) * len(self.seeds) * max(1, len(self.rates))


def merge(cells: Iterable[Cells]) -> list[Cells]:
    """Cells of a model that differ in their size alone, as one."""
    grouped: dict[tuple[Any, ...], set[int]] = {}
    for c in cells:
        grouped.setdefault((c.model, c.seeds, c.rates, c.extra), set()).update(c.sizes)
    return [Cells(m, tuple(sorted(sizes)), seeds, rates, extra) for (m, seeds, rates, extra), sizes in grouped.items()]


def results_out(paths: Sequence[Path], sweep: Any) -> str | None:
    """The `out=` that puts new runs beside the old ones, or None where the default does."""
    for path in paths:
        folder = path.parent if path.name == str(sweep) else path
        if path.is_dir() and (folder / str(sweep)).is_dir():
            return None if folder == Path("runs") else str(folder)
    return None


def _exact(rate: float) -> str:
    """Writes a rate so that a cell that is there keeps its name and hash."""
    short = f"{rate:g}"
    return short if float(short) == rate else repr(float(rate))


def _known_words(row: Mapping[str, Any]) -> list[str] | None:
    """The row's words; None where it has none, or others than settings of a cell: what is printed may be run."""
    return None if refused_word(row) else replayed(overrides_of(row) or ()) or None


def refused_word(row: Mapping[str, Any]) -> str | None:
    """What is wrong with a row's words, if something is."""
    try:
        replayed(overrides_of(row) or ())
    except (ReplayError, ValueError) as error:  # the latter: quotes that do not close
        return str(error)
    return None


def command(row: Mapping[str, Any], cells: Cells, *, out: str | None = None) -> str | None:
    """The command line that runs `cells` with the recipe of `row`; None where the row cannot be run again."""
    known = _known_words(row)
    if known is None:
        return None
    values = dict(word.split("=", 1) for word in known if "=" in word)
    values = {k: v[1:-1] if re.fullmatch(r"'/[\w./-]+'", v) else v for k, v in values.items()}  # needs no quotes
    if row.get("subset_seed") == row.get("seed"):
        values.pop("data.subset_seed", None)  # it follows the seed by itself
    values["data.train_size"] = ",".join(map(str, cells.sizes))
    values["seed"] = ",".join(map(str, cells.seeds))
    if cells.rates:
        values["optim.lr"] = ",".join(map(_exact, cells.rates))
    if out is not None:
        values["out"] = hydra_value(out)
    several = max(len(cells.sizes), len(cells.seeds), len(cells.rates)) > 1
    values |= dict(word.split("=", 1) for word in cells.extra)
    words = [f"{k}={v}" for k, v in values.items()]
    return shlex.join(["python", "-m", "scaling.train", *(["-m"] if several else []), *words])


def exact_command(row: Mapping[str, Any], changes: Mapping[str, str]) -> str | None:
    """The command line that runs a row again, with the values of `changes` in place of its own; None without one."""
    known = _known_words(row)
    if known is None:
        return None
    kept = [word for word in known if word.partition("=")[0] not in changes]
    return shlex.join(["python", "-m", "scaling.train", *kept, *(f"{k}={hydra_value(v)}" for k, v in changes.items())])
