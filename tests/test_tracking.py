"""W&B through its real client and a small service on loopback: what arrives, what is refused, what is not lost."""

from __future__ import annotations

import csv
import json
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb_server import WandbServer

from scaling.record import FILE_NAME, read_record
from scaling.tracking.check import TrackingError, check_folder, check_tracking, closing_lines
from scaling.tracking.run import facts_of
from scaling.tracking.service import ask_service

SMALL = ("data.image_size=16", "data.permute_patch=4", "data.train_size=40", "data.test_size=50", "budget.steps=200",
         "device=cpu", "workers=1", "sweep=mine")  # fmt: skip
FOUR = ("-m", "model=resnet8,vit_w48d3", "seed=0,1", *SMALL)


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with WandbServer() as running:
        yield running
    assert running.unknown == []


def records_of(folder: Path) -> dict[str, dict[str, Any]]:
    found = [read_record(path).to_dict() for path in folder.glob(f"*/{FILE_NAME}")]
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


def _sync(line: str, server: WandbServer, place: Path) -> None:
    """Runs the command that a closing line prints between backticks."""
    words = line.split("`")[1].replace("wandb sync", f"{sys.executable} -m wandb sync")
    environment = _environment(place) | server.environment()
    done = subprocess.run(words, shell=True, cwd=place, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def _environment(home: Path) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")} | {"HOME": str(home)}


@pytest.fixture
def closed_port() -> int:
    """A port of loopback that is bound by nobody."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


@pytest.mark.parametrize("mode", ["closed", "silent", "wrong key"])
def test_a_service_that_cannot_be_used(
    mode: str, closed_port: int, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is one line, and the question has an end. (The ten seconds are in ask_service's own limit of nine.)"""
    with WandbServer() as running:
        port = {"closed": closed_port, "silent": silent_port, "wrong key": running.port}[mode]
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("WANDB_API_KEY", "w" * 40)
        problem = str(ask_service())
    expected = {
        "closed": f"http://127.0.0.1:{port} cannot be reached",
        "silent": "not answer",
        "wrong key": f"http://127.0.0.1:{port} does not accept the key",
    }
    assert expected[mode] in problem
    assert "\n" not in problem


def test_no_key_is_one_line_before_anything_starts(command: Callable, closed_port: int, tmp_path: Path) -> None:
    done = command(
        "scaling.train", *SMALL, "wandb=online", variables={"WANDB_BASE_URL": f"http://127.0.0.1:{closed_port}"}
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: W&B needs a key: set WANDB_API_KEY or run `wandb login`, or leave it at wandb=offline\n"
    )
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_is_said_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=25 * 2**20))
    check_folder(tmp_path / "runs", runs=4)
    with pytest.raises(TrackingError, match=r"25 MB are free at .*, and 58 MB are needed to log 400 runs"):
        check_folder(tmp_path / "runs", runs=400)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 1 MB, where this machine lets tests mount one."""
    place = tmp_path / "small disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if made.returncode:
        pytest.skip("no right to mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_and_one_that_cannot_be_written(small_disk: Path, command: Callable) -> None:
    words = [*SMALL, f"out='{small_disk}/runs'"]
    full = command("scaling.train", *words)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    read_only = command("scaling.train", *words)
    assert (full.returncode, read_only.returncode) == (2, 2)
    need = f"error: 1 MB are free at {small_disk}, and 20 MB are needed to log 1 runs: make room"
    assert full.stderr.startswith(need)
    assert read_only.stderr == f"error: {small_disk} cannot be written to; choose another out=\n"
    assert full.stderr.count("\n") == 1
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_is_full_at_the_end_of_a_run_is_said(small_disk: Path, logged: Callable) -> None:
    """Room enough as the run begins, none when it ends: the client is silent about it, so we are not."""
    subprocess.run(["mount", "-o", "remount,size=30m", str(small_disk)], check=True)
    found, errors = logged("wandb=offline", f"out='{small_disk}'", fill=small_disk / "fill")
    assert found["wandb"]
    [line] = errors.splitlines()
    assert "no longer logged to W&B (less than 20 MB are free: its W&B files may be incomplete)" in line


def test_closing_lines_quote_what_the_shell_would_split(make_cell: Callable, tmp_path: Path) -> None:
    words = (f"out='{tmp_path}/a b'", "sweep=mine")
    assert closing_lines(make_cell(*words, "wandb=offline")) == []  # nothing was logged
    place = tmp_path / "a b" / "mine" / "wandb"
    (place / "offline-run-1-x").mkdir(parents=True)
    (place / "run-2-y").mkdir()
    for mode in ("offline", "online"):
        [line] = closing_lines(make_cell(*words, f"wandb={mode}"))
        assert f"`wandb sync '{place}'/offline-run-*`" in line
    assert closing_lines(make_cell(*words, "wandb=disabled")) == []
    (place / "undelivered").write_text("run-2-y\n")
    [line] = closing_lines(make_cell(*words, "wandb=online"))
    assert f"`wandb sync --include-online '{place}/run-2-y' '{place}'/offline-run-*`" in line
    for name in ("offline-run-1-x/run-x.wandb.synced", "run-2-y/run-y.wandb.synced"):
        (place / name).touch()
    assert closing_lines(make_cell(*words, "wandb=online")) == []


def test_an_agents_run_is_one_cell(make_cell: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "sw1")
    cells = [make_cell(f"seed={seed}", f"out={tmp_path}") for seed in (0, 1)]
    with pytest.raises(TrackingError, match="a W&B agent's run is one cell, and this command has 2"):
        check_tracking(cells)


def test_facts_of_a_run(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    small = make_cell("model=resnet8", "data.train_size=40", "sweep=mine")
    facts = facts_of(small)
    assert (facts.id, facts.name, facts.group) == (small.config_hash, small.cell_name, "mine")
    assert (facts.job_type, facts.tags) == ("train", ("cnn", "resnet8", "strokes", "n=40"))
    assert facts.config["data"]["train_size"] == 40
    assert small.wandb.project == "theirs"
    assert facts.tiny  # 119 steps of 64 images of 18 x 18 pixels
    assert not facts_of(make_cell("model=resnet8", "budget.steps=100000", "data.train_size=1024")).tiny


def test_a_cell_begun_before_says_so(make_cell: Callable, tmp_path: Path) -> None:
    cell = make_cell(f"out={tmp_path}", "data.train_size=40")
    first = facts_of(cell)
    assert (first.notes, "attempt" in first.config, first.tags[-1]) == (None, False, "n=40")
    (tmp_path / "single" / "wandb" / f"offline-run-20260101_000000-{cell.config_hash}").mkdir(parents=True)
    again = facts_of(cell)
    assert again.notes == "attempt 2; the one before: interrupted"
    assert again.config["attempt"] == 2
    assert again.tags[-1] == "retried"
    assert again.id == first.id


# Calls `track` for a cell without training it: what a cell's process does, without torch.
SCRIPT = """
import json, pickle, sys
from scaling.tracking import track
cell = pickle.load(open("cell.pickle", "rb"))
point = dict(step=1, seen_examples=32, train_loss=0.5, lr=0.1, seconds=0.25)
for attempt in range(int(sys.argv[1])):
    status = "failed" if attempt == 0 else "finished"
    fill = sys.argv[2]
    with track(cell) as tracker:
        tracker.log(point)
        tracker.log(point | dict(step=2, seen_examples=64))
        if fill:
            open(fill, "wb").write(bytes(25 * 2**20))
        tracker.summarize(dict(status=status, lr=0.3, overrides=["a b"], error_text=None))
print(json.dumps(dict(wandb="wandb" in sys.modules, id=cell.config_hash)))
"""


@pytest.fixture
def logged(tmp_path: Path, make_cell: Callable) -> Callable[..., tuple[dict[str, Any], str]]:
    def run(*words: str, attempts: int = 1, fill: Path | str = "", **variables: str) -> tuple[dict[str, Any], str]:
        (tmp_path / "cell.pickle").write_bytes(pickle.dumps(make_cell(*words)))
        environment = _environment(tmp_path) | {"PYTHONPATH": str(Path(__file__).parent.parent)} | variables
        line = [sys.executable, "-c", SCRIPT, str(attempts), str(fill)]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return run


def test_importing_it_loads_neither_torch_nor_wandb() -> None:
    words = "import sys, scaling.tracking; print({'torch', 'wandb', 'scaling.config'} & set(sys.modules))"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", words], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_disabled_costs_nothing(logged: Callable, tmp_path: Path) -> None:
    found, _ = logged("wandb=disabled")
    assert not found["wandb"]
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow  # the test of a service gone midway has retries, too
def test_a_retried_cell_is_the_same_run_and_says_so(logged: Callable, server: WandbServer) -> None:
    found, errors = logged("wandb=online", attempts=2, **server.environment())
    assert errors == ""
    assert found["wandb"]
    [run] = server.runs.values()
    assert run["id"] == found["id"]
    assert (run["tags"][-1], run["notes"]) == ("retried", "attempt 2; the one before: interrupted")
    assert (run["state"], run["summary"]["status"], run["summary"]["lr"]) == ("finished", "finished", 0.3)
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
    assert len(run["history"]) == 4


def test_a_disk_that_fills_up_later_is_said(logged: Callable, tmp_path: Path) -> None:
    """Where less is free than a run needs, the cell goes on without W&B and says so."""
    site = tmp_path / "site"
    site.mkdir()
    lines = ["import shutil", "usage = shutil.disk_usage", "shutil.disk_usage = lambda p: usage(p)._replace(free=1000)"]
    (site / "sitecustomize.py").write_text("\n".join(lines))
    root = str(Path(__file__).parent.parent)
    _, errors = logged("wandb=offline", PYTHONPATH=f"{site}:{root}")
    [line] = errors.splitlines()
    assert "no longer logged to W&B (less than 20 MB are free" in line
    assert not (tmp_path / "runs").exists()


def test_csv_files(logged: Callable, tmp_path: Path) -> None:
    logged("wandb=disabled", "trackers=[csv]", attempts=2)
    [folder] = (tmp_path / "runs" / "single" / "csv").iterdir()
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seen_examples"] for row in rows] == ["32", "64"]
    with (folder / "summary.csv").open() as file:
        [summary] = csv.DictReader(file)
    assert summary == {"status": "finished", "lr": "0.3", "overrides": "'a b'", "error_text": ""}


def test_tensorboard_files(logged: Callable, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logged("wandb=disabled", "trackers=[tensorboard]")
    [folder] = (tmp_path / "runs" / "single" / "tensorboard").iterdir()
    events = accumulator.EventAccumulator(str(folder)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train_loss")] == [(32, 0.5), (64, 0.5)]
    assert events.Scalars("summary/lr")[0].value == pytest.approx(0.3)


def test_trackers_that_do_not_exist_are_refused(make_cell: Callable) -> None:
    with pytest.raises(ValueError, match="mlflow is not one of csv, tensorboard"):
        make_cell("trackers=[csv,mlflow]")
