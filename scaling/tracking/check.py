"""Before a sweep: what would keep its trackers from working, in one line. After it: how its runs reach W&B."""

from __future__ import annotations

import importlib.util
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.tracking.service import BYTES_A_RUN, GONE_FILE, LEAST_FREE, ask_service, existing, free_bytes
from scaling.tracking.wandb_run import under_agent

if TYPE_CHECKING:
    from scaling.config import CellConfig

_ASKED = "SCALING_TRACKING_ASKED"  # inherited by the processes that this one starts, whatever launcher starts them


class TrackingError(ValueError):
    """Logging that cannot work; the message says in one line why, and what would."""


def check_folder(folder: Path, *, runs: int) -> None:
    """Raises TrackingError if `runs` runs cannot be written below `folder`. Creates nothing."""
    parent = existing(folder.absolute())
    if not os.access(parent, os.W_OK | os.X_OK):
        raise TrackingError(f"{parent} cannot be written to; choose another out=")
    needed, free = LEAST_FREE + runs * BYTES_A_RUN, free_bytes(parent)
    if free < needed:
        have = f"{free / 2**20:.0f} MB are free at {parent}, and {needed / 2**20:.0f} MB are needed to log {runs} runs"
        raise TrackingError(f"{have}: make room, choose another out=, or wandb=disabled")


def check_tracking(cells: Sequence[CellConfig]) -> None:
    """To be called before the first worker starts. Takes seconds at most, and asks the service once for a whole sweep.

    Raises:
        TrackingError: no room, no right to write, a package, a key or a service missing, or a W&B agent's one run for
            several cells.
    """
    first = cells[0]
    mode, folder = first.wandb.mode, Path(first.out) / first.sweep
    if "tensorboard" in first.trackers and importlib.util.find_spec("tensorboard") is None:
        raise TrackingError("trackers=[tensorboard] needs a package: pip install 'vit-scaling[tensorboard]'")
    if mode != "disabled" or first.trackers:
        check_folder(folder, runs=len(cells))
    if mode == "disabled":
        return
    if under_agent() and len(cells) > 1:
        raise TrackingError(f"a W&B agent's run is one cell, and this command has {len(cells)}: see sweeps/wandb/")
    question = f"{mode} {folder.absolute()}"
    if os.environ.get(_ASKED) == question:  # asked when the sweep began: what has gone away since ends no sweep
        return
    if mode == "online":
        problem = ask_service()
        if problem:
            raise TrackingError(problem)
    (folder / GONE_FILE).unlink(missing_ok=True)  # of an earlier start; the service has just answered
    os.environ[_ASKED] = question


def closing_lines(cell: CellConfig) -> list[str]:
    """How what the sweep logged reaches W&B; empty if it is there already or nothing was logged."""
    folder = Path(cell.out) / cell.sweep
    place = shlex.quote(f"{folder}/wandb") + "/"
    if cell.wandb.mode == "offline":
        return [f"W&B: offline; `wandb sync {place}offline-run-*` uploads the runs"]
    gone = folder / GONE_FILE
    if cell.wandb.mode == "disabled" or not gone.exists():
        return []
    undelivered = [shlex.quote(f"{folder}/wandb/{name}") for name in gone.read_text(encoding="utf-8").split()]
    offline = [f"{place}offline-run-*"] if any((folder / "wandb").glob("offline-run-*")) else []
    words = " ".join([*undelivered, *offline])
    return [f"W&B: the service went away; `wandb sync --include-online {words}` delivers the rest"]
