"""`python -m scaling.status`: states as they lie on disk, times worked out by hand, and the command of a cell."""

import dataclasses
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.config import CellConfig
from scaling.records.cell_fields import UNKNOWN, known_fields
from scaling.records.cell_folder import recorded_status
from scaling.records.record import FILE_NAME, Record, write_record
from scaling.status import _watch, seconds_left, status_of, summary
from scaling.sweep.rates import Rates, clock

HOLD = """
import sys, time
from pathlib import Path
from scaling.records.lock import cell_lock
with cell_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def hold() -> Callable[[Path], subprocess.Popen]:
    """A process that holds the lock of a cell's folder until the test ends."""
    started = []

    def start(folder: Path) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def _write(
    cell: CellConfig, *, seconds: float | None = None, status: str = "finished", text: str | None = None
) -> None:
    fields = known_fields(cell, device="cpu", torch_version="2.9.0") | UNKNOWN
    if status == "finished":
        fields |= dict(train_error=0.1, val_error=0.2, test_error=0.3, test_loss=1.0, train_seconds=seconds)
    write_record(Record(**fields, status=status, error_text=text), cell.folder)


@pytest.fixture
def cells(make_cell: Callable, tmp_path: Path) -> list[CellConfig]:
    cell = make_cell("model=resnet8", f"out={tmp_path}")
    return [dataclasses.replace(cell, seed=seed) for seed in range(6)]


def test_every_state_is_told_from_what_lies_on_disk(cells: list[CellConfig], hold: Callable) -> None:
    finished, failed, diverged, damaged, running, _missing = cells
    _write(finished, seconds=10.0)
    _write(failed, status="failed", text="Traceback\n  line\nValueError: bad pixel")
    _write(diverged, status="diverged", text="training loss is nan")
    damaged.folder.mkdir(parents=True)
    (damaged.folder / FILE_NAME).write_text("{")
    process = hold(running.folder)
    found = [status_of(cell) for cell in cells]
    assert [s.state for s in found] == ["finished", "failed", "diverged", "damaged", "running", "missing"]
    assert found[1].text == "ValueError: bad pixel"
    assert str(process.pid) in found[4].text
    assert (damaged.folder / FILE_NAME).read_text() == "{"  # looking changes nothing
    text = summary(found, ["sweeps=mine"])
    assert "6 cells: 1 finished, 1 running, 1 failed, 1 diverged, 1 damaged, 1 missing" in text
    assert "retry=all" in text
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert status_of(running).state == "missing"  # the lock has died with its process


def test_a_retried_cell_is_running_not_failed(cells: list[CellConfig], hold: Callable) -> None:
    _write(cells[0], status="failed", text="x")
    hold(cells[0].folder)
    assert status_of(cells[0]).state == "running"


def test_a_damaged_record_is_left_to_the_process_that_is_at_the_cell(cells: list[CellConfig], hold: Callable) -> None:
    cells[0].folder.mkdir(parents=True)
    (cells[0].folder / FILE_NAME).write_text("{")
    hold(cells[0].folder)
    assert recorded_status(cells[0]) is None
    assert (cells[0].folder / FILE_NAME).read_text() == "{"


def test_time_left_is_each_models_rate_times_what_is_left(make_cell: Callable, tmp_path: Path) -> None:
    """resnet8 took 20 s for its images and the ViT 5 s; three resnet8 and one ViT are left, one at half its steps."""

    def make(*words: str) -> CellConfig:
        return make_cell(f"out={tmp_path}", "workers=1", *words)

    done = [make("model=resnet8"), make("model=vit_w48d3")]
    for cell, seconds in zip(done, (20.0, 5.0), strict=True):
        _write(cell, seconds=seconds)
    left = [make("model=resnet8", "seed=1"), make("model=resnet8", "seed=2"), make("model=vit_w48d3", "seed=1")]
    longer = make("model=resnet8", "seed=3", "budget.factor=2")
    half = make("model=resnet8", "seed=4")
    half.folder.mkdir(parents=True)
    (half.folder / f"checkpoint-{half.steps // 2:08d}-0123456789abcdef.pt").touch()
    found = [status_of(cell) for cell in [*done, *left, longer, half]]
    rates = Rates.of_records(status.record for status in found if status.record)
    assert seconds_left(found, rates) == pytest.approx(20 + 20 + 5 + 40 + 10)
    assert seconds_left(found, Rates()) is None


def test_rates_fall_back_on_pixels_then_on_the_mean(make_cell: Callable) -> None:
    rates = Rates()
    rates.add("resnet8", 16, 1000, 10.0)  # .01 s an image of 16 x 16
    cell = make_cell("model=resnet8", "data.image_size=24")
    seen = cell.steps * cell.optim.batch_size
    assert rates.seconds(cell) == pytest.approx(0.01 * (24 / 16) ** 2 * seen)
    other = make_cell("model=vit_w48d3", "data.image_size=16", "data.permute_patch=4", "model.patch_size=4")
    assert rates.seconds(other) == pytest.approx(0.01 * other.steps * other.optim.batch_size)


def test_watch_looks_again_until_nothing_is_missing(
    cells: list[CellConfig], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    waiting = cells[:3]

    def meanwhile(seconds: float) -> None:
        assert seconds == 7
        _write(waiting[len(list(Path(waiting[0].out).rglob(FILE_NAME)))], seconds=1.0)

    monkeypatch.setattr("scaling.status.time.sleep", meanwhile)
    _watch(waiting, ["sweeps=mine"], 7)
    shown = [line for line in capsys.readouterr().out.splitlines() if "cells:" in line]
    assert [line.split("cells: ")[1].split(" finished")[0] for line in shown] == ["0", "1", "2", "3"]


def test_clock() -> None:
    assert [clock(s) for s in (7, 187, 7387)] == ["0:07", "3:07", "2:03:07"]


def test_the_printed_command_is_the_cells_own(command: Callable, make_cell: Callable, tmp_path: Path) -> None:
    """Asked for one cell of a sweep, the command composes to the cell that the sweep has, in the same folder."""
    words = ["-m", "model=resnet8,vit_w48d3", "seed=0,1", "data.locality=0.5", "out=else where", "sweep=mine"]
    done = command("scaling.status", *words, "--command", "vit_w48d3-strokes-loc0.5-n1024-s1")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("python -m scaling.train ")
    alone = command("scaling.status", *shlex.split(line)[3:], "--list").stdout.splitlines()
    assert alone[0].startswith("else where/mine: 1 cells")
    cell = make_cell("model=vit_w48d3", "seed=1", "data.locality=0.5", "data.subset_seed=1")
    assert alone[-1].split() == ["missing", cell.cell_name]
    assert os.listdir(tmp_path) == []


def test_bad_words_are_status_2(command: Callable) -> None:
    done = command("scaling.status", "sweeps=quikstart")
    assert done.returncode == 2
    assert "quickstart" in done.stderr
