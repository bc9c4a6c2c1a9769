"""The benchmark compares models of the same size, on images that are there or made, and measures what it says."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
SIZES = {"resnet8": 128, "resnet20": 128, "resnet18_small": 32, "vit_w64d4": 128, "vit_ti": 32}


@pytest.fixture(autouse=True)
def _benchmarks_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("name", SIZES)
def test_the_three_ways_train_models_of_the_same_size(make_cell: Callable, name: str) -> None:
    from usual import timm_model, usual_model

    from scaling.models.build import build_model, multiply_adds, num_params

    ours = build_model(
        make_cell(f"model={name}", "data.image_size=32", "data.permute_patch=4").model,
        image_size=32, channels=3, num_classes=10,
    )  # fmt: skip
    counts = [num_params(ours), num_params(usual_model(name, 10)), num_params(timm_model(name, 10))]
    assert counts == pytest.approx([counts[0]] * 3, rel=0.04)
    work = [multiply_adds(model, image_size=32, channels=3) for model in (ours, usual_model(name, 10))]
    assert work[1] == pytest.approx(work[0], rel=0.02)


def test_the_usual_loader_gives_normalised_crops_of_a_folder(tmp_path: Path) -> None:
    from machine import _make_images
    from usual import usual_loader

    _make_images(tmp_path, classes=2, count=4)
    (batch,) = usual_loader(str(tmp_path), batch_size=8, workers=0)
    assert batch[0].shape == (8, 3, 32, 32)
    assert batch[0].min() >= -2.5


def test_images_are_made_once_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import machine

    monkeypatch.setenv("SCALING_CACHE", str(tmp_path))
    monkeypatch.delenv("SCALING_SHARED_DATA", raising=False)
    make = machine._make_images
    monkeypatch.setattr(machine, "_make_images", lambda root: make(root, classes=2, count=3))
    root = Path(machine.find_images(None))
    assert sorted(path.name for path in root.iterdir()) == ["test", "train"]
    assert len(list((root / "train").rglob("*.jpg"))) == 6
    monkeypatch.setattr(machine, "_make_images", None)  # not called again
    assert machine.find_images(None) == str(root)
    assert machine.find_images("elsewhere") == "elsewhere"


def test_a_measurement_counts_images_and_time_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that steps advance: a minute each in the warm-up, then two seconds of wall and one of a processor."""
    import variant

    steps, clock = 0, {"wall": 0.0, "processor": 0.0}

    def step() -> int:
        nonlocal steps
        steps += 1
        clock["wall"] += 60 if steps <= variant.WARM_UP else 2
        clock["processor"] += 60 if steps <= variant.WARM_UP else 1
        return 7

    monkeypatch.setattr(variant.time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(variant, "processor_seconds", lambda: clock["processor"])
    assert variant._timed(step, seconds=9, wait=lambda: None) == dict(images=35, wall=10, processor=5)
    assert variant._timed(step, seconds=1, wait=lambda: None)["images"] == 21  # three steps at least


def test_the_machine_is_named() -> None:
    from machine import machine

    assert machine("cpu", 1).endswith(f"1 threads used; torch {torch.__version__}")
