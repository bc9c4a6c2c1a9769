"""`make bench` and `make bench-gpu`: every program runs at its smallest; a sweep's estimate is worked out by hand."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from machine import _make_images

    monkeypatch.setenv("SCALING_CACHE", str(tmp_path / "cache"))
    _make_images(tmp_path / "made, images", classes=2, count=20)
    return tmp_path / "made, images"


@pytest.mark.parametrize("way", ["usual", "timm", "ours"])
@pytest.mark.parametrize("model", ["resnet8", "none"])
def test_a_way_measures_once_for_every_line_that_it_is_sent(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str, model: str
) -> None:
    import variant

    if hasattr(os, "sched_setaffinity"):
        monkeypatch.setattr(os, "sched_setaffinity", lambda *arguments: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n"))
    words = f"way={way} model={model} seconds=0 workers=0 batch=8 images=16 cores={torch.get_num_threads()}".split()
    assert variant.main([*words, f"root={images}"]) == 0
    ready, *found = capsys.readouterr().out.split("\n")
    assert ready == ""
    first, second = (json.loads(line) for line in found if line)
    for measured in (first, second):
        assert measured["images"] == 24  # three steps
        assert measured["wall"] > 0
        assert measured["memory"] > 50e6
    if way == "ours" and model == "resnet8":
        first_layer, rest = (
            442_368,
            4_718_592 + 2 * 3_538_944 + 2 * 64,
        )  # multiply-adds by hand; the images have no gradient
        assert first["flops_per_image"] == 2 * (2 * first_layer + 3 * rest)


def test_the_rate_of_a_run_lies_between_the_measured_ones() -> None:
    from grid import rate_of_each

    rates = {1: 100.0, 4: 250.0, 8: 300.0}
    assert [rate_of_each(rates, count) for count in (1, 4, 8)] == [100, 62.5, 37.5]
    assert rate_of_each(rates, 2) == pytest.approx(150 / 2)
    assert rate_of_each(rates, 16) == pytest.approx(300 / 16)


@pytest.mark.parametrize(
    ("rates", "workers", "seconds"),
    [
        ({1: 100.0}, 1, 30),
        ({1: 100.0, 2: 200.0}, 2, 20),  # two of them, then the third alone
        ({1: 100.0, 2: 100.0}, 2, 30),  # nothing gained
        ({1: 100.0, 3: 150.0}, 3, 20),
    ],
)
def test_three_equal_runs_side_by_side(rates: dict[int, float], workers: int, seconds: float) -> None:
    from grid import seconds_of

    assert seconds_of([("a", 1000.0)] * 3, {"a": rates}, workers=workers) == pytest.approx(seconds)


def test_a_long_run_goes_first_and_is_what_is_waited_for() -> None:
    """Alone it takes 40 s. Beside it the short ones go through in 3 x 10 s; last would make it 55 s."""
    from grid import seconds_of

    rates = {"a": {1: 100.0, 2: 200.0}, "b": {1: 50.0, 2: 100.0}}
    jobs = [("a", 1000.0), ("b", 2000.0), ("a", 1000.0), ("a", 1000.0)]
    assert seconds_of(jobs, rates, workers=2) == pytest.approx(40)


def test_an_estimate_counts_steps_evaluation_and_start(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from grid import estimate

    from scaling.study import command

    words = ("optim.batch_size=100", "budget.steps=200", "budget.exponent=0", "data.train_size=800")
    cells = [make_cell("model=resnet8", *words, f"seed={seed}") for seed in (0, 1)] + [make_cell("model=vit_w64d4")]
    monkeypatch.setattr(command, "cells_of", lambda words: cells if words == ["sweeps=mine"] else [])
    seen, evaluated = 2 * 200 * 100, 2 * (800 + 200 + 10_000)
    said = estimate("mine", {"resnet8": {1: (seen + evaluated / 3) / 50}}, overhead=10.0)
    assert said == "sweeps=mine: 2 of the 3 cells, 1 at a time, would take about 60 s at these rates"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_one_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    import models
    import packing
    import train

    for program in (train, packing, models):
        with pytest.raises(SystemExit) as stopped:
            program.main(["device=cuda"])
        assert stopped.value.code == 2
        assert capsys.readouterr().err == "error: no CUDA device here; `make bench` measures the CPU\n"


PROGRAMS = {
    "train": ("only=loader,resnet8 repeats=2 seconds=0 batch=8 images=16 root=ROOT", r"resnet8 +ours +fp32 "),
    "packing": ("models=resnet8 at_once=2 steps=2 batch=8 images=16 root=ROOT", "cifar10: 24 of the 144 cells, 2 at"),
    "models": ("rounds=1 only=ResNet-20", "ResNet-20 at 32, batch 64, fp32 "),
    "tracking": ("cells=2 points=2", "W&B offline "),
    "sweep": ("cells=2 workers=1", "2 cells, 1 workers, 2 W&B runs offline"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_at_its_smallest(images: Path, name: str) -> None:
    words, expected = PROGRAMS[name]
    line = [sys.executable, str(BENCHMARKS / f"{name}.py")]
    line += [word.replace("ROOT", str(images)) for word in words.split()]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert " ".join(expected.replace(" +", " ").split()) in " ".join(done.stdout.split())


@pytest.mark.slow
def test_a_way_that_fails_says_why(images: Path) -> None:
    line = [sys.executable, str(BENCHMARKS / "train.py"), "only=resnet8", "images=900", f"root={images}"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: way=ours model=resnet8")
    assert "data.train_size=900 is more than the 32 images to train on" in done.stderr


def test_the_probes_of_a_chain_are_timed_beside_scikit_learns(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    import probe

    assert probe.main(["d=12", "largest=400", "sizes=3", "strengths=2", "repeats=1"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("12 ")]
    assert all(float(word) > 0 for word in line.split()[1:])


def test_features_are_timed_against_the_bare_forward_and_a_second_use(capsys: pytest.CaptureFixture[str]) -> None:
    import features

    assert features.main(["models=test_efficientnet", "images=40", "image_size=32", "repeats=1"]) == 0
    name, rate, share, times, *words = capsys.readouterr().out.splitlines()[-1].split()
    assert (name, words) == ("test_efficientnet", ["times", "as", "fast"])
    assert float(rate) > 0
    assert 0 < float(share.rstrip("%")) < 200
    assert float(times.replace(",", "")) > 2  # a second use computes nothing
