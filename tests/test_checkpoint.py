"""Checkpoints: a run that was interrupted anywhere ends with the bits of one that was not."""

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from scaling.config import CellConfig
from scaling.records.cell_folder import CHECKPOINTS
from scaling.records.record import Record
from scaling.training.cell import run_cell
from scaling.training.checkpoint import Checkpoints, Stopped, stop_request
from scaling.training.trainer import CurvePoint

SMALL = ("data.image_size=8", "data.permute_patch=4", "data.train_size=20", "data.test_size=50", "budget.steps=100",
         "device=cpu", "wandb=disabled", "optim.batch_size=8")  # fmt: skip
# Every kind of state: both optimisers, batch norm's statistics, dropout and drop path, augmentation, a permutation.
RECIPES = [
    ("model=resnet8", "data.augment=flip_crop"),
    ("model=vit_w48d3", "model.dropout=0.1", "model.drop_path=0.2", "data.augment=flip_crop", "data.locality=0.5"),
    ("model=vit_w48d3", "keep=best", "optim.name=sgd", "data.auto_augment=rand", "data.erase=0.5", "data.mixup=0.4"),
]


def _result(record: Record) -> dict:
    """The record without what the clock decides."""
    return {k: v for k, v in record.to_dict().items() if k not in ("train_seconds", "images_per_second")}


def _curve(cell: CellConfig) -> list[str]:
    return [line.rsplit(",", 1)[0] for line in (cell.folder / "curve.csv").read_text().splitlines()]  # no seconds


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes a run stop after that step, as SIGTERM would."""

    def arm(step: int) -> None:
        save = Checkpoints.save

        def save_then_stop(self: Checkpoints, state: dict) -> None:
            save(self, state)
            if state["step"] == step:
                raise Stopped

        monkeypatch.setattr(Checkpoints, "save", save_then_stop)

    return arm


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("step", [1, 12])  # of 14: in the first and the last epoch
def test_an_interrupted_run_ends_with_the_same_bits(
    make_cell: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: Callable,
    recipe: tuple[str, ...],
    step: int,
) -> None:
    whole = make_cell(*SMALL, *recipe, f"out={tmp_path}/whole", "checkpoint_seconds=null")
    assert whole.steps == 14
    expected = run_cell(whole)
    assert expected.status == "finished"
    cell = make_cell(*SMALL, *recipe, f"out={tmp_path}/stopped", "checkpoint_seconds=0")
    stop_at(step)
    with pytest.raises(Stopped):
        run_cell(cell)
    monkeypatch.undo()
    assert not (cell.folder / "record.json").exists()
    assert len(list(cell.folder.glob(CHECKPOINTS))) == min(step, 2)  # the newest and the one before
    torch.manual_seed(99)  # the next process has other random states
    record = run_cell(cell)
    assert _result(record) == _result(expected)
    assert _curve(cell) == _curve(whole)
    assert not list(cell.folder.glob(CHECKPOINTS))
    if cell.keep == "best":
        weights, same = (torch.load(c.folder / "best.pt", weights_only=True) for c in (whole, cell))
        assert all(torch.equal(weights[key], same[key]) for key in weights)


def test_it_really_goes_on_where_it_stopped(
    make_cell: Callable, tmp_path: Path, stop_at: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_cell(*SMALL, "model=resnet8", f"out={tmp_path}", "checkpoint_seconds=0")
    stop_at(9)
    with pytest.raises(Stopped):
        run_cell(cell)
    monkeypatch.undo()
    steps: list[int] = []
    counting = register_optimizer_step_post_hook(lambda *_: steps.append(1))
    try:
        run_cell(dataclasses.replace(cell, checkpoint_seconds=None))
    finally:
        counting.remove()
    assert len(steps) == cell.steps - 9


def test_a_real_sigterm_during_training_leaves_a_checkpoint(
    make_cell: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an interval that never comes: the checkpoint is the stop's own."""
    from scaling.training.cell import Run

    cell = make_cell(*SMALL, "model=resnet8", f"out={tmp_path}", "checkpoint_seconds=1e6")
    report = Run.report

    def signal_at_four(self: Run, point: CurvePoint) -> None:
        report(self, point)
        if point.step == 4:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Run, "report", signal_at_four)
    monkeypatch.setattr(stop_request, "came", False)
    before = signal.getsignal(signal.SIGTERM)
    stop_request.install()
    try:
        with pytest.raises(Stopped):
            run_cell(cell)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [path.name[:20] for path in cell.folder.glob(CHECKPOINTS)] == ["checkpoint-00000004-"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(
    tmp_path: Path, capfd: pytest.CaptureFixture, damage: str
) -> None:
    store = Checkpoints(tmp_path, "mine", seconds=0)
    for step in (3, 4):
        store.save({"step": step, "weights": torch.full((50,), float(step))})
    newest = max(tmp_path.glob(CHECKPOINTS))
    content = bytearray(newest.read_bytes())
    if damage == "cut":
        newest.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
    elif damage == "empty":
        newest.write_bytes(b"")
    else:
        newest.unlink()
        Checkpoints(tmp_path, "another", seconds=0).save({"step": 4, "weights": torch.zeros(50)})
    state = Checkpoints(tmp_path, "mine", seconds=0).load()
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["weights"], torch.full((50,), 3.0))
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "checkpoint-00000004-" in line
    assert len(list(tmp_path.glob("*.damaged-1"))) == 1


def test_without_any_sound_checkpoint_the_run_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-00000009-0123456789abcdef.pt").write_bytes(b"torn")
    assert Checkpoints(tmp_path, "mine", seconds=0).load() is None
    assert Checkpoints(tmp_path, "mine", seconds=0).load() is None


def test_the_interval_is_in_seconds_and_null_is_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import scaling.training.checkpoint

    now = 1000.0
    monkeypatch.setattr(scaling.training.checkpoint.time, "monotonic", lambda: now)
    store, never = Checkpoints(tmp_path, "h", seconds=60), Checkpoints(tmp_path, "h", seconds=None)
    assert not store.due()
    now = 1060.0
    assert store.due()
    assert not never.due()
    store.save({"step": 1})
    assert not store.due()


def test_a_checkpoint_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    import scaling.training.checkpoint

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scaling.training.checkpoint, "write_whole", full)
    Checkpoints(tmp_path, "h", seconds=0).save({"step": 1})
    assert "No space left on device" in capfd.readouterr().err


def test_checkpoints_and_kept_weights_are_not_part_of_the_identity(make_cell: Callable) -> None:
    plain = make_cell("model=resnet8")
    other = make_cell("model=resnet8", "checkpoint_seconds=7", "keep=best", "fail_fast=true")
    assert plain.config_hash == other.config_hash
