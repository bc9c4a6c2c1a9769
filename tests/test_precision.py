"""precision=auto: the faster one in the model's own step, the same for every command of a machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaling.models import devices, precision
from scaling.records.files import first_written

WORDS = ("data.image_size=8", "data.permute_patch=4", "model=vit_w48d3")


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[float], list[Any]]:
    """A CPU that has both precisions, where bf16 is so many times as fast; the list of what was measured."""
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path / "own"))
    monkeypatch.setattr(devices, "known_precision", lambda device: None)
    monkeypatch.setattr(precision, "_known", {})

    def make(factor: float) -> list[Any]:
        measured: list[Any] = []

        def measure(cell: Any) -> dict[str, Any]:
            measured.append(cell)
            return {"precision": "bf16" if factor >= precision.GAIN else "fp32", "fp32": 100.0, "bf16": 100 * factor}

        monkeypatch.setattr(precision, "_measured", measure)
        return measured

    return make


@pytest.mark.parametrize(("factor", "found"), [(0.63, "fp32"), (1.05, "fp32"), (2.4, "bf16")])
def test_auto_is_measured_once_and_kept(
    make_cell: Callable, both: Callable, capsys: pytest.CaptureFixture[str], factor: float, found: str
) -> None:
    measured = both(factor)
    assert make_cell("precision=auto", *WORDS).precision == found
    assert f"precision=auto: {found} for vit_w48d3, 8 pixels: 100 images/s in fp32" in capsys.readouterr().err
    precision._known.clear()  # another command
    both(1 / factor)
    assert make_cell("precision=auto", "seed=3", "optim.lr=.1", "data.train_size=77", *WORDS).precision == found
    assert len(measured) == 1
    assert capsys.readouterr().err == ""


def test_another_model_shape_or_processor_is_measured_anew(
    make_cell: Callable, both: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = both(2)
    for words in (WORDS, (*WORDS[:2], "model=resnet8_w8"), (*WORDS, "optim.batch_size=7"), (*WORDS, "threads=2")):
        make_cell("precision=auto", *words)
    assert len(measured) == 4
    monkeypatch.setattr(precision, "processor", lambda: ("another", "flags"))
    make_cell("precision=auto", *WORDS)
    assert len(measured) == 5


@pytest.mark.parametrize("name", ["record.json", "checkpoint-12-ab.pt"])
def test_a_run_that_has_begun_keeps_its_precision(
    make_cell: Callable, both: Callable, tmp_path: Path, name: str
) -> None:
    words = (*WORDS, f"out={tmp_path}/runs")
    begun = make_cell("precision=fp32", *words)
    begun.folder.mkdir(parents=True)
    (begun.folder / name).touch()
    measured = both(2)
    found = make_cell("precision=auto", *words)
    assert (found.precision, found.config_hash, measured) == ("fp32", begun.config_hash, [])
    assert make_cell("precision=auto", "seed=1", *words).precision == "bf16"  # not begun


def test_what_the_cache_cannot_hold_or_tell_is_measured(make_cell: Callable, both: Callable, tmp_path: Path) -> None:
    measured = both(2)
    make_cell("precision=auto", *WORDS)
    [kept] = (tmp_path / "own" / "precision").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole.replace(b'"precision": "bf16"', b'"precision": "fp32"'))
    precision._known.clear()
    assert make_cell("precision=auto", *WORDS).precision == "bf16"
    assert kept.read_bytes() == whole
    kept.unlink()
    kept.parent.rmdir()
    kept.parent.write_text("no folder")
    precision._known.clear()
    assert make_cell("precision=auto", *WORDS).precision == "bf16"
    assert len(measured) == 3


def test_of_commands_that_measure_at_once_all_take_what_came_first(tmp_path: Path) -> None:
    barrier, found = threading.Barrier(8), []

    def write(i: int) -> None:
        barrier.wait()
        found.append(first_written(tmp_path / "c" / "f.json", b"%d" % i, valid=bool))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert found[0] == (tmp_path / "c" / "f.json").read_bytes()
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["f.json"]


def test_a_step_is_really_measured_in_both(make_cell: Callable) -> None:
    rates = precision._measured(make_cell(*WORDS))
    assert rates is not None
    assert rates["fp32"] > 0
    assert rates["bf16"] > 0
    assert rates["precision"] == ("bf16" if rates["bf16"] >= 1.1 * rates["fp32"] else "fp32")
