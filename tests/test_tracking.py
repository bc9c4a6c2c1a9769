"""Trackers and what is checked before them: every failure is one line, and a broken tracker costs a warning."""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from wandb_server import WandbServer

from scaling.tracking.check import TrackingError, check_folder, check_tracking, closing_lines
from scaling.tracking.run import facts_of
from scaling.tracking.service import ask_service

SMALL = ("data.image_size=16", "data.train_size=40", "device=cpu", "sweep=mine")


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
    """Each is one line, and the question has an end."""
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
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(words, capture_output=True).returncode:
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


def test_importing_it_loads_neither_torch_nor_wandb() -> None:
    words = "import sys, scaling.tracking; print({'torch', 'wandb', 'scaling.config'} & set(sys.modules))"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", words], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_disabled_costs_nothing(logged: Callable, tmp_path: Path) -> None:
    found, _ = logged("wandb=disabled")
    assert not found["wandb"]
    assert not (tmp_path / "runs").exists()


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
