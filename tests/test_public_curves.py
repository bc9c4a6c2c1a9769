"""The public curves: the truth is found where the benchmark's own list has it, and the folder comes out whole."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.benchmark.smoothing import smooth
from analysis.public_curves import command as public_curves
from analysis.public_curves.command import CNNS, VITS, read, truth_of
from analysis.public_curves.outcome import outcome


def test_crossings_are_those_of_the_list_beside_the_data(shared_data: Path) -> None:
    table = read(shared_data / "curves")
    with (shared_data / "curves" / "vision-crossings.csv").open() as file:
        listed = [r for r in csv.DictReader(file) if r["model_a"] in VITS and r["model_b"] in CNNS]
    assert len(listed) >= 7
    for line in listed:
        truth = truth_of(table, line["task"], line["model_a"], line["model_b"])
        [(size, direction)] = truth.crossings
        assert size == pytest.approx(float(line["crossing"]), rel=0.02)
        assert direction == "vit_overtakes"
        assert truth.leader == "vit"


def test_the_outcome_of_exact_curves() -> None:
    x = np.geomspace(1e3, 1e6, 200)
    vit, cnn = 5 * x**-0.4, 5 * 20_000**-0.2 * x**-0.2  # equal at 20,000
    found = outcome((x, vit), (x, cnn))
    [(size, direction)] = found.crossings
    assert size == pytest.approx(20_000, rel=0.03)
    assert (direction, found.leader) == ("vit_overtakes", "vit")
    assert found.gap == pytest.approx(np.log(vit[-1] / cnn[-1]), abs=1e-6)
    back = outcome((x, cnn), (x, vit))
    assert [d for _, d in back.crossings] == ["cnn_overtakes"]
    tie = outcome((x, vit), (x, vit * 1.003))
    assert (tie.crossings, tie.leader) == ((), None)


def test_a_straight_line_is_smoothed_to_itself() -> None:
    x = np.geomspace(1e3, 1e6, 50)
    assert smooth(x, 3 * x**-0.3, [2_000.0, 5e5]) == pytest.approx(np.log(3) - 0.3 * np.log([2_000.0, 5e5]), abs=1e-9)


def test_the_folder(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_curves, "TASKS", {"c_10": "10-shot CIFAR-100"})
    table = read(shared_data / "curves")
    cases = public_curves.judge_all(table)
    monkeypatch.setattr(public_curves, "judge_all", lambda table: cases)
    names = ("table.csv", "README.md", "c_10.png")
    made = []
    for out in (tmp_path / "a b", tmp_path / "again"):
        file = shared_data / "curves" / "vision-benchmark.csv"
        assert public_curves.main([f"results={file}", f"out={out}"]) == 0
        made.append([(out / name).read_bytes() for name in names])
    assert made[0] == made[1]
    rows = pd.read_csv(tmp_path / "again" / "table.csv")
    assert len(rows) == 4
    assert set(rows["leader_at_end"]) == {"vit", "cnn"}
    assert made[0][1].decode().count("| 10-shot CIFAR-100 |") == 4
    assert made[0][2].startswith(b"\x89PNG")
    assert len(made[0][2]) < 100_000


def test_another_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    assert public_curves.main([f"results={file}"]) == 2
    assert "columns missing: Task, Model" in capsys.readouterr().err
