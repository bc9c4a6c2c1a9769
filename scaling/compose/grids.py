"""Expands a sweep file's `cells` to every cell's overrides: products, zips, exclusions, the command line's word.

Pure text and lists: free of Hydra and torch.

    cells:
      - model: [resnet8, vit_w48d3]               # every key: a list, crossed with the other keys
        data.train_size: [128, 256, 512]
        seed: [0, 1]
        exclude:                                  # cells left out of this grid: all keys of an entry must match
          - {model: vit_w48d3, data.train_size: [128, 256]}
      - data.train_size: [256]
        zip:                                      # values that go together; a list in a place is crossed
          model: [resnet8, vit_w48d3]
          optim.lr: [[0.01, 0.03], [1e-3, 4e-3, 8e-3]]
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

RESERVED = ("zip", "exclude")


class GridError(ValueError):
    """A sweep file that cannot be expanded; the message says in one line how to write it."""


Values = dict[str, list[str]]  # a key's values, as overrides write them


@dataclass(frozen=True)
class Grid:
    """A product of values, without the cells that an exclusion matches."""

    values: Values
    excluded: tuple[Values, ...] = ()

    def keeps(self, job: Mapping[str, str]) -> bool:
        return not any(all(job.get(key) in values for key, values in out.items()) for out in self.excluded)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _as_dicts(block: Any, word: str) -> list[dict[str, Any]]:
    entries = as_list(block) if block is not None else []
    if not all(isinstance(entry, dict) and entry for entry in entries):
        raise GridError(f"{word}: must be a mapping of keys to values, or a list of such mappings, not {block!r}")
    return entries


def _zipped(group: dict[str, Any], read: Callable[[str, Any], list[str]]) -> list[Values]:
    """One {key: values} for each place of the lists."""
    lengths = {str(key): len(value) if isinstance(value, list) else 0 for key, value in group.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        counts = ", ".join(f"{key} has {count or 'no list'}" for key, count in lengths.items())
        raise GridError(f"zip: needs lists of one length ({counts}); values that are crossed stand outside zip:")
    places = range(next(iter(lengths.values())))
    return [{str(key): read(str(key), value[place]) for key, value in group.items()} for place in places]


def read_block(block: Any, read: Callable[[str, Any], list[str]]) -> list[Grid]:
    """The plain grids of one entry of `cells`.

    Args:
        block: a mapping from a sweep file.
        read: gives a key's YAML value (one or a list) as the texts that overrides write.

    Raises:
        GridError: lists of unequal length, a key twice, an exclusion that matches nothing.
    """
    if not isinstance(block, dict) or not block:
        raise GridError(f"an entry of hydra.sweeper.cells must map keys to values, not {block!r}")
    crossed = {str(key): read(str(key), value) for key, value in block.items() if key not in RESERVED}
    groups = _as_dicts(block.get("zip"), "zip")
    keys = [*crossed, *(str(key) for group in groups for key in group)]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise GridError(f"{', '.join(twice)}: named twice in one entry of cells; a key is crossed or zipped, once")
    empty = [key for key, values in crossed.items() if not values]
    if empty:
        raise GridError(f"{', '.join(empty)}: an empty list of values")
    excluded = tuple(
        {str(key): read(str(key), value) for key, value in entry.items()}
        for entry in _as_dicts(block.get("exclude"), "exclude")
    )
    grids = []
    for parts in itertools.product(*(_zipped(group, read) for group in groups)):
        values = dict(crossed)
        for part in parts:
            values |= part
        grids.append(Grid(values, excluded))
    for out in excluded:
        if not any(all(set(out[key]) & set(grid.values.get(key, ())) for key in out) for grid in grids):
            raise GridError(f"exclude: {out} matches no cell of its entry; its keys and values are the entry's own")
    return grids


def narrow(grids: Sequence[Grid], asked: Values) -> list[Grid]:
    """Applies command-line overrides. A value that already occurs in a grid keeps only the cells with it; a new value
    replaces the key's values in every grid."""
    chosen = list(grids)
    for key, values in asked.items():
        known = {value for grid in grids for value in grid.values.get(key, [])}
        left, chosen = chosen, []
        for grid in left:
            kept = values
            if key in grid.values and set(values) <= known:
                kept = [value for value in grid.values[key] if value in values]
            if kept:
                chosen.append(replace(grid, values=grid.values | {key: kept}))
    return chosen


def expand(grids: Sequence[Grid]) -> list[list[str]]:
    """Every cell of every grid, each once, in order, as its overrides."""
    jobs = []
    for grid in grids:
        for combination in itertools.product(*grid.values.values()):
            job = dict(zip(grid.values, combination, strict=True))
            if grid.keeps(job):
                jobs.append(tuple(f"{key}={value}" for key, value in job.items()))
    return [list(job) for job in dict.fromkeys(jobs)]
