"""W&B runs through the real client and a small service on loopback: what arrives, and what a dead service costs."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import clean_environment
from wandb_server import WandbServer

from scaling.records.record import FILE_NAME, read_record
from scaling.tracking.check import closing_lines
from scaling.tracking.wandb_local import read_folders

FOUR = ("-m", "model=resnet8,vit_w48d3", "seed=0,1", "data.image_size=16", "data.permute_patch=4", "data.train_size=40",
        "data.test_size=50", "budget.steps=200", "device=cpu", "workers=1", "sweep=mine")  # fmt: skip


def records_of(folder: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(json.dumps(read_record(path).to_dict())) for path in folder.glob(f"*/{FILE_NAME}")]
    return {record["config_hash"]: record for record in found}


def assert_arrived(server: WandbServer, records: dict[str, dict[str, Any]]) -> None:
    """Each record is one run of its own id, with config, curve, summary, group and tags."""
    assert {run_id for _, run_id in server.runs} == set(records)
    for config_hash, record in records.items():
        run = server.runs["vit-scaling", config_hash]
        assert (run["display_name"], run["group"], run["job_type"]) == (record["name"], "mine", "train")
        assert run["tags"] == [record["family"], record["model"], "strokes", "n=40"]
        assert run["config"]["data"]["value"]["train_size"] == 40
        assert run["config"]["optim"]["value"]["lr"] == record["lr"]
        assert run["config"]["seed"]["value"] == record["seed"]
        summary = {key: value for key, value in run["summary"].items() if not key.startswith("_")}
        assert summary == {key: value for key, value in record.items() if value is not None}
        seen = [row["seen_examples"] for row in run["history"]]
        assert seen == sorted(seen)
        assert seen[-1] == record["seen_examples"]
        assert {"train_loss", "lr", "seconds", "step"} <= set(run["history"][0])
        assert run["state"] == "finished"


def test_four_cells_arrive_as_four_runs(command: Callable, server: WandbServer, tmp_path: Path) -> None:
    done = command("scaling.train", *FOUR, "wandb=online", variables=server.environment())
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert "wandb" not in done.stderr  # the client is silent
    assert "W&B" not in done.stdout  # nothing is left to do
    assert_arrived(server, records_of(tmp_path / "runs" / "mine"))
    assert len(server.runs) == 4


def _sync(line: str, server: WandbServer, place: Path) -> None:
    """Runs the command that a closing line prints between backticks."""
    words = line.split("`")[1].replace("wandb sync", f"{sys.executable} -m wandb sync")
    environment = clean_environment(place) | server.environment()
    done = subprocess.run(words, shell=True, cwd=place, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_service_that_dies_midway_loses_nothing(command: Callable, server: WandbServer, tmp_path: Path) -> None:
    """It goes away while the second of four cells is at work; the printed `wandb sync` then delivers the rest."""
    server.dies_when = lambda s: len(s.runs) == 2 and s.requests[-1] == "UpsertBucket"
    done = command("scaling.train", *FOUR, "wandb=online", "wandb.finish_timeout=3", variables=server.environment())
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning") == 1, done.stderr
    assert "the W&B service went away" in done.stderr
    records = records_of(tmp_path / "runs" / "mine")
    assert len(records) == 4
    assert {record["status"] for record in records.values()} == {"finished"}
    arrived = [run for run in server.runs.values() if run["state"] == "finished"]
    assert len(arrived) == 1
    [line] = [line for line in done.stdout.splitlines() if "wandb sync" in line]
    server.start()
    _sync(line, server, tmp_path)
    assert_arrived(server, records)


@pytest.mark.slow  # the test of a service gone midway has retries, too
def test_a_retried_cell_is_the_same_run_and_says_so(logged: Callable, server: WandbServer) -> None:
    found, errors = logged("wandb=online", attempts=2, **server.environment())
    assert errors == ""
    assert found["wandb"]
    [run] = server.runs.values()
    assert run["id"] == found["id"]
    assert (run["tags"][-1], run["notes"]) == ("retried", "attempt 2; the one before: interrupted")
    assert (run["state"], run["summary"]["status"], run["summary"]["lr"]) == ("finished", "finished", 0.3)
    assert "error_text" not in run["summary"]  # the first attempt's
    assert [row["_step"] for row in run["history"]] == [0, 1, 2, 3]  # appended, nothing of the first attempt is lost


def test_a_service_gone_midway_costs_one_warning(
    logged: Callable, server: WandbServer, make_cell: Callable, tmp_path: Path
) -> None:
    """It dies as the second of three runs begins; what was logged is complete after the printed `wandb sync`."""
    server.dies_when = lambda s: s.requests.count("RunResumeStatus") == 2 and s.requests[-1] == "UpsertBucket"
    words = ("wandb=online", "wandb.finish_timeout=2")
    _, errors = logged(*words, attempts=3, **server.environment())
    [warning] = errors.splitlines()
    assert "the W&B service went away (a run's upload did not end in time); logged offline" in warning
    server.start()
    [line] = closing_lines(make_cell(*words, f"out={tmp_path}/runs"))
    _sync(line, server, tmp_path)
    [run] = server.runs.values()
    assert (run["state"], run["notes"]) == ("finished", "attempt 3; the one before: interrupted")
    assert [row["_step"] for row in run["history"]] == [0, 1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_service_gone_midway_holds_a_sweep_up_for_less_than_15_seconds(logged: Callable, server: WandbServer) -> None:
    """With the time limits as they come. Six runs of no work of their own: what they take is what the client waits."""
    death = [0.0]

    def dies(s: WandbServer) -> bool:
        death[0] = time.monotonic()
        return s.requests.count("RunResumeStatus") == 2 and s.requests[-1] == "UpsertBucket"

    server.dies_when = dies
    logged("wandb=online", attempts=6, **server.environment())
    assert time.monotonic() - death[0] < 15


def test_offline_asks_no_server_and_syncs_later(
    logged: Callable, server: WandbServer, make_cell: Callable, tmp_path: Path
) -> None:
    found, errors = logged("wandb=offline", attempts=2, **server.environment())
    assert (errors, server.requests) == ("", [])
    assert len(list((tmp_path / "runs" / "single" / "wandb").glob("offline-run-*"))) == 2
    [line] = closing_lines(make_cell("wandb=offline", f"out={tmp_path}/runs"))
    _sync(line, server, tmp_path)
    [run] = server.runs.values()
    assert (run["id"], run["state"], run["tags"][-1]) == (found["id"], "finished", "retried")
    assert (run["summary"]["status"], "error_text" in run["summary"]) == ("finished", False)
    assert len(run["history"]) == 4


BROKEN = """
import pickle
from scaling.tracking import track
class Broken:
    def keys(self):
        raise RuntimeError("no keys")
first, second = pickle.load(open("cells.pickle", "rb"))
with track(first) as tracker:
    tracker.log(dict(seen_examples=32, train_loss=0.5))
    tracker.log(Broken())
with track(second) as tracker:
    tracker.log(dict(seen_examples=32, train_loss=0.25))
    tracker.summarize(dict(status="finished", seed=1))
"""


def test_a_run_that_broke_is_not_handed_to_the_next_cell(make_cell: Callable, tmp_path: Path) -> None:
    cells = [make_cell("wandb=offline", "sweep=mine", f"seed={seed}", f"out={tmp_path}") for seed in (0, 1)]
    (tmp_path / "cells.pickle").write_bytes(pickle.dumps(cells))
    line = [sys.executable, "-c", BROKEN]
    environment = clean_environment(tmp_path)
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == f"warning: {cells[0].cell_name}: no longer logged to W&B (no keys)\n"
    rows = {row["run_id"]: row for _, row in read_folders(tmp_path / "mine")}
    assert set(rows) == {cell.config_hash for cell in cells}
    broken, whole = (rows[cell.config_hash] for cell in cells)
    assert broken["status"] == "failed"
    assert (whole["status"], whole["seed"]) == ("finished", 1)
