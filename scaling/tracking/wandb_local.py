"""Reads W&B run folders on disk, one row per run, by the client's own reader (`wandb leet inspect`); no network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scaling.records.files import cores, last_line
from scaling.tracking.check import TrackingError
from scaling.tracking.wandb_read import row_of

_TIME_LIMIT = 60  # seconds for one run


def find_run_folders(folder: Path) -> list[Path]:
    """A run's folder itself, or those in a `wandb` folder or below; of several attempts at one run the newest."""
    if any(folder.glob("*.wandb")):
        return [folder]
    runs: dict[str, tuple[tuple[str, int], Path]] = {}
    for path in (*folder.glob("*run-*-*"), *folder.glob("**/wandb/*run-*-*")):
        # The id is in the file's name: to a second attempt within a second the client gives a folder that ends in -1.
        for file in path.glob("run-*.wandb"):
            run_id = file.stem.removeprefix("run-")
            name = re.fullmatch(rf"(?:offline-)?run-(\d+_\d+)-{re.escape(run_id)}(?:-(\d+))?", path.name)
            if name:
                order = (name[1], int(name[2] or 0))
                runs[run_id] = max((order, path), runs.get(run_id, (("", 0), path)))
    return [path for _, path in sorted(runs.values())]


def _inspect(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    environment = os.environ | {"WANDB_ERROR_REPORTING": "false"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT, env=environment)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        found = {}
    if not found.get("run_id"):  # of a torn file the reader says nothing
        last = last_line(done.stderr, otherwise="nothing in it")
        way_out = "name the folder of records beside it, or `wandb sync` it"
        raise TrackingError(f"{folder}: the W&B client cannot read it ({last}); {way_out}")
    return found


def _whole(found: Mapping[str, Any]) -> dict[str, Any]:
    config, summary = found.get("config") or {}, found.get("summary") or {}
    kinds = {"job_type": "analysis" if "analysis" in (found.get("tags") or ()) else "train"}
    name = found.get("name") or found["run_id"]
    state = "finished" if found.get("exit_code") == 0 else found.get("state") or "crashed"
    return kinds | dict(
        id=found["run_id"], name=name, state=state, group=config.get("sweep"), config=config, summary=summary
    )


def read_folders(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(folder, row) of every run below `folder` but those of analyses; about a second of one core for each.

    Raises:
        TrackingError: there are none, or the client cannot read one; one line.
    """
    folders = find_run_folders(folder)
    if not folders:
        raise TrackingError(f"{folder}: no W&B run folders (offline-run-* or run-*) in it")
    with ThreadPoolExecutor(cores()) as pool:
        runs = [_whole(found) for found in pool.map(_inspect, folders)]
    return [(path, row_of(run)) for path, run in zip(folders, runs, strict=True) if run["job_type"] != "analysis"]
