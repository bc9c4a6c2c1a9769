"""Sweeps as subprocesses that end in time, and the speed of this machine as a sweep of tiny cells measures it.

Torch never loads here: `python -m scaling.train` runs the cells, and their records are read.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from analysis.arguments import InputError
from analysis.pilot.plan import SIDES, MachineRates, ModelPair
from scaling.records.files import cores
from scaling.records.record import Record, RecordError, find_records, read_record
from scaling.records.words import hydra_value

PROBE_STEPS = 40
KILL_AFTER = 10.0  # seconds that a sweep has to end by itself


class TimeUp(Exception):
    """The time is over, or the user wants it to be."""


@dataclass
class Clock:
    """When the sweep must end, and whether someone has asked for an end before."""

    deadline: float  # time.monotonic()
    stopped: bool = False

    def left(self) -> float:
        return 0.0 if self.stopped else self.deadline - time.monotonic()

    def stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopped = True

    def listen(self) -> None:
        """Ctrl-C and SIGTERM end the sweep, not the advice."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop)


def records(folder: Path) -> list[Record]:
    found = []
    for path in find_records(folder) if folder.is_dir() else []:
        try:
            found.append(read_record(path))
        except RecordError:
            continue  # a damaged one: the sweep sets it aside and runs the cell again
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminates the sweep and what it started; its group goes with it if it does not obey."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(KILL_AFTER)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def log_line(log: Path, start: int) -> str:
    text = log.read_bytes()[start:].decode(errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["no message"])[-1].removeprefix("error:").strip()


@dataclass(frozen=True)
class Sweeps:
    """Where the pilot's sweeps run and what they share."""

    out: Path
    sweep: str
    options: tuple[str, ...]  # such as workers=2
    clock: Clock
    say: Callable[[str], None]
    command: tuple[str, ...] = (sys.executable, "-m", "scaling.train")

    @property
    def folder(self) -> Path:
        return self.out / self.sweep

    @property
    def log(self) -> Path:
        return self.folder / "pilot.log"

    def run(self, root: Path, sweep: str, cells: str, overrides: Iterable[str]) -> None:
        """Runs a sweep to its end.

        Raises:
            InputError: the sweep refused its input; its one line is passed on.
            TimeUp: it had to be ended.
        """
        words = [*self.command, "-m", f"hydra.sweeper.cells={cells}", "data=table"]
        words += [f"data.root={hydra_value(str(root.resolve()))}", f"data.name={hydra_value(self.sweep)}"]
        words += [
            f"out={hydra_value(str(self.out))}",
            f"sweep={hydra_value(sweep)}",
            "wandb=disabled",
            *self.options,
            *overrides,
        ]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            start = log.tell()
            log.write((" ".join(words) + "\n").encode())
            log.flush()
            start = log.tell()
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)
        try:
            while process.poll() is None:
                if self.clock.left() <= 0:
                    raise TimeUp
                time.sleep(min(0.2, max(0.01, self.clock.left())))
        finally:
            if process.poll() is None:
                _end(process)
        if process.returncode == 2:
            raise InputError(log_line(self.log, start))
        if process.returncode not in (0, 1):  # 1: some cells failed, which the advice will say
            raise InputError(f"the sweep ended with status {process.returncode}: {log_line(self.log, start)}")


def grid_text(block: dict[str, list[Any]]) -> str:
    return "{" + ",".join(f"{key}:[{','.join(map(str, values))}]" for key, values in block.items()) + "}"


def measure_rates(
    sweeps: Sweeps, root: Path, *, pairs: Sequence[ModelPair], sides: Sequence[int], classes: int, decode_seconds: float
) -> MachineRates:
    """The speed of the pairs at the given image sizes, from cells of a few steps on a few images.

    What an earlier call measured counts, too.

    Raises:
        TimeUp, InputError: as `Sweeps.run`.
    """
    name = f"{sweeps.sweep}_rates"
    size = max(64, 2 * classes)
    models = [m for pair in pairs for m in (pair.vit, pair.cnn)]
    blocks: list[dict[str, list[Any]]] = [
        {
            "model": models,
            "data.image_size": [side],
            "data.permute_patch": [SIDES[side]],
            "data.train_size": [size],
        }
        for side in sides
    ]
    begun = time.monotonic()
    overrides = [f"budget.steps={PROBE_STEPS}", "budget.exponent=0", "optim.batch_size=64"]
    sweeps.run(root, name, "[" + ",".join(map(grid_text, blocks)) + "]", overrides)
    wall = time.monotonic() - begun
    rates: dict[str, dict[int, float]] = {}
    lr: dict[str, float] = {}
    for record in records(sweeps.out / name):
        if record.images_per_second and record.train_seconds:
            rates.setdefault(record.model, {})[record.image_size] = record.images_per_second
            lr[record.model] = record.lr
    missing = set(models) - set(rates)
    if missing:
        raise InputError(f"{min(missing)} could not be tried: {log_line(sweeps.log, 0)}")
    workers = _workers(sweeps.options)
    cells = [PROBE_STEPS * 64 / rates[m][side] for m in models for side in sides]
    return MachineRates(rates, lr, workers, max(3.0, wall - max(max(cells), sum(cells) / workers)), decode_seconds)


def _workers(options: Iterable[str]) -> int:
    asked = [int(o.split("=")[1]) for o in options if o.startswith("workers=")]
    return asked[0] if asked else cores()
