"""Fine-tuning from the command line: what is taken over, what is refused, and what the record says."""

import dataclasses
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.compose.start_weights import inherit
from scaling.config import ConfigError
from scaling.data.splits import load_splits
from scaling.records.record import FILE_NAME, read_record
from scaling.sweep.run_cells import run_cells
from scaling.training.cell import run_cell
from scaling.training.features import run_digests

WORDS = ("model=vit_mu", "model.pool=mean", "data.image_size=8", "data.permute_patch=4", "data.train_size=20",
         "data.test_size=50", "budget.steps=14")  # fmt: skip
WHERE = ("device=cpu", "wandb=disabled", "workers=1")


def _run(make_cell: Callable, *words: str) -> Path:
    """Runs a cell in this process; returns its folder."""
    cell = dataclasses.replace(make_cell(*words, *WHERE), overrides=("data=strokes", *WORDS, "sweep=small"))
    assert run_cell(cell).status == "finished"
    return cell.folder


@pytest.fixture
def kept(make_cell: Callable, tmp_path: Path) -> Path:
    """The folder of a small run that kept its weights."""
    return _run(make_cell, *WORDS, f"out={tmp_path}/runs", "keep=last", "sweep=small")


def test_a_high_resolution_fine_tune_from_the_command_line(
    command: Callable, make_cell: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without weights; the one line that says how to make them, followed; a fine-tune at twice the resolution."""
    folder = _run(make_cell, *WORDS, f"out={tmp_path}/runs", "sweep=small")
    run = str(folder.relative_to(tmp_path))
    before = read_record(folder / FILE_NAME)
    refused = command("scaling.train", f"init_from={run}", "data.image_size=16", *WHERE)
    assert refused.returncode == 2
    (line,) = refused.stderr.strip().splitlines()
    assert "kept no weights; this makes them: python -m scaling.train " in line
    words = shlex.split(line.split("python -m scaling.train ", 1)[1])
    asked = [word for word in words if not word.startswith("out=")] + [f"out={tmp_path}/runs"]
    cell = dataclasses.replace(make_cell(*asked, *WHERE), overrides=before.overrides)
    assert run_cells([cell]).skipped == 0  # finished before, but without weights
    assert run_cells([cell]).skipped == 1
    assert (folder / "weights.pt").exists()
    assert read_record(folder / FILE_NAME).test_error == before.test_error  # the same run again, to the last bit

    tuned = command("scaling.train", f"init_from={run}", "data.image_size=16", *WHERE)
    assert tuned.returncode == 0, tuned.stderr
    (path,) = (tmp_path / "runs" / "finetune").glob(f"*/{FILE_NAME}")
    record = read_record(path)
    assert record.init_from == run
    assert (record.image_size, record.patch_size, record.train_size, record.steps) == (16, 4, 20, before.steps)
    assert record.num_params - before.num_params == (16 - 4) * 32  # type: ignore[operator]  # 2x2 tokens become 4x4
    assert json.loads(path.read_text())["init_from"] == run
    monkeypatch.chdir(tmp_path)
    assert make_cell(*record.overrides).config_hash == record.config_hash


def test_a_fine_tune_starts_from_the_weights(make_cell: Callable, kept: Path, tmp_path: Path) -> None:
    words = (*WORDS, *WHERE, f"out={tmp_path}/runs", "budget.steps=1", "optim.lr=1e-12", "optim.weight_decay=0")
    tuned = make_cell(*words, f"init_from={kept}", "sweep=tuned")
    assert run_cell(tuned).status == "finished"
    assert read_record(tuned.folder / FILE_NAME).test_error == read_record(kept / FILE_NAME).test_error
    fresh = make_cell(*words, "sweep=tuned")
    assert fresh.config_hash != tuned.config_hash
    by_file = make_cell(*words, f"pretrained={kept}/weights.pt", "sweep=tuned")
    assert by_file.config_hash == tuned.config_hash  # the same weights by another road are the same run
    assert make_cell(*words, "keep=last").config_hash == fresh.config_hash


def test_other_classes_get_a_new_head(make_cell: Callable, kept: Path, tmp_path: Path) -> None:
    cell = make_cell(*WORDS, *WHERE, f"out={tmp_path}/runs", "data.strokes.num_classes=4", f"init_from={kept}")
    assert run_cell(cell).status == "finished"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("init_from={tmp}/nowhere",), "neither a finished run's folder nor a checkpoint"),
        (("init_from={tmp}",), "no readable record.json"),
        (("init_from={run}", "pretrained={run}/weights.pt"), "both"),
        (("init_from={run}", "model.depth=3"), "missing: blocks.1"),
        (("init_from={run}", "model.width=64"), "of another shape"),
        (("init_from={run}", "data.image_size=16", "data.locality=0"), "below locality 1"),
        (("pretrained={tmp}/nowhere.npz",), "timm:NAME"),
        (("pretrained={tmp}/text.pt",), "no weights that can be read"),
        (("pretrained=timm:vit_tny_patch16_224",), "nearest: vit_tiny_patch16_224"),
        (("pretrained=torchvision:vit_b_16",), r"torchvision:vit_b_16: pos_embed does not fit.*another model\.pool"),
        (("keep=first",), "keep=first"),
        (("model.pos_embed_resize=nearest",), "is not one of bicubic, bilinear"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_one_line(
    make_cell: Callable, kept: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "text.pt").write_text("hello")
    words = tuple(word.format(tmp=tmp_path, run=kept) for word in words)
    with pytest.raises(ConfigError, match=message) as refusal:
        make_cell(*WORDS, *words)
    assert "\n" not in str(refusal.value)


def test_a_run_that_did_not_finish_is_refused(make_cell: Callable, tmp_path: Path) -> None:
    words = (*WORDS, *WHERE, f"out={tmp_path}", "optim.lr=1e30", "optim.grad_clip=0", "keep=last")
    cell = make_cell(*words)
    run_cell(cell)
    assert not (cell.folder / "weights.pt").exists()
    with pytest.raises(ConfigError, match="diverged, not finished"):
        make_cell(*WORDS, f"init_from={cell.folder}")


def test_what_a_fine_tune_takes_over(kept: Path) -> None:
    taken = inherit([f"init_from={kept}", "data.image_size=16", "seed=3"])
    assert taken[-3:] == ["data.image_size=16", "seed=3", "sweep=finetune"]
    assert [word for word in taken if "image_size" in word or "sweep=" in word] == taken[-3:-2] + taken[-1:]
    assert {"model=vit_mu", "model.pool=mean", "data.train_size=20"} <= set(taken)
    on_folder = inherit([f"init_from={kept}", "data=folder", "data.root=x"])
    assert [word for word in on_folder if word.startswith("data")] == ["data=folder", "data.root=x"]
    for words in (["model=vit_s", f"init_from={kept}"], ["sweeps=quickstart", f"init_from={kept}"], ["seed=1"]):
        assert inherit(words) == words


def test_published_weights_are_known_by_their_name(make_cell: Callable) -> None:
    words = ("data=cifar10", "model=vit_b", "model.patch_size=16", "data.root=.")
    cell = make_cell(*words, "pretrained=timm:vit_base_patch16_224")
    assert cell.start == cell.start_fingerprint == "timm:vit_base_patch16_224"


def test_weights_are_weights_only(kept: Path) -> None:
    state = torch.load(kept / "weights.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())


def test_several_starts_are_an_axis_and_each_is_what_its_run_was(make_cell: Callable, tmp_path: Path) -> None:
    """The second run's model is another one, and its own is what its fine-tune has."""
    from scaling.study.command import cells_of

    one = _run(make_cell, *WORDS, f"out={tmp_path}/runs", "keep=last", "sweep=small")
    wide = [word for word in WORDS if not word.startswith("model")] + ["model=resnet8"]
    cell = dataclasses.replace(make_cell(*wide, *WHERE, f"out={tmp_path}/runs", "keep=last", "sweep=small"),
                               overrides=("data=strokes", *wide, "sweep=small"))  # fmt: skip
    assert run_cell(cell).status == "finished"
    both = cells_of(["-m", f"init_from={one},{cell.folder}", "data.train_size=20,40"])
    assert [(c.model.name, c.data.train_size) for c in both] == [
        ("vit_mu", 20), ("vit_mu", 40), ("resnet8", 20), ("resnet8", 40)]  # fmt: skip
    assert {c.sweep for c in both} == {"finetune"}


def test_a_start_says_what_it_saw(make_cell: Callable, kept: Path, tmp_path: Path) -> None:
    """Inputs are normalised as the source's were; the record names its data, and counts test pictures that it saw."""
    source = read_record(kept / FILE_NAME)
    words = (*WORDS, *WHERE, f"out={tmp_path}/runs", "sweep=tuned", "budget.steps=1", "keep=last")
    tuned = run_cell(make_cell(*words, f"init_from={kept}", "data.train_size=40", "seed=3"))
    assert tuned.status == "finished", tuned.error_text
    assert (tuned.input_mean, tuned.input_std) == (source.input_mean, source.input_std)
    assert (tuned.pretrain_data, tuned.pretrain_size, tuned.pretrain_image_size) == ("strokes", 20, 8)
    assert tuned.pretrain_leaks == 0
    assert source.pretrain_leaks is None
    pictures = np.load(kept / "pictures.npy")
    (again,) = (tmp_path / "runs" / "tuned").glob("*/pictures.npy")
    assert (len(pictures), len(np.load(again))) == (20, 60)  # the source's are behind the fine-tune, too
    cell = make_cell(*words, f"init_from={kept}", "data.train_size=40", "seed=4")
    test = run_digests(load_splits(cell.data, torch.device("cpu")))["test"]
    np.save(kept / "pictures.npy", np.concatenate([pictures, test[:7]]))
    assert run_cell(cell).pretrain_leaks == 7
