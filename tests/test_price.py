"""The cost of a sweep before it starts: worked out by hand from records, and nothing invented where there are none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.config import CellConfig
from scaling.records.cell_fields import UNKNOWN, known_fields
from scaling.records.record import Record, write_record
from scaling.study import price as module
from scaling.study.price import Cost, duration, price, sentence


@pytest.fixture
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    asked: list[int] = []

    def measure(cells: list[CellConfig]) -> list[float | None]:
        asked.append(len(cells))
        return [2000.0] * len(cells)

    monkeypatch.setattr(module, "_measure", measure)
    return asked


@pytest.fixture
def make(make_cell: Callable, tmp_path: Path) -> Callable[..., CellConfig]:
    words = ("model=resnet8", f"out={tmp_path}", "device=cpu", "data.test_size=3000", "budget.exponent=0",
             "budget.steps=1000", "optim.batch_size=64", "data.train_size=1000")  # fmt: skip
    return lambda *more: make_cell(*words, *more)


def finish(cell: CellConfig, *, images_per_second: float) -> None:
    fields = known_fields(cell, device="cpu", torch_version="2.9.0") | UNKNOWN
    fields |= dict(train_error=0.1, val_error=0.2, test_error=0.3, test_loss=1.0)
    fields |= dict(train_seconds=fields["seen_examples"] / images_per_second, images_per_second=images_per_second)
    write_record(Record(**fields, status="finished"), cell.folder)


def test_rates_come_from_finished_cells_that_ran_alike(
    make: Callable[..., CellConfig], no_measuring: list[int]
) -> None:
    """64,000 images at 640/s are 100 s; 1,000 + 250 + 3,000 evaluated ones at a third of that are 2.2 s."""
    finish(make("seed=7"), images_per_second=640)
    finish(make("seed=8", "data.image_size=12"), images_per_second=1)  # another image size says nothing of this one
    finish(make("seed=9", "optim.batch_size=8"), images_per_second=1)
    cost = price([make(f"seed={seed}") for seed in range(3)], workers=2)
    one = 100 * (1 + (4250 / 3) / 64_000)
    assert cost.seconds == pytest.approx(2 * one)  # three cells on two workers
    assert cost.device_hours == pytest.approx(3 * one / 3600)
    assert cost.device == "cpu"
    assert no_measuring == []
    said = "cost: 3 cells to run, about 3 min 2 at a time on this machine, 0.085 core-hours"
    assert sentence(cost) == f"{said}; rates from finished cells (1 model)"


def test_a_model_without_cells_is_measured_once_and_remembered(
    make: Callable[..., CellConfig], no_measuring: list[int]
) -> None:
    for _ in range(2):
        cost = price([make()], workers=1)
        assert cost.seconds == pytest.approx(32 * (1 + (4250 / 3) / 64_000))
        assert "a few measured steps (1 model)" in sentence(cost)
    assert no_measuring == [1]


def test_too_little_work_is_not_measured(make: Callable[..., CellConfig], no_measuring: list[int]) -> None:
    cost = price([make("budget.steps=10")], workers=1)
    assert no_measuring == []
    assert "too little work to be worth measuring" in sentence(cost)


def test_gpus_are_shared_by_workers_and_owned_by_jobs(make: Callable[..., CellConfig], no_measuring: list[int]) -> None:
    """Two cells of 32.7 s beside each other: one shared GPU is busy half as long as two of their own."""
    cells = [make("device=cuda", f"seed={seed}") for seed in (0, 1)]
    shared, own = (price(cells, workers=2, own_gpus=own) for own in (False, True))
    assert own.device_hours == pytest.approx(2 * shared.device_hours)
    assert "GPU-hours" in sentence(own)


def test_threads_are_cores(make: Callable[..., CellConfig], no_measuring: list[int]) -> None:
    one, four = (price([make(f"threads={threads}")], workers=1) for threads in (1, 4))
    assert four.device_hours == pytest.approx(4 * one.device_hours)


def test_nothing_left() -> None:
    assert sentence(price([])) == "cost: nothing left to run"
    assert price([]) == Cost(0, 0.0, 0.0, 1, "cpu", {})


def test_durations_as_people_say_them() -> None:
    assert [duration(s) for s in (42, 300, 7200, 864_000)] == ["42 s", "5 min", "2.0 h", "10.0 days"]


def test_a_dry_run_prints_the_cost_and_leaves_nothing(command: Callable, tmp_path: Path) -> None:
    done = command("scaling.train", "-m", "seed=0,1", "model=resnet8", "budget.steps=10", "data.image_size=8",
                   "data.permute_patch=4", "data.train_size=20", "dry_run=true")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("cost: 2 cells to run")
    assert done.stdout == ""
    assert not (tmp_path / "runs").exists()
