"""Pictures of what a ViT learned: drawn without torch, from files made by hand."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import as_table, inspected_numbers, make_sweep, write_inspected, write_sweep

from analysis.estimator.crossover.find_crossover import find_crossover
from analysis.figures.mechanism import (
    _by_place,
    _tile,
    draw_attention_distance,
    draw_position_similarity,
    draw_run,
    read_run,
)
from analysis.figures.mechanism_sweep import draw_sweeps
from analysis.plot import main
from analysis.report.vit_pictures import pictures


def test_tiles_lie_in_rows_of_seven_with_a_gap() -> None:
    filters = np.zeros((9, 3, 4, 4))
    filters[8, 0, 0, 0] = -2
    picture = _tile(filters)
    assert picture.shape == (9, 34, 3)
    assert picture[0, 0, 0] == 0.5  # nothing is middle grey
    assert picture[5, 5, 0] == 0  # the ninth: second row, second column
    assert picture[4].min() == 1


def test_values_go_where_their_pixels_come_from() -> None:
    places = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
    assert _by_place(np.arange(4), places).tolist() == [[3, 1], [2, 0]]


def test_axes_have_labels_and_units() -> None:
    first, second = Figure().subplots(2)
    assert draw_attention_distance(first, inspected_numbers()) is first
    assert first.get_ylabel() == "mean attention distance (pixels)"
    assert [line.get_ydata()[0] for line in first.lines][-1] == 5.5
    arrays = {"position_similarity": np.eye(4), "places": np.array([[0, 0], [0, 1], [1, 0], [1, 1]])}
    draw_position_similarity(second, arrays, title="x")
    shown = np.asarray(second.images[0].get_array())
    assert shown.shape == (5, 5)
    assert [shown[0, 0], shown[0, 1], shown[0, 3], shown[0, 4]] == [1, 0, 0, 1]  # each is 1 at its own place
    assert second.get_xlabel() == "column of the patch"


def test_a_run_and_a_sweep_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_inspected(tmp_path / "sweep" / "a")
    write_inspected(tmp_path / "sweep" / "b", train_size=256, positions=None)
    cnn = write_inspected(tmp_path / "sweep" / "c", family="cnn")
    numbers = inspected_numbers(family="cnn")
    (cnn / "inspect.json").write_text(json.dumps({k: v for k, v in numbers.items() if k != "attention_distance"}))
    assert main([f"run={run}", f"out={tmp_path}/out"]) == 0
    assert main([f"run={tmp_path}/sweep", f"out={tmp_path}/out"]) == 0
    files = [Path(line) for line in capsys.readouterr().out.split()]
    assert [file.name for file in files] == ["mechanism.png", "rollout.png", "mechanism-vit_w8d2-loc1-12px.png"]
    assert all(file.stat().st_size > 5000 for file in files)


def test_a_sweeps_page_has_its_scaling_curves_beside_theinspected_numbers(tmp_path: Path) -> None:
    """Records of six sizes and two models: the first axes hold both fitted curves, for the same sizes as the others."""
    records = make_sweep()
    folder = write_sweep(records, tmp_path / "sweep")
    vits = [record for record in records if record.family == "vit"]
    first, sizes = vits[0], sorted({record.train_size for record in vits})
    for i, size in enumerate(sizes):
        same = dict(model=first.model, data=first.data, locality=first.locality, image_size=first.image_size)
        write_inspected(folder / f"inspected-{i}", **same, train_size=size, seed=i)
    figures = draw_sweeps(folder)
    assert list(figures) == [f"mechanism-{first.model}-loc{first.locality:g}-{first.image_size}px.png"]
    error, distance, positions = next(iter(figures.values())).axes
    labels = error.get_legend_handles_labels()[1]
    assert {label.split(" (")[0] for label in labels} == {record.model for record in records}
    assert [tick.get_text() for tick in error.get_xticklabels()] == [f"{size:,}" for size in sizes]
    assert (error.get_xlabel(), error.get_ylabel()) == ("training images n", "test error")
    assert distance.get_ylabel() == "mean attention distance (pixels)"
    assert distance.lines[0].get_xdata().tolist() == sizes
    assert positions.lines[0].get_ydata().tolist() == [0.3] * len(sizes)


def test_a_checkpoint_of_unknown_training_is_drawn_by_its_name(tmp_path: Path) -> None:
    run = write_inspected(tmp_path / "a", name="some file", train_size=None, test_error=None)
    assert "some file" in str(draw_run(*read_run(run)).get_suptitle())
    assert main([f"run={run}"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run=nowhere"], "no inspected ViT"),
        (["run=."], "no inspected ViT"),
        (["run="], "run= is missing"),
        (["run=x", "runs=x"], "unknown key runs"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_drawing_needs_no_torch() -> None:
    code = "import sys, analysis.figures.mechanism_sweep; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent).returncode == 0


def test_the_report_shows_what_was_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in (128, 256):
        write_inspected(tmp_path / f"v{n}", image_size=16, train_size=n, model="vit_small")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "inspect.json").write_text("{")
    questions = [find_crossover(as_table(make_sweep(locality=locality))) for locality in (1, 0)]
    shown, other = pictures([tmp_path], questions)
    assert [picture["caption"] for picture in shown] == [
        "vit_small: attention distance and position embeddings against training images",
        "vit_small after 256 images: filters, positions, attention distances",
    ]
    assert all(base64.b64decode(picture["png"]).startswith(b"\x89PNG") for picture in shown)
    assert other == []  # of another locality nothing was inspected
    assert "torn" in capsys.readouterr().err
