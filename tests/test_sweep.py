"""What a sweep promises: finished cells are skipped, one cell's end is not the sweep's, the record is bit-equal."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.config import ConfigError
from scaling.records.cell_fields import unfinished_record
from scaling.records.cell_folder import is_due, recorded_status
from scaling.records.record import FILE_NAME, read_record
from scaling.sweep.run_cells import run_cells

SMALL = ("data.image_size=8", "data.permute_patch=4", "data.train_size=20", "data.test_size=50", "budget.steps=14",
         "device=cpu", "wandb=disabled", "workers=1")  # fmt: skip


@pytest.mark.parametrize(
    ("status", "retry", "due"),
    [
        (None, None, True), ("finished", None, False), ("finished", "all", False), ("failed", None, False),
        ("failed", "failed", True), ("failed", "diverged", False),
        ("diverged", "diverged", True), ("diverged", "all", True),
    ],
)  # fmt: skip
def test_which_cells_are_due(status: str | None, retry: str | None, due: bool) -> None:
    assert is_due(status, retry) == due


def test_a_finished_cell_is_skipped_and_the_record_is_bit_equal_by_any_road(
    make_cell: Callable, tmp_path: Path
) -> None:
    """Run alone, in a sweep of two, and again: the metrics agree to the last bit and nothing is trained twice."""
    cells = [make_cell(*SMALL, f"model={m}", f"out={tmp_path}/a") for m in ("resnet8", "vit_w48d3")]
    outcome = run_cells(cells)
    assert (outcome.finished, outcome.skipped, outcome.failures) == (2, 0, {})
    stamps = [(cell.folder / FILE_NAME).stat().st_mtime_ns for cell in cells]
    again = run_cells([*cells, cells[0]])
    assert (again.finished, again.skipped) == (2, 2)
    assert [(cell.folder / FILE_NAME).stat().st_mtime_ns for cell in cells] == stamps

    alone = make_cell(*SMALL, "model=vit_w48d3", f"out={tmp_path}/b")
    run_cells([alone])
    times = ("train_seconds", "images_per_second")
    records = [read_record(cell.folder / FILE_NAME).to_dict() for cell in (cells[1], alone)]
    assert {k: v for k, v in records[0].items() if k not in times} == {
        k: v for k, v in records[1].items() if k not in times
    }
    assert records[0]["status"] == "finished"
    assert records[0]["val_examples"] == 40  # four per class
    assert records[0]["test_examples"] == 50
    assert records[0]["seen_examples"] == records[0]["steps"] * cells[1].optim.batch_size


def test_a_diverged_cell_is_kept_and_run_again_only_when_asked(make_cell: Callable, tmp_path: Path) -> None:
    words = (*SMALL, "model=vit_w48d3", "optim.lr=1e30", "optim.grad_clip=0", f"out={tmp_path}")
    cell = make_cell(*words)
    first = run_cells([cell])
    assert list(first.failures) == [cell.cell_name]
    record = read_record(cell.folder / FILE_NAME)
    assert record.status == "diverged"
    assert record.test_error is None
    assert "loss" in str(record.error_text)
    stamp = (cell.folder / FILE_NAME).stat().st_mtime_ns
    kept = run_cells([cell])
    assert "retry=diverged" in kept.failures[cell.cell_name]
    assert (cell.folder / FILE_NAME).stat().st_mtime_ns == stamp
    run_cells([make_cell(*words, "retry=diverged")])
    assert (cell.folder / FILE_NAME).stat().st_mtime_ns != stamp


def test_a_cell_that_kills_its_process_costs_that_cell_alone(
    make_cell: Callable, image_folder: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first cell's tracker ends the worker by os._exit, the second's by a real segmentation fault; the third cell,
    which has none, still finishes."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import ctypes, os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'tensorboard':\n"
        f"            first = not os.path.exists({str(site / 'died')!r})\n"
        f"            open({str(site / 'died')!r}, 'w').close()\n"
        "            os._exit(42) if first else ctypes.string_at(0)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    root = image_folder({"train": {"a": 30, "b": 30}, "test": {"a": 9, "b": 9}})
    doomed = [make_cell("data=folder", f"data.root={root}", "model=resnet8", *SMALL[:1], f"data.train_size={n}",
                        "budget.steps=200", f"out={tmp_path}", "device=cpu", "wandb=disabled", "workers=1",
                        "trackers=[tensorboard]",
                        f"data.cache={site}/sitecustomize.py/none") for n in (40, 30)]  # fmt: skip
    fine = make_cell(*SMALL, "model=resnet8", f"out={tmp_path}")
    outcome = run_cells([*doomed, fine])
    texts = [
        "its process ended without a word (exit code 42)",
        "its process was killed by SIGSEGV, a segmentation fault",
    ]
    assert outcome.failures == {c.cell_name: f"failed: {text}" for c, text in zip(doomed, texts, strict=True)}
    assert recorded_status(fine) == "finished"
    assert [read_record(cell.folder / FILE_NAME).error_text for cell in doomed] == texts


def test_a_failed_cell_is_recorded_with_its_text(
    make_cell: Callable, image_folder: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that is damaged after the start, as far as the start knows."""
    monkeypatch.setattr("scaling.sweep.run_cells.prepare", lambda configs: [])
    root = image_folder({"train": {"a": 20, "b": 20}, "test": {"a": 5, "b": 5}})
    (root / "train" / "a" / "000.png").write_bytes(b"torn")
    cell = make_cell("data=folder", f"data.root={root}", "model=resnet8", *SMALL[:1], "data.train_size=20",
                     f"out={tmp_path}", "device=cpu", "wandb=disabled")  # fmt: skip
    outcome = run_cells([cell])
    assert "000.png" in outcome.failures[cell.cell_name]
    record = read_record(cell.folder / FILE_NAME)
    assert record.status == "failed"
    assert "000.png" in str(record.error_text)


def test_cifar10_that_cannot_be_had_stops_the_sweep_before_it_starts(
    make_cell: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    def no_network(self: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(CIFAR10, "download", no_network)
    cell = make_cell("data=cifar10", f"data.root={tmp_path}/data", "model=resnet8", f"out={tmp_path}/runs")
    with pytest.raises(ConfigError, match=r"put cifar-10-python\.tar\.gz"):
        run_cells([cell])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"config_hash": "0123456789abcdef"}, "another configuration"), ({"schema": 99}, "upgrade the package")],
)
def test_a_sound_record_that_is_not_this_cells_is_refused_and_left(
    make_cell: Callable, tmp_path: Path, change: dict, message: str
) -> None:
    cell = make_cell(*SMALL, "model=resnet8", f"out={tmp_path}")
    record = unfinished_record(cell, "failed", "text", device="cpu", torch_version="0").to_dict() | change
    cell.folder.mkdir(parents=True)
    (cell.folder / FILE_NAME).write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=message):
        run_cells([cell])
    assert json.loads((cell.folder / FILE_NAME).read_text()) == record


@pytest.mark.parametrize("content", [b"", b"{}", b'{"name": "x", "swe', b"\x00\xff\x80"])
def test_a_damaged_record_is_set_aside_named_and_the_cell_run_again(
    make_cell: Callable, tmp_path: Path, capfd: pytest.CaptureFixture, content: bytes
) -> None:
    cell = make_cell(*SMALL, "model=resnet8", f"out={tmp_path}")
    cell.folder.mkdir(parents=True)
    (cell.folder / FILE_NAME).write_bytes(content)
    assert recorded_status(cell) is None
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert str(cell.folder / FILE_NAME) in line
    assert "record.json.damaged-1" in line
    assert (cell.folder / "record.json.damaged-1").read_bytes() == content
    assert not (cell.folder / FILE_NAME).exists()


def test_command_line_from_sweep_to_status(command: Callable, tmp_path: Path) -> None:
    """-m with comma lists, twice: the second start trains nothing. W&B is offline and leaves one run a cell."""
    words = ["-m", "model=resnet8,vit_w48d3", *(word for word in SMALL if not word.startswith("wandb")), "sweep=mine"]
    first = command("scaling.train", *words)
    assert first.returncode == 0, first.stderr
    assert "2 cells finished (0 before), 0 failed: runs/mine" in first.stdout
    assert "wandb sync" in first.stdout
    records = sorted((tmp_path / "runs" / "mine").glob("*/record.json"))
    hashes = {json.loads(path.read_text())["config_hash"] for path in records}
    offline = {path.name.rsplit("-", 1)[-1] for path in (tmp_path / "runs" / "mine" / "wandb").glob("offline-run-*")}
    assert offline == hashes
    assert len(hashes) == 2
    second = command("scaling.train", *words)
    assert "2 cells finished (2 before)" in second.stdout
    # A row's overrides run it again, as the same cell.
    written = json.loads(records[0].read_text())["overrides"]
    rerun = command("scaling.train", *written)
    assert "1 cells finished (1 before)" in rerun.stdout, rerun.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["modle=resnet8"], "modle"),
        (["model=resnet9"], "resnet8"),
        (["sweeps=quikstart"], "quickstart"),
        (["data.train_size=3"], "below the number of classes"),
        (["data=folder", "data.root=empty"], "empty"),
        (["wandb.mode=online"], "WANDB_API_KEY"),
        (["-m", "sweeps=quickstart,strokes"], "one command per sweep"),
        (["seed=[1"], "error"),
        (["-m", "data.train_size=64,128", "budget.steps=none"], "budget.steps"),
    ],
)
def test_bad_input_is_one_line_status_2_and_nothing_started(
    command: Callable, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = command("scaling.train", *words)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not (tmp_path / "runs").exists()


def test_help_lists_models_data_and_sweeps(command: Callable) -> None:
    done = command("scaling.train", "--help")
    assert done.returncode == 0
    for word in ("resnet20", "vit_w64d4", "strokes", "folder", "cifar10", "quickstart"):
        assert word in done.stdout


def test_version_answers(command: Callable) -> None:
    from scaling import __version__

    assert command("scaling.train", "--version").stdout.strip() == __version__
