"""One run in two processes (gloo, CPU) is the run of one process with the same global batch."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scaling.records.record import read_record
from scaling.training.cell import run_cell

ROOT = Path(__file__).resolve().parent.parent
WORDS = ("data.image_size=8", "data.permute_patch=4", "data.train_size=60", "data.test_size=130", "budget.steps=12",
         "budget.exponent=0", "optim.batch_size=16", "device=cpu", "wandb=disabled", "keep=last")  # fmt: skip
MODELS = {"resnet8_w8": (), "vit_w48d3": ("data.augment=flip_crop",)}


def _line(*words: str, processes: int = 2) -> tuple[list[str], dict[str, str]]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m",
            "scaling.train", *words]  # fmt: skip
    return line, environment


def _torchrun(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line, environment = _line(*words)
    return subprocess.run(line, cwd=place, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("model", MODELS)
def test_two_processes_are_one_with_the_same_global_batch(make_cell: Callable, tmp_path: Path, model: str) -> None:
    words = (*WORDS, f"model={model}", *MODELS[model])
    alone = make_cell(*words, f"out={tmp_path}/alone")
    one = run_cell(alone)
    done = _torchrun(tmp_path, *words, "out=together")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("1 cells finished (0 before)") == 1  # said once, by the first process
    assert "Warning" not in done.stderr
    (folder,) = (tmp_path / "together" / "single").iterdir()
    two = read_record(folder / "record.json")
    assert (two.status, two.device, two.config_hash) == ("finished", "cpu x2", one.config_hash)
    assert (two.steps, two.seen_examples, two.train_flops) == (one.steps, one.seen_examples, one.train_flops)
    assert two.test_loss == pytest.approx(one.test_loss, rel=1e-3)
    assert abs(two.test_error - one.test_error) <= 2 / 130
    first, second = (torch.load(at / "weights.pt") for at in (alone.folder, folder))
    for key, value in first.items():  # running statistics of batch norm among them: they saw the whole batch
        assert torch.allclose(value.float(), second[key].float(), rtol=2e-3, atol=2e-3), key
    again = _torchrun(tmp_path, *words, "out=together")
    assert "1 cells finished (1 before)" in again.stdout
    assert json.loads((folder / "record.json").read_text())["train_seconds"] == two.train_seconds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("optim.batch_size=15",), "not a multiple of 2"),
        (("hydra.mode=MULTIRUN", "seed=0,1"), "torchrun trains one cell, not 2"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_one_line(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    done = _torchrun(tmp_path, *WORDS, "model=resnet8_w8", "out=runs", *words)
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        line for line in done.stderr.splitlines() if message in line
    ]
    assert message in done.stderr
    assert not list(tmp_path.rglob("record.json"))


@pytest.mark.slow
def test_a_killed_run_of_two_processes_with_dropout_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Each process drops something else; the first one's checkpoint is all that there is to go on from."""
    words = (*WORDS, "model=vit_w48d3", "model.dropout=0.2", "model.drop_path=0.2", "budget.steps=400",
             "checkpoint_seconds=0.2")  # fmt: skip
    assert _torchrun(tmp_path, *words, "out=whole").returncode == 0
    (whole,) = (tmp_path / "whole" / "single").iterdir()
    folder = tmp_path / "killed" / "single" / whole.name
    line, environment = _line(*words, "out=killed")
    killed = subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob("checkpoint-*.pt")) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait(10)
    assert list(folder.glob("checkpoint-*.pt"))
    assert not (folder / "record.json").exists()
    done = _torchrun(tmp_path, *words, "out=killed")
    assert done.returncode == 0, done.stderr
    one, two = (torch.load(at / "weights.pt") for at in (whole, folder))
    assert all(torch.equal(one[key], two[key]) for key in one)
    first, second = (read_record(at / "record.json") for at in (whole, folder))
    assert (first.test_loss, first.val_error) == (second.test_loss, second.val_error)


def test_another_launcher_under_torchrun_is_refused_in_one_line(command: Callable) -> None:
    variables = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    done = command("scaling.train", "-m", *WORDS, "seed=0,1", "hydra/launcher=basic", variables=variables)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "leave hydra/launcher=basic out" in done.stderr
