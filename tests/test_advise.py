"""The advise command: a sentence first, or JSON with the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic import make_sweep, write_sweep

from analysis.advise import command as advise


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep([*make_sweep(locality=0), *make_sweep(locality=1)], tmp_path_factory.mktemp("runs"))


def test_one_sentence_per_question(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert advise.main([f"results={folder}", "train_size=4096"]) == 0
    out = capsys.readouterr().out
    first, second, last = out.split("\n\n")
    assert first.startswith("strokes, locality 1")
    assert "use the CNN (resnet8;" in first.splitlines()[0]
    assert "use the ViT (vit_small;" in second.splitlines()[0]
    assert "Evidence:" in first
    assert "Caveats:" in first
    assert last == "2 questions in these results; filters.locality=... keeps one of them\n"


def test_json_holds_the_numbers_of_the_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert advise.main([f"results={folder}", "train_size=2e4", "--json", "filters.locality=0"]) == 0
    [advice] = json.loads(capsys.readouterr().out)["advice"]
    assert (advice["train_size"], advice["use"]) == (20_000, "vit")
    assert advice["p_vit_better"] > 0.9
    assert advice["extrapolation_factor"] == pytest.approx(20_000 / 4096)
    for family in ("vit", "cnn"):
        assert f"{advice['errors'][family]['median']:.3f}" in advice["sentence"]
    low, high = advice["gap"]["interval"]
    assert low <= advice["gap"]["median"] <= high
    assert advice["group"]["verdict"] == "observed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "train_size= is missing"),
        (["train_size=0"], "train_size=0"),
        (["train_size=5", "colour=red"], "colour"),
        (["train_size=5", "train_flops=many"], "train_flops=many is not a number"),
        (["train_size=5", "num_params=-1"], "num_params=-1 must be positive"),
        (["train_size=5", "filters.data=mars"], "filters.data=mars leaves no rows"),
    ],
)
def test_bad_arguments(folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert advise.main([f"results={folder}", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
