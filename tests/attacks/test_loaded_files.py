"""Files of weights and arrays that would run code if they were unpickled: all of them are refused, and run nothing."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.arguments import InputError
from analysis.figures.mechanism import read_run
from scaling.data.errors import DataError
from scaling.data.sources.containers.arrays import _load
from scaling.models import library_weights
from scaling.models.weights import WeightsError, read_weights
from scaling.training.checkpoint import Checkpoints
from scaling.training.pretraining import _behind


class Runs:
    """Unpickling it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def planted(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "ran")


def _saved(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path)
    return path


def _arrays(path: Path, **more: Any) -> Path:
    np.savez(path, **more)
    return path


def test_the_files_would_run_code(planted: Runs, tmp_path: Path) -> None:
    torch.load(_saved(tmp_path / "w.pt", {"a": planted}), weights_only=False)
    assert planted.mark.exists()


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_of_pytorch(wrapped: bool, planted: Runs, tmp_path: Path) -> None:
    weights = {"head.weight": torch.zeros(2, 2), "more": planted}
    with pytest.raises(WeightsError, match="no weights that can be read"):
        read_weights(_saved(tmp_path / "w.pt", {"state_dict": weights} if wrapped else weights))
    assert not planted.mark.exists()


def test_weights_of_numpy(planted: Runs, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights that can be read"):
        read_weights(_arrays(tmp_path / "w.npz", a=np.array([planted], dtype=object)))
    assert not planted.mark.exists()


def test_a_checkpoint_with_a_digest_that_fits(
    planted: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    torch.save({"config_hash": "h", "rest": planted}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:16]
    path = tmp_path / f"checkpoint-7-{digest}.pt"
    path.write_bytes(buffer.getvalue())
    assert Checkpoints(tmp_path, "h", seconds=1).load() is None
    assert "set aside" in capsys.readouterr().err
    assert not planted.mark.exists()
    assert not path.exists()


def test_images_in_an_npz(planted: Runs, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="arrays of Python objects are not read"):
        _load(str(_arrays(tmp_path / "d.npz", x=np.array([planted], dtype=object), y=np.zeros(1))))
    assert not planted.mark.exists()


def test_the_pictures_beside_weights(planted: Runs, tmp_path: Path) -> None:
    np.save(tmp_path / "pictures.npy", np.array([planted], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        _behind(str(tmp_path))
    assert not planted.mark.exists()


def test_what_was_inspected(planted: Runs, tmp_path: Path) -> None:
    (tmp_path / "inspect.json").write_text("{}")
    _arrays(tmp_path / "inspect.npz", a=np.array([planted], dtype=object))
    with pytest.raises(InputError, match=r"no inspect\.json and \.npz"):
        read_run(tmp_path)
    assert not planted.mark.exists()


@pytest.mark.parametrize(
    "name", ["https://example.org/w.pth", "torchvision:resnet18", "timm:resnet18.a1_in1k", "hub:a/b"]
)
def test_published_weights_come_as_weights_only(
    name: str, planted: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server_of: Callable[..., None]
) -> None:
    """What a library downloaded, and what it downloads, in files that hold more than weights."""
    server_of(_saved(tmp_path / "w.bin", {"conv1.weight": torch.zeros(1), "more": planted}))
    with pytest.raises(Exception, match=r"(?i)weights.only|no weights"):
        library_weights._state_of(name)
    assert not planted.mark.exists()


@pytest.fixture
def server_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Lets every library find a file where it looks for published weights, as if it had been downloaded before."""

    def find(path: Path) -> None:
        monkeypatch.setattr(library_weights, "_kept", lambda name: str(path))
        monkeypatch.setattr(library_weights, "reachable", lambda address: True)

        def load_url(url: str, *args: Any, **named: Any) -> Any:
            return torch.load(path, weights_only=named.get("weights_only", False))

        monkeypatch.setattr(torch.hub, "load_state_dict_from_url", load_url)
        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", load_url)

    return find
