"""Pictures of what a ViT learned: drawn without torch, from files made by hand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.mechanism import _by_place, _tile, draw_attention_distance, draw_position_similarity, main
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
    code = "import sys, analysis.mechanism; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent).returncode == 0
