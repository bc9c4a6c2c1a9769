"""The pilot, with a stand-in for the training: it advises, goes on, stops when told to, and refuses in one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from analysis.pilot import command as pilot
from analysis.pilot.sweep import Clock, Sweeps
from scaling.data.pixels.open_images import forget
from scaling.records.words import hydra_value

HERE = Path(__file__).parent
Folder = Callable[..., Path]


@pytest.fixture(autouse=True)
def fake_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    defaults = (*Sweeps.__init__.__defaults__[:-1], (sys.executable, str(HERE / "fake_train.py")))  # type: ignore[index]
    monkeypatch.setattr(Sweeps.__init__, "__defaults__", defaults)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parent), str(HERE)]))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def images(image_folder: Folder) -> Path:
    return image_folder({"train": {"a b": 200, "ü": 200}, "test": {"a b": 40, "ü": 40}}, "my images")


def _records(out: Path) -> list[Path]:
    return sorted(out.glob("pilot_my_images-*_10m/*/record.json"))


def test_advice_for_today_three_and_ten_times(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs"
    arguments = [f"data.root={images}", "time_limit=10m", f"out={out}"]
    assert pilot.main(arguments) == 0
    told = capsys.readouterr()
    first, second, third, *_ = told.out.splitlines()
    # 400 training images, a fifth of them kept for validation.
    assert first.startswith("With today's 320 images keep the CNN: errors CNN 0.3")
    assert second.startswith("With 3\N{MULTIPLICATION SIGN} as many (960) ")
    assert third.startswith("With 10\N{MULTIPLICATION SIGN} as many (3,200)")
    assert "learning rates chosen on validation" in told.out
    assert "at 320 images: resnet8 0.03, vit_w64d4 0.004" in told.out
    records = _records(out)
    stamps = [path.stat().st_mtime_ns for path in records]
    content = json.loads(next(out.glob("pilot_my_images-*_10m/advice.json")).read_text(encoding="utf-8"))
    assert [a["train_size"] for a in content["advice"]] == [320, 960, 3_200]
    assert content["advice"][0]["use"] == "cnn"
    assert pilot.main([*arguments, "--json"]) == 0
    again = capsys.readouterr()
    assert "going on with the plan of the first call" in again.err
    assert [a["use"] for a in json.loads(again.out)["advice"]] == [a["use"] for a in content["advice"]]
    assert [path.stat().st_mtime_ns for path in records] == stamps  # nothing ran twice


@pytest.mark.parametrize("how", ["signal", "time"])
def test_stopped_early_it_advises_on_what_is_done_and_then_goes_on(
    how: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    arguments = [f"data.root={images}", "time_limit=10m", f"out={out}"]
    assert pilot.main(arguments) == 0
    whole = _records(out)
    lost = [path for path in whole if json.loads(path.read_text())["seed"] > 1]
    for path in lost:
        shutil.rmtree(path.parent)
    clocks: list[Clock] = []

    def make_clock(deadline: float) -> Clock:
        clocks.append(Clock(deadline))
        return clocks[-1]

    def stop_it(line: str) -> None:
        if not line.startswith("seed"):
            return
        if how == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            clocks[-1].deadline = 0.0

    with monkeypatch.context() as patch:
        patch.setenv("FAKE_SLEEP", "60")
        patch.setattr(pilot, "Clock", make_clock)
        patch.setattr(pilot, "_say", stop_it)
        capsys.readouterr()
        assert pilot.main(arguments) == (130 if how == "signal" else 0)
    told = capsys.readouterr().out
    assert told.startswith("With today's 320 images keep the CNN")  # two seeds are whole
    assert "stopped early: 2 complete seeds; the same command goes on" in told
    assert len(_records(out)) == len(whole) - len(lost)
    assert pilot.main(arguments) == 0
    assert _records(out) == whole
    assert "stopped early" not in capsys.readouterr().out


def test_nothing_honest_fits(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SPEED", "50")
    said: list[str] = []
    monkeypatch.setattr(sys.stderr, "write", said.append)
    assert pilot.main([f"data.root={images}", "time_limit=40s", f"out={tmp_path / 'runs'}"]) == 2
    assert "nothing honest fits in 40 s on this machine" in "".join(said)
    assert "(time_limit=" in "".join(said)


def test_stopped_before_any_run(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_SLEEP", "20")
    monkeypatch.setattr(pilot, "ADVICE_SECONDS", 39.0)
    assert pilot.main([f"data.root={images}", "time_limit=40s", f"out={tmp_path / 'runs'}"]) == 2
    assert "stopped before any run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["time_limit=5m"], "data.root= is missing"),
        (["data.root=x"], "time_limit= is missing"),
        (["data.root=x", "time_limit=soon"], "time_limit=soon is not a time such as 90s, 30m or 2h"),
        (["data.root=x", "time_limit=5m", "colour=red"], "unknown key colour; known are data.root, "),
        (["data.root=/nowhere/at all", "time_limit=5m"], "/nowhere/at all is not there"),
        (["data.root=x", "time_limit=5m", "workers=none"], "workers=none is not a number"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert pilot.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_sweep_that_refuses_is_passed_on(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "refuse.py"
    script.write_text("import sys; print('error: data.root=x has a pipe in it', file=sys.stderr); sys.exit(2)")
    defaults = (*Sweeps.__init__.__defaults__[:-1], (sys.executable, str(script)))  # type: ignore[index]
    monkeypatch.setattr(Sweeps.__init__, "__defaults__", defaults)
    assert pilot.main([f"data.root={images}", "time_limit=5m", f"out={tmp_path / 'runs'}"]) == 2
    assert capsys.readouterr().err.endswith("error: data.root=x has a pipe in it\n")


def test_another_folder_of_the_same_name_is_another_pilot(
    images: Path, image_folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    other = image_folder({"train": {"x": 130, "y": 130}, "test": {"x": 30, "y": 30}}, "elsewhere/my images")
    for root in (images, other):
        assert pilot.main([f"data.root={root}", "time_limit=10m", f"out={out}"]) == 0
        assert "going on" not in capsys.readouterr().err
    assert len(list(out.glob("pilot_my_images-*_10m"))) == 2


def test_a_folder_that_grew_is_told_and_started_anew(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    arguments = [f"data.root={images}", "time_limit=10m", f"out={out}"]
    assert pilot.main(arguments) == 0
    for i in range(12):
        Image.new("RGB", (8, 8), (i, 0, 7)).save(images / "train" / "ü" / f"new{i}.png")
    capsys.readouterr()
    forget()
    assert pilot.main(arguments) == 0
    told = capsys.readouterr().err
    assert "holds 12 images more than on 20" in told
    assert "starting anew; the earlier runs stay in" in told
    assert len(list(out.glob("pilot_my_images-*_10m"))) == 2
    moved = images.rename(images.with_name("renamed"))
    forget()
    assert pilot.main([f"data.root={moved}", "time_limit=10m", f"out={out}"]) == 0
    assert "the same pictures as in" in capsys.readouterr().err
    assert len(list(out.glob("pilot_*_10m"))) == 2


def test_data_words_reach_the_sweeps(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images / "train" / "ü" / "broken.png").write_text("no picture")
    out = tmp_path / "runs"
    words = [f"data.root={images}", "time_limit=10m", f"out={out}", "data.channels=1", "data.skip_unreadable=true"]
    assert pilot.main(words) == 0
    (folder,) = out.glob("pilot_my_images-????-????????_10m")
    assert (
        "data.channels='1'" in (folder / "pilot.log").read_text()
        or "data.channels=1" in (folder / "pilot.log").read_text()
    )
    assert "broken.png: not an image" in (folder / "set_aside.txt").read_text()
    assert "set aside, since they cannot be read: 1 files" in capsys.readouterr().out
    assert pilot.main([*words[:3], "data.image_size=8"]) == 2
    assert "data.image_size" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["/a/猫犬/images.csv", "été", "हिन्दी"])
def test_letters_of_other_scripts_are_quoted_for_hydra(text: str) -> None:
    """Hydra's grammar reads letters beyond ASCII in quotes only."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    [override] = OverridesParser.create().parse_overrides([f"data.root={hydra_value(text)}"])
    assert override.value() == text
