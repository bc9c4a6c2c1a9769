"""Frozen features: the right numbers, computed once, whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.data.features import store as stored
from scaling.data.features.store import FeatureStore, fill, store_folder
from scaling.data.splits import load_splits
from scaling.training import features
from scaling.training.features import FeatureError, FrozenModel, frozen_features, last_linear
from scaling.training.started import build

CPU = torch.device("cpu")
WORDS = ("model=resnet8", "data.image_size=8", "data.permute_patch=4", "data.train_size=20", "data.test_size=50",
         "budget.steps=14", "device=cpu", "wandb=disabled", "workers=1")  # fmt: skip


def _digests(count: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 2**63, (count, 2), dtype=np.uint64)


def _rows(digests: np.ndarray) -> np.ndarray:
    """Made-up features that follow from the picture."""
    return (digests[:, :1] % 1000 + np.arange(3)).astype(np.float32)


def test_features_are_what_the_head_reads_in_evaluation_mode(make_cell: Callable, kept: Path) -> None:
    cell = make_cell(*WORDS, f"init_from={kept}")
    splits = load_splits(cell.data, CPU)
    found = frozen_features(cell, splits, CPU)
    model = build(cell, channels=1, device=CPU).eval()
    model.head = torch.nn.Identity()  # type: ignore[assignment]
    for name in ("train", "val", "test"):
        images = getattr(splits, name)
        pixels, labels = next(images.in_order(len(images)))
        with torch.no_grad():
            expected = model(splits.inputs(pixels)).numpy()
        assert np.abs(getattr(found, name) - expected).max() < 1e-5
        assert (getattr(found, f"{name}_labels") == labels.numpy()).all()
    assert found.feature_dim == 64
    assert found.seconds > 0


def test_a_second_use_builds_no_model(make_cell: Callable, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a larger subset of the chain compute again what the smaller one has."""
    asked: list[int] = []
    rows = FrozenModel.rows
    monkeypatch.setattr(FrozenModel, "rows", lambda self, images, places, **more: (
        asked.append(len(places)) or rows(self, images, places, **more)))  # fmt: skip
    monkeypatch.setattr(features, "_say", lambda *_: None)
    cell = make_cell(*WORDS, f"init_from={kept}")
    first = frozen_features(cell, load_splits(cell.data, CPU), CPU)
    assert sum(asked) == len(first.train) + len(first.val) + len(first.test)
    monkeypatch.setattr(features, "build", None)
    again = frozen_features(cell, load_splits(cell.data, CPU), CPU)
    assert (again.train == first.train).all()
    assert (again.test == first.test).all()
    assert again.seconds == pytest.approx(first.seconds)


def test_a_model_in_training_mode_gives_no_features(make_cell: Callable, kept: Path) -> None:
    cell = make_cell(*WORDS, f"init_from={kept}")
    splits = load_splits(cell.data, CPU)
    frozen = FrozenModel(build(cell, channels=1, device=CPU).train(), splits, precision="fp32")
    places = np.arange(4)
    before = frozen.rows(splits.test, places, batch=4)
    for module in frozen.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
            with pytest.raises(FeatureError, match="training mode"):
                frozen.rows(splits.test, places, batch=4)
            module.eval()
    assert (frozen.rows(splits.test, places, batch=4) == before).all()


def test_a_convolution_of_one_place_is_a_head_too() -> None:
    """BiT's in timm; one that still has places, and is averaged after, is none."""
    parts = [torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Conv2d(8, 5, 1), torch.nn.Flatten()]
    few = torch.rand(2, 3, 9, 9)
    assert last_linear(torch.nn.Sequential(*parts), few) is parts[2]
    with pytest.raises(FeatureError, match="one linear layer"):
        last_linear(torch.nn.Sequential(parts[0], parts[2], parts[1], parts[3]), few)


def test_the_store_keeps_rows_by_their_picture(tmp_path: Path) -> None:
    digests = _digests(600)
    digests[7] = digests[3]  # the same picture twice
    computed: list[int] = []

    def compute(places: np.ndarray) -> np.ndarray:
        computed.extend(places.tolist())
        return _rows(digests[places])

    rows, _ = fill(FeatureStore(tmp_path / "one"), digests, compute)
    assert (rows == _rows(digests)).all()
    assert sorted(computed) == sorted(set(range(600)) - {7})
    mixed = np.random.default_rng(1).permutation(digests)
    rows, there, _ = FeatureStore(tmp_path / "one").find(mixed)
    assert there.all()
    assert (rows == _rows(mixed)).all()
    assert not FeatureStore(tmp_path / "one").find(_digests(5, seed=2))[1].any()


@pytest.mark.parametrize("where", ["head", "digest", "check", "row", "end"])
def test_a_damaged_block_is_computed_again(tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    digests = _digests(300)
    fill(FeatureStore(tmp_path), digests, lambda places: _rows(digests[places]))
    first = sorted(tmp_path.glob("*.block"))[0]
    content = bytearray(first.read_bytes())
    block = stored.BLOCK
    place = {"head": 12, "digest": 40, "check": 28 + 16 * block + 5, "row": 28 + 20 * block + 9, "end": -1}[where]
    content[place] ^= 1
    first.write_bytes(content[:-3] if where == "end" else content)
    again: list[int] = []

    def compute(places: np.ndarray) -> np.ndarray:
        again.extend(places.tolist())
        return _rows(digests[places])

    rows, _ = fill(FeatureStore(tmp_path), digests, compute)
    assert (rows == _rows(digests)).all()
    assert 0 < len(again) <= block
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1
    assert "computed again" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored, "write_whole", full)
    digests = _digests(10)
    rows, _ = fill(FeatureStore(tmp_path), digests, lambda places: _rows(digests[places]))
    assert (rows == _rows(digests)).all()
    assert "No space left on device" in capsys.readouterr().err


def test_another_way_of_computing_has_another_folder(tmp_path: Path) -> None:
    ways = [["abc", 32], ["abc", 48], ["abd", 32]]
    assert len({store_folder(tmp_path, way) for way in ways}) == 3
    assert store_folder(tmp_path, ways[0]) == store_folder(tmp_path, ["abc", 32])


_EXTRACTION = """
import sys, time
import torch
from scaling.data.splits import load_splits
from scaling.study.command import cells_of
from scaling.training import features

log, words, fill = sys.argv[1], sys.argv[2:], features.fill

def logged(store, digests, compute):
    def rows(places):
        with open(log, "ab") as file:
            file.write(digests[places].tobytes())
        time.sleep(0.05)
        return compute(places)
    return fill(store, digests, rows)

features.fill = logged
(cell,) = cells_of(words)
features.frozen_features(cell, load_splits(cell.data, torch.device("cpu")), torch.device("cpu"))
"""


@pytest.mark.slow
def test_twenty_kills_leave_no_wrong_row_and_cost_a_block_each(
    make_cell: Callable, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*WORDS, f"init_from={kept}", "adapt=probe", "data.test_size=9000"]
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path / "killed"))
    rng, kills, logs = np.random.default_rng(0), 0, []
    while True:
        logs.append(tmp_path / f"{len(logs)}.log")
        child = subprocess.Popen([sys.executable, "-c", _EXTRACTION, str(logs[-1]), *words, f"out={tmp_path}/runs"])
        while child.poll() is None and not logs[-1].exists():
            time.sleep(0.01)
        if kills < 20:
            time.sleep(rng.uniform(0, 0.15))
            child.kill()
        status = child.wait(timeout=300)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
    computed = [[row.tobytes() for row in np.fromfile(log, dtype="<u8").reshape(-1, 2)] for log in logs if log.exists()]
    for i, rows in enumerate(computed):
        later = {row for others in computed[i + 1 :] for row in others}
        assert not later & set(rows[: -stored.BLOCK])  # all but the block that it was at
    assert kills == 20
    cell = make_cell(*words)
    splits = load_splits(cell.data, CPU)
    found = frozen_features(cell, splits, CPU)
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path / "whole"))
    undisturbed = frozen_features(cell, splits, CPU)
    for name in ("train", "val", "test"):
        np.testing.assert_allclose(getattr(found, name), getattr(undisturbed, name), atol=1e-5)
