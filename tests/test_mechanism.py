"""Pictures of what a ViT learned: drawn without torch, from files made by hand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from synthetic import make_sweep, write_sweep

from analysis.mechanism import (
    _by_place,
    _tile,
    draw_attention_distance,
    draw_position_similarity,
    draw_run,
    main,
    read_run,
)
from analysis.mechanism_sweep import draw_sweeps
from analysis.plot import main as plot_main


def _numbers(**changes: Any) -> dict[str, Any]:
    score = dict(
        same=0.4, elsewhere=0.1, difference=0.3, null_mean=0.0, null_high=0.1, p_value=0.001, permutations=1000
    )
    numbers: dict[str, Any] = dict(
        name="a", family="vit", model="vit_w8d2", depth=2, data="strokes", locality=1.0, image_size=12, train_size=64,
        seed=0, test_error=0.2, filters_variance=[0.7, 0.3], positions=score,
        attention_distance=[[1.0, 2.0], [3.0, 5.0]], attention_distance_uniform=5.5, attention_images=128,
        rollout_of="cls token",
    )  # fmt: skip
    return numbers | changes


def _write(folder: Path, **changes: Any) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    (folder / "inspect.json").write_text(json.dumps(_numbers(**changes)))
    places = np.stack(np.divmod(rng.permutation(9), 3), axis=1)
    np.savez(
        folder / "inspect.npz", position_similarity=np.eye(9), filters=rng.normal(size=(16, 1, 4, 4)), places=places,
        rollout=rng.uniform(size=(8, 9)), examples=rng.integers(255, size=(8, 1, 12, 12), dtype=np.uint8),
    )  # fmt: skip
    return folder


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
    assert draw_attention_distance(first, _numbers()) is first
    assert first.get_ylabel() == "mean attention distance (pixels)"
    assert [line.get_ydata()[0] for line in first.lines][-1] == 5.5
    arrays = {"position_similarity": np.eye(4), "places": np.array([[0, 0], [0, 1], [1, 0], [1, 1]])}
    draw_position_similarity(second, arrays, title="x")
    shown = np.asarray(second.images[0].get_array())
    assert shown.shape == (5, 5)
    assert [shown[0, 0], shown[0, 1], shown[0, 3], shown[0, 4]] == [1, 0, 0, 1]  # each is 1 at its own place
    assert second.get_xlabel() == "column of the patch"


def test_a_run_and_a_sweep_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _write(tmp_path / "sweep" / "a")
    _write(tmp_path / "sweep" / "b", train_size=256, positions=None)
    cnn = _write(tmp_path / "sweep" / "c", family="cnn")
    numbers = _numbers(family="cnn")
    (cnn / "inspect.json").write_text(json.dumps({k: v for k, v in numbers.items() if k != "attention_distance"}))
    assert main([f"run={run}", f"out={tmp_path}/out"]) == 0
    assert plot_main([f"run={tmp_path}/sweep", f"out={tmp_path}/out"]) == 0
    files = [Path(line) for line in capsys.readouterr().out.split()]
    assert [file.name for file in files] == ["mechanism.png", "rollout.png", "mechanism-vit_w8d2-loc1-12px.png"]
    assert all(file.stat().st_size > 5000 for file in files)


def test_a_sweeps_page_has_its_scaling_curves_beside_the_numbers(tmp_path: Path) -> None:
    """Records of six sizes and two models: the first axes hold both fitted curves, for the same sizes as the others."""
    records = make_sweep()
    folder = write_sweep(records, tmp_path / "sweep")
    vits = [record for record in records if record.family == "vit"]
    first, sizes = vits[0], sorted({record.train_size for record in vits})
    for i, size in enumerate(sizes):
        same = dict(model=first.model, data=first.data, locality=first.locality, image_size=first.image_size)
        _write(folder / f"inspected-{i}", **same, train_size=size, seed=i)
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
    run = _write(tmp_path / "a", name="some file", train_size=None, test_error=None)
    assert "some file" in str(draw_run(*read_run(run)).get_suptitle())
    assert main([f"run={run}"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run=nowhere"], "no inspected ViT"),
        (["run=."], "no inspected ViT"),
        ([], "run= is missing"),
        (["runs=x"], "runs=x"),
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
    code = "import sys, analysis.mechanism_sweep; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent).returncode == 0
