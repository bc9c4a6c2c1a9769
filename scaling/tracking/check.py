"""Before a sweep: what would keep its trackers from working, in one line. After it: how its runs reach W&B."""

from __future__ import annotations

import importlib.util
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.tracking.service import (
    BYTES_A_RUN,
    GONE_FILE,
    LEAST_FREE,
    UNDELIVERED_FILE,
    ask_service,
    existing,
    free_bytes,
)
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
            raise TrackingError(f"{problem}, or leave it at wandb=offline")
    (folder / GONE_FILE).unlink(missing_ok=True)  # of an earlier start
    os.environ[_ASKED] = question


def _not_synced(folder: Path) -> list[Path]:
    """The W&B folders of a sweep that wait for `wandb sync`: offline runs, and online ones that were cut off."""
    try:
        cut_off = [folder / "wandb" / name for name in (folder / UNDELIVERED_FILE).read_text().split()]
    except OSError:
        cut_off = []
    found = [*dict.fromkeys(cut_off), *(folder / "wandb").glob("offline-run-*")]
    return [path for path in found if path.is_dir() and not any(path.glob("*.wandb.synced"))]


def closing_lines(cell: CellConfig) -> list[str]:
    """How what was logged reaches W&B, as a command; empty if it is there already or nothing was logged."""
    folder = Path(cell.out) / cell.sweep
    left = [] if cell.wandb.mode == "disabled" else _not_synced(folder)
    if not left:
        return []
    offline = f"{shlex.quote(f'{folder}/wandb')}/offline-run-*"
    cut_off = [shlex.quote(str(path)) for path in left if not path.name.startswith("offline-")]
    if not cut_off:
        return [f"W&B: offline; `wandb sync {offline}` uploads the runs"]
    words = " ".join([*cut_off, *([offline] if len(left) > len(cut_off) else [])])
    return [f"W&B: the service went away; `wandb sync --include-online {words}` delivers the rest"]
