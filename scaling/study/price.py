"""What cells will cost on this machine, said before anything starts: cells, wall time, core-hours or GPU-hours.

A model's rate comes from finished cells below `out` that ran as these would (image size, batch, precision, threads,
device); where there are none, from a few training steps in a process of their own, kept in a cache. Free of torch.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import heapq
import importlib.metadata
import json
import os
import pickle
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.config import CellConfig
from scaling.config.cell_config import FORWARD
from scaling.models.precision import processor
from scaling.records.files import cache_folder, duration, sealed, try_write_whole, unsealed
from scaling.records.record import Record, RecordError, find_records, read_record
from scaling.sweep.rates import Rates

_TOO_SMALL = 5e6  # pixels to train on in all, of models without a rate: less is run sooner than measured
_LATEST = 400  # records read at most

Kind = tuple[Any, ...]


@dataclass(frozen=True)
class Cost:
    """Of cells that are still to be run; `seconds` is of the wall, with `workers` side by side."""

    cells: int
    seconds: float | None  # None: not measured
    device_hours: float
    workers: int
    device: str  # cpu, cuda or mps
    sources: Mapping[str, int]  # models by where their rates come from


@functools.cache
def device_kind(name: str) -> str:
    """cpu, cuda or mps: what `device=name` will mean here, without asking torch."""
    if name != "auto":
        return name.split(":")[0]
    if Path("/dev/nvidia0").exists():
        return "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def kind_of(cell: CellConfig) -> Kind:
    """What cells must share to run at one rate."""
    patch = cell.model.patch_size if cell.model.family == "vit" else None
    size = (cell.data.image_size, cell.optim.batch_size, cell.precision, cell.threads)
    return (cell.model_label, patch, *size, device_kind(cell.device))


def _kind_of_record(record: Record) -> Kind:
    device = record.device if record.device in ("cpu", "mps") else "cuda"
    size = (record.image_size, round(record.seen_examples / record.steps), record.precision, record.threads)
    return (record.model, record.patch_size, *size, device)


def _matching_records(out: Path, kinds: set[Kind]) -> list[Record]:
    """The latest finished records of these kinds below `out`."""
    paths = sorted(find_records(out), key=lambda path: -path.stat().st_mtime)[:_LATEST] if out.is_dir() else []
    found = []
    for path in paths:
        try:
            record = read_record(path)
        except (RecordError, OSError):
            continue  # the sweep says what is wrong with it
        if record.status == "finished" and record.steps and _kind_of_record(record) in kinds:  # a probe has no steps
            found.append(record)
    return found


def cache_file() -> Path:
    return cache_folder(None) / "rates.json"


def _machine() -> str:
    """What a measured rate depends on besides the cell."""
    return f"{processor()[0]} x{os.cpu_count()}, torch {importlib.metadata.version('torch')}"


def _cache_key(cell: CellConfig) -> str:
    text = json.dumps([_machine(), kind_of(cell), cell.model.identity(), cell.data.channels, cell.num_classes])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_cache() -> dict[str, float]:
    try:
        rates = json.loads(unsealed(cache_file().read_bytes()))
        return {str(key): float(rate) for key, rate in rates.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _measure(cells: Sequence[CellConfig]) -> list[float | None]:
    """Images a second of each cell's model, by a process that loads torch; None where it could not be had."""
    line = [sys.executable, "-m", "scaling.training.measure_speed"]
    done = subprocess.run(line, input=pickle.dumps(list(cells)), capture_output=True)
    try:
        rates = json.loads(done.stdout)
    except ValueError:
        return [None] * len(cells)
    return [None if rate is None else float(rate) for rate in rates]


def find_rates(cells: Sequence[CellConfig]) -> tuple[Rates, dict[str, int]]:
    """Rates for these cells, and how many kinds of cell have theirs from where."""
    kinds = {kind_of(cell): cell for cell in cells}
    records = _matching_records(Path(cells[0].out), set(kinds))
    rates = Rates.of_records(records)
    missing = {kind: cell for kind, cell in kinds.items() if kind not in {_kind_of_record(r) for r in records}}
    sources = {"finished cells": len(kinds) - len(missing)}
    cached = _read_cache() if missing else {}
    measured = {kind: cached[key] for kind, cell in missing.items() if (key := _cache_key(cell)) in cached}
    unknown = [cell for kind, cell in missing.items() if kind not in measured]
    pixels = sum(c.seen_examples * c.data.image_size**2 for c in cells if kinds[kind_of(c)] in unknown)
    if unknown and pixels > _TOO_SMALL:
        new = [(cell, rate) for cell, rate in zip(unknown, _measure(unknown), strict=True) if rate]
        measured |= {kind_of(cell): rate for cell, rate in new}
        kept = _read_cache() | {_cache_key(cell): rate for cell, rate in new}
        try_write_whole(cache_file(), sealed(json.dumps(kept, indent=1).encode()))
    for kind, rate in measured.items():
        rates.add(kinds[kind].model_label, kinds[kind].data.image_size, round(100 * rate), 100.0)
    guessed = len(missing) - len(measured)
    return rates, sources | {"a few measured steps": len(measured), "the others' average": guessed}


def _seconds(cell: CellConfig, rates: Rates) -> float | None:
    n = cell.data.train_size
    trained = dataclasses.replace(cell, adapt=None)
    training = rates.seconds(trained)
    if training is None:
        return None
    tested = cell.data.test_size if cell.data.kind == "strokes" else 0  # of files, nobody has counted them yet
    evaluated = n + n // 4 + tested
    one = FORWARD * training / trained.seen_examples  # an image's forward pass
    if cell.adaptation == "probe":  # the probe itself takes next to nothing
        return one * evaluated
    return training + one * evaluated


def _with_features_once(cells: Sequence[CellConfig], seconds: Sequence[float | None]) -> list[float | None]:
    """Probes of one chain share their features: its largest size pays for all."""
    chains: dict[Any, int] = {}
    paid = list(seconds)
    for place in sorted(range(len(cells)), key=lambda i: -cells[i].data.train_size):
        cell = cells[place]
        if cell.adaptation == "probe":
            first = chains.setdefault((kind_of(cell), cell.start_fingerprint, cell.data.subset_seed), place)
            paid[place] = seconds[place] if first == place else 0.0
    return paid


def seconds_each(cells: Sequence[CellConfig]) -> list[float]:
    """What each cell is expected to take here; where no rate is to be had, its share of the work in arbitrary units."""
    rates, _ = find_rates(cells)
    known = [_seconds(cell, rates) for cell in cells]
    work = [1e-6 * cell.steps * cell.optim.batch_size * cell.data.image_size**2 for cell in cells]
    return [s if s is not None else w for s, w in zip(known, work, strict=True)] if None not in known else work


def price(cells: Sequence[CellConfig], *, workers: int | None = None, own_gpus: bool = False) -> Cost:
    """The cost of cells that are all to be run, the longest first.

    Args:
        cells: of one sweep; a cell that is listed twice is run twice.
        workers: how many run side by side.
        own_gpus: each of them has a GPU of its own, as the jobs of a cluster do; else they share one.
    """
    count = max(1, workers or 1)
    if not cells:
        return Cost(0, 0.0, 0.0, count, "cpu", {})
    rates, sources = find_rates(cells)
    seconds = _with_features_once(cells, [_seconds(cell, rates) for cell in cells])
    known = [s for s in seconds if s is not None]
    busy = [0.0] * count
    for cost in sorted(known, reverse=True):
        heapq.heapreplace(busy, busy[0] + cost)
    device = device_kind(cells[0].device)
    total = sum(known) * cells[0].threads if device == "cpu" else sum(known) if own_gpus else max(busy)
    whole = len(known) == len(cells)
    return Cost(len(cells), max(busy) if whole else None, total / 3600, count, device, sources)


def sentence(cost: Cost) -> str:
    """The cost in one line."""
    if not cost.cells:
        return "cost: nothing left to run"
    if cost.seconds is None:
        return f"cost: {cost.cells} cells to run, too little work to be worth measuring"
    share = "core-hours" if cost.device == "cpu" else "GPU-hours"
    origins = [f"{source} ({n} model{'s' * (n > 1)})" for source, n in cost.sources.items() if n]
    side = f"{cost.workers} at a time" if cost.workers > 1 else "one at a time"
    line = f"cost: {cost.cells} cells to run, about {duration(cost.seconds)} {side} on this machine"
    return f"{line}, {cost.device_hours:.2g} {share}; rates from {' and '.join(origins)}"
