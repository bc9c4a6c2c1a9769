"""`init_from=` of a sweep's folder: which run is meant, and what becomes of cells whose source has no weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.compose.start_weights import InitError, SourceError, source_run
from scaling.config import ConfigError
from scaling.records.cell_fields import unfinished_record
from scaling.records.record import read_record, write_record
from scaling.study.command import cells_of
from scaling.sweep.run_cells import run_cells
from scaling.training.cell import run_cell

WORDS = ("model=resnet8", "data.image_size=8", "data.permute_patch=4", "data.test_size=50", "budget.steps=4",
         "device=cpu", "wandb=disabled", "workers=1")  # fmt: skip


@pytest.fixture
def sources(make_cell: Callable, tmp_path: Path) -> Path:
    """A sweep's folder: runs on 20 and 40 images with their weights, and one on 80 that diverged."""
    for size in (20, 40):
        cell = make_cell(*WORDS, f"out={tmp_path}/runs", "sweep=source", "keep=last", f"data.train_size={size}")
        assert run_cell(cell).status == "finished"
    cell = make_cell(*WORDS, f"out={tmp_path}/runs", "sweep=source", "data.train_size=80")
    write_record(unfinished_record(cell, "diverged", "loss is nan", device="cpu", torch_version="2"), cell.folder)
    return tmp_path / "runs" / "source"


def test_the_run_of_the_models_name_and_size_is_taken(make_cell: Callable, sources: Path) -> None:
    words = (*WORDS, f"init_from={sources}", "adapt=probe", "data.train_size=20")
    for size in (20, 40):
        cell = make_cell(*words, f"pretrain_size={size}")
        assert cell.init_from is not None
        assert read_record(Path(cell.init_from) / "record.json").train_size == size
        assert make_cell(*WORDS, f"init_from={cell.init_from}", *words[-2:]).config_hash == cell.config_hash
    one = source_run(str(sources), model="resnet8", train_size=20, seed=7)  # the source has one seed: it serves all
    assert "-n20-" in one
    with pytest.raises(InitError, match=r"3 runs of resnet8; pretrain_size= says which size \(20, 40, 80\)"):
        source_run(str(sources), model="resnet8", train_size=None, seed=0)
    with pytest.raises(SourceError, match="no run of resnet8 on 30 images; there are 20, 40, 80"):
        source_run(str(sources), model="resnet8", train_size=30, seed=0)
    with pytest.raises(ConfigError, match="neither a finished run's folder nor a checkpoint"):
        make_cell(*words, f"init_from={sources}/nothing", "pretrain_size=20")
    with pytest.raises(ConfigError, match="pretrain_size= says which run of init_from=FOLDER"):
        make_cell(*WORDS, "pretrain_size=20")


def test_a_cell_whose_source_failed_says_so_and_the_others_run(
    make_cell: Callable, sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        *WORDS,
        f"out={tmp_path}/runs",
        "sweep=target",
        f"init_from={sources}",
        "adapt=probe",
        "data.train_size=20",
    )
    cells = [make_cell(*words, f"pretrain_size={size}") for size in (20, 80)]
    outcome = run_cells(cells)
    assert outcome.finished == 1
    (text,) = outcome.failures.values()
    assert "the run to start from is diverged, not finished" in text
    assert "the run to start from is diverged" in capsys.readouterr().err
    assert len(list((tmp_path / "runs" / "target").glob("*/record.json"))) == 1
    assert run_cells(cells).skipped == 1


def test_an_untrained_start_is_the_model_as_its_seed_makes_it(make_cell: Callable, sources: Path) -> None:
    words = (*WORDS, f"out={sources.parent}", f"init_from={sources}", "pretrain_size=0", "adapt=probe")
    first, second = (make_cell(*words, "data.train_size=20", f"seed={seed}") for seed in (0, 1))
    assert first.start_fingerprint != second.start_fingerprint
    record = run_cell(dataclasses.replace(first, sweep="target"))
    assert (record.status, record.pretrain_size, record.adapt) == ("finished", 0, "probe"), record.error_text


def test_two_starts_under_one_models_name_are_refused_where_a_sweep_begins(sources: Path, tmp_path: Path) -> None:
    """Sizes and seeds of one source sweep are one start's; another file of the same model is another start."""
    words = ["-m", *WORDS, f"out={sources.parent}", "sweep=target", "adapt=probe", "data.train_size=20,30"]
    assert len(cells_of([*words, f"init_from={sources}", "pretrain_size=20,40"])) == 4
    [small, large] = [source_run(str(sources), model="resnet8", train_size=size, seed=0) for size in (20, 40)]
    elsewhere = [tmp_path / "other.pt", tmp_path / "small.pt"]
    for path, run in zip(elsewhere, (large, small), strict=True):
        path.write_bytes((Path(run) / "weights.pt").read_bytes())
    with pytest.raises(ConfigError, match=r"resnet8 stands for two starting points \(.*other.*\)"):
        cells_of([*words, f"init_from={small},{elsewhere[0]}"])
    with pytest.raises(ConfigError, match="resnet8 stands for two starting points"):
        cells_of([*words, f"init_from={elsewhere[1]},{elsewhere[0]}"])
