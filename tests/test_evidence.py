"""Answers from several tables in one figure: the list is read, each has a row, and bad lists are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from analysis.evidence import main, read_list
from analysis.figures.style import COLOURS

SIZES = (500, 1000, 2000, 4000, 8000, 16000)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The ViT is behind at 500 and ahead from 4,000 on in data a; in b the CNN is ahead everywhere."""
    rows = [{"data": data, "family": family, "model": family, "train_size": n, "seed": seed,
             "test_error": 0.2 * (n / 4000) ** slope * factor * (1 + 0.01 * (seed - 1)), "test_examples": 10000}
            for data, vit in (("a", (-0.5, 1.0)), ("b", (-0.3, 2.0)))
            for family, (slope, factor) in (("vit", vit), ("cnn", (-0.3, 1.0)))
            for n in SIZES for seed in range(3)]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_a_strip_and_a_row_per_question(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "list.yaml"
    listed.write_text(f"Mine:\n  crossing: results={table} filters.data=a\n  ahead: results={table} filters.data=b\n")
    assert main([f"list={listed}", f"out={tmp_path / 'e.png'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| Mine | measured | verdict | P(ViT better) first | last |"
    crossing, ahead = lines[2].split("|"), lines[3].split("|")
    assert crossing[1:3] == [" crossing ", " 500 to 16,000 "]
    assert crossing[3].startswith(" crossing observed near ")
    assert float(crossing[3].split("near ")[1].split(" (")[0].replace(",", "")) == pytest.approx(4000, rel=0.1)
    assert [float(x) for x in (crossing[4], crossing[5])] == [0, 1]
    assert ahead[3:6] == [" CNN ahead ", " 0.00 ", " 0.00 "]
    pixels = imread(tmp_path / "e.png")[..., :3]
    for family in ("vit", "cnn"):
        colour = [int(COLOURS[family][0][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (np.abs(pixels - colour).max(axis=-1) < 0.02).sum() > 500


@pytest.mark.parametrize(
    ("text", "message"),
    [("- a\n", "not groups of"), ("G:\n  a: results\n", "is not made of key=value"), ("G: {", "cannot be read"),
     ("G:\n  both: results={table}\n", "both: 2 questions; filters.X=VALUE keeps one")],
)  # fmt: skip
def test_bad_lists(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    (tmp_path / "l.yaml").write_text(text.replace("{table}", str(table)))
    assert main([f"list={tmp_path / 'l.yaml'}", f"out={tmp_path / 'e.png'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "e.png").exists()


def test_groups_and_words_are_kept_in_order(tmp_path: Path) -> None:
    (tmp_path / "l.yaml").write_text("B:\n  x: results='a b.csv' metric=top1\nA:\n  y: results=c.csv\n")
    assert read_list(tmp_path / "l.yaml") == [
        ("B", "x", {"results": "a b.csv", "metric": "top1"}),
        ("A", "y", {"results": "c.csv"}),
    ]
