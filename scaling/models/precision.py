"""What `precision=auto` becomes: the faster of fp32 and bf16 in the model's own training step on this processor.

Measured once for a machine, a model and a shape, in a process of its own, and kept in the cache, so that every command
here makes the same choice. A run that has begun keeps its own.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import pickle
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from scaling.config import CellConfig
from scaling.records.cell_folder import CHECKPOINTS
from scaling.records.files import cache_folder, first_written, sealed, unsealed
from scaling.records.record import FILE_NAME

GAIN = 1.1  # times as fast: bf16 rounds more, which a few percent are not worth
_known: dict[Path, str] = {}


@functools.cache
def processor() -> tuple[str, str]:
    """Name and instructions of the processor, as far as the system tells."""
    found = {"model name": platform.processor(), "flags": platform.machine()}
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in found and value.strip():
                found[key.strip()] = " ".join(sorted(value.split()) if key.strip() == "flags" else value.split())
            if not line.strip():  # the others are alike
                break
    except OSError:
        pass
    return found["model name"], found["flags"]


def _begun(cell: CellConfig) -> bool:
    return (cell.folder / FILE_NAME).exists() or any(cell.folder.glob(CHECKPOINTS))


def _memory(cell: CellConfig) -> Path:
    """The cache's file for what decides how fast a step is."""
    shape = (cell.data.image_size, cell.data.channels, cell.num_classes, cell.optim.batch_size, cell.threads)
    words = [*processor(), importlib.metadata.version("torch"), cell.model.identity(), cell.optim.name, *shape]
    key = hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder(cell.data.cache) / "precision" / f"{key}.json"


def _read(content: bytes) -> str | None:
    try:
        found = json.loads(unsealed(content))["precision"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if found in ("fp32", "bf16") else None


def _measured(cell: CellConfig) -> dict[str, Any] | None:
    """Images a second in both precisions, by a process that takes turns; None where they could not be had."""
    both = [dataclasses.replace(cell, precision=precision) for precision in ("fp32", "bf16")]
    line = [sys.executable, "-m", "scaling.training.measure_speed", "in-turns"]
    done = subprocess.run(line, input=pickle.dumps(both), capture_output=True)
    try:
        fp32, bf16 = map(float, json.loads(done.stdout))
    except (ValueError, TypeError):
        return None
    return {"precision": "bf16" if bf16 >= GAIN * fp32 else "fp32", "fp32": fp32, "bf16": bf16}


def _of_processor(cell: CellConfig) -> str:
    """The choice for a CPU that has both."""
    path = _memory(cell)
    if path not in _known:
        try:
            found = _read(path.read_bytes())
        except OSError:
            found = None
        if found is None:
            rates = _measured(cell)
            if rates is None:  # the run itself will say what is wrong with this model
                return "fp32"
            # Another command may have measured at the same time: what came first is what both take.
            kept = first_written(path, sealed(json.dumps(rates, indent=1).encode()), valid=_read)
            found = (kept and _read(kept)) or str(rates["precision"])
            print(
                f"precision=auto: {found} for {cell.model.name}, {cell.data.image_size} pixels:"
                f" {rates['fp32']:,.0f} images/s in fp32, {rates['bf16']:,.0f} in bf16 (a few measured steps)",
                file=sys.stderr,
            )
        _known[path] = found
    return _known[path]


def _with(cell: CellConfig, precision: str) -> CellConfig:
    words = tuple(f"precision={precision}" if word.startswith("precision=") else word for word in cell.overrides)
    return dataclasses.replace(cell, precision=precision, overrides=words)


def resolve_precision(cell: CellConfig) -> CellConfig:
    """Puts what precision=auto means here in its place, in the overrides too: the record runs again as it was."""
    if cell.precision != "auto":
        return cell
    from scaling.models.devices import find_device, known_precision  # torch

    begun = [own for own in (_with(cell, "fp32"), _with(cell, "bf16")) if _begun(own)]
    if len(begun) == 1:
        return begun[0]
    return _with(cell, known_precision(find_device(cell.device)) or _of_processor(cell))
