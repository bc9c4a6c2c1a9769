"""Where a sweep stands: reads the records, locks and checkpoints of its cells, starts nothing and changes nothing."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling import __version__, train
from scaling.config import CellConfig, ConfigError
from scaling.records.cell_folder import recorded
from scaling.records.exit_status import exit_status
from scaling.records.files import last_line, printable
from scaling.records.lock import LOCK_FILE, holder, is_held
from scaling.records.record import Record, RecordError
from scaling.study.command import cells_of
from scaling.study.run_study import no_collection
from scaling.sweep.rates import Rates, clock
from scaling.sweep.run_cells import worker_count

USAGE = """usage: python -m scaling.status sweeps=NAME [key=value ...] [--list] [--command TEXT] [--watch [SECONDS]]

Says how many cells of a sweep are finished, running, failed, diverged or missing, the time spent and left. Takes
the words of the sweep's own command (python -m scaling.train ...).
  --list             every cell with its state
  --command TEXT     the exact command of every cell whose name contains TEXT
  --watch [SECONDS]  again every few seconds (5), until nothing is missing
"""
MOST_NAMED = 50  # cells of one state that a summary names
STATES = ("finished", "running", "failed", "diverged", "damaged", "foreign", "missing")


@dataclass(frozen=True)
class CellStatus:
    """A cell and how it stands.

    state: a record's status; "running" (some process holds its lock); "damaged" (its record cannot be read: the next
    start sets it aside); "foreign" (the record of another cell: the next start refuses); "missing".
    """

    cell: CellConfig
    state: str
    text: str = ""
    record: Record | None = None
    saved: int = 0  # steps that a checkpoint holds


def find_cells(arguments: Sequence[str]) -> list[CellConfig]:
    """The cells that `python -m scaling.train` would reach with these arguments, each once."""
    try:
        found = cells_of(arguments)
    except train.REFUSALS as error:
        raise SystemExit(train.refuse(error)) from error
    return list({(cell.folder, cell.config_hash): cell for cell in found}.values())


def _inside(folder: Path) -> list[str]:
    """The names in a cell's folder; asked for once, since every look at a file costs as much."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def status_of(cell: CellConfig) -> CellStatus:
    """How one cell stands now."""
    names = _inside(cell.folder)
    steps = max((int(match[1]) for name in names if (match := re.match(r"checkpoint-(\d+)-.*\.pt$", name))), default=0)
    saved = f"checkpoint at step {steps} of {cell.steps}" if steps else ""
    if LOCK_FILE in names and is_held(cell.folder):
        return CellStatus(cell, "running", ", ".join(filter(None, (holder(cell.folder), saved))), saved=steps)
    try:
        record = recorded(cell) if names else None
    except RecordError as error:
        return CellStatus(cell, "damaged", str(error), saved=steps)
    except ConfigError as error:
        return CellStatus(cell, "foreign", str(error), saved=steps)
    if record is None:
        return CellStatus(cell, "missing", saved, saved=steps)
    return CellStatus(cell, record.status, last_line(record.error_text, otherwise=""), record)


def command_of(cell: CellConfig) -> str:
    """The command that runs this cell alone, in the same folder."""
    words = [*cell.overrides]
    if cell.out != "runs":
        words.append(f"out={cell.out}")
    return "python -m scaling.train " + shlex.join(words)


def _running_seconds(cell: CellConfig) -> float:
    """How long the process running a cell has been there, by the clock; 0 where that cannot be known."""
    try:
        return max(0.0, time.time() - (cell.folder / LOCK_FILE).stat().st_mtime)
    except OSError:
        return 0.0


def seconds_left(found: Sequence[CellStatus], rates: Rates) -> float | None:
    """Time until the cells that run or are missing are done, at as many side by side as now; None if not known."""
    total = 0.0
    for status in found:
        if status.state in ("running", "missing", "damaged"):
            cost = rates.seconds(status.cell)
            if cost is None:
                return None
            cost *= 1 - status.saved / max(1, status.cell.steps) if status.state == "missing" else 1
            total += max(0.0, cost - _running_seconds(status.cell)) if status.state == "running" else cost
    running = sum(status.state == "running" for status in found)
    return total / (running or worker_count([status.cell for status in found]))


def summary(found: Sequence[CellStatus], words: Sequence[str]) -> str:
    """What `scaling.status` prints."""
    counts = Counter(status.state for status in found)
    first = found[0].cell
    states = ", ".join(f"{counts[s]} {s}" for s in STATES if counts[s] or s in ("finished", "running", "missing"))
    records = [status.record for status in found if status.record]
    spent = sum(record.train_seconds or 0.0 for record in records)
    lines = [f"{first.out}/{first.sweep}: {len(found)} cells: {states}"]
    text = f"time spent training the finished ones: {clock(spent)} (one after the other)"
    if counts["missing"] or counts["running"] or counts["damaged"]:
        left = seconds_left(found, Rates.of_records(records))
        side = counts["running"] or worker_count([status.cell for status in found])
        text += "; time left: " + ("not known yet" if left is None else f"about {clock(left)} at {side} at a time")
    lines.append(text)
    for state in ("running", "failed", "diverged", "damaged", "foreign"):
        mine = [s for s in found if s.state == state]
        lines += [f"{s.state}: {s.cell.cell_name}: {printable(s.text)}" for s in mine[:MOST_NAMED]]
        if len(mine) > MOST_NAMED:
            lines.append(f"{state}: {len(mine) - MOST_NAMED:,} more; --list names all")
    again = shlex.join(words)
    if counts["missing"] and not counts["running"]:
        lines.append(f"the rest runs with: python -m scaling.train {again}")
    if counts["failed"] or counts["diverged"]:
        both = "all" if counts["failed"] and counts["diverged"] else "failed" if counts["failed"] else "diverged"
        lines.append(f"these run again with: python -m scaling.train {again} retry={both}")
    return "\n".join(lines)


def _watch(cells: Sequence[CellConfig], words: Sequence[str], every: float) -> None:
    while True:
        found = [status_of(cell) for cell in cells]
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), b"\033[H\033[2J")  # what is printed has no escape codes
        print(summary(found, words), flush=True)
        if not any(status.state in ("running", "missing") for status in found):
            return
        time.sleep(every)


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0
    if "--version" in arguments:
        print(__version__)
        return 0
    every, pattern = None, None
    if "--watch" in arguments:
        at = arguments.index("--watch")
        value = arguments[at + 1] if re.fullmatch(r"[0-9.]+", "".join(arguments[at + 1 : at + 2])) else None
        every = float(value or 5)
        del arguments[at : at + (2 if value else 1)]
    if "--command" in arguments:
        at = arguments.index("--command")
        if at + 1 == len(arguments):
            print("error: --command needs a part of a cell's name", file=sys.stderr)
            return 2
        pattern = arguments[at + 1]
        del arguments[at : at + 2]
    words = [word for word in arguments if word != "--list"]
    cells = find_cells(words)
    if pattern is not None:
        chosen = [cell for cell in cells if pattern in cell.cell_name]
        print("\n".join(command_of(cell) for cell in chosen) or f"no cell's name contains {pattern!r}")
        return 0 if chosen else 2
    if every is not None:
        _watch(cells, words, every)
        return 0
    with no_collection():
        found = [status_of(cell) for cell in cells]
    print(summary(found, words))
    if "--list" in arguments:
        print("\n".join(f"{status.state:<9} {status.cell.cell_name}" for status in found))
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
