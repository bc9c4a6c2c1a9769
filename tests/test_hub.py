"""Data sets of the libraries `datasets` and `webdataset`, self-made: the same pictures are the same data set."""

from __future__ import annotations

import builtins
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from odd_trees import pictures, plant

from scaling.data.command import main
from scaling.data.pixels.open_images import forget

COUNTS = {"cat": 12, "dog": 12}
FEW = {"cat": 4, "dog": 4}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plant(tmp_path / "tree", [*pictures("train", COUNTS), *pictures("test", FEW)])


def _seen(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(words) == 0
    return capsys.readouterr().out.splitlines()


def _images(root: Path, split: str) -> list[Path]:
    return sorted(root.glob(f"{split}/*/*.png"))


@pytest.mark.parametrize("how", ["saved", "named"])
def test_a_data_set_of_the_hubs_library(
    how: str, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    root = tree
    if how == "saved":
        features = datasets.Features({"pic": datasets.Image(), "kind": datasets.ClassLabel(names=["dog", "cat"])})
        root, parts = tmp_path / "saved", {}
        for split in ("train", "test"):
            files = _images(tree, split)
            rows = {
                "pic": [{"bytes": p.read_bytes(), "path": p.name} for p in files],
                "kind": [p.parent.name for p in files],
            }
            parts[split] = datasets.Dataset.from_dict(rows, features=features)
        datasets.DatasetDict(parts).save_to_disk(root)
    first, _, fingerprint = _seen(["data=hub", f"data.root={root}"], capsys)
    assert "32 images in 2 classes (cat, dog): training 19, validation 5 (20% of the training images), test 8" in first
    assert fingerprint == _seen([f"data.root={tree}"], capsys)[-1]


def _shard(file: Path, paths: list[Path], member: Callable[[Path], tuple[str, bytes]]) -> None:
    with tarfile.open(file, "w") as tar:
        for i, path in enumerate(paths):
            suffix, content = member(path)
            for name, value in ((f"{i:04d}.png", path.read_bytes()), (f"{i:04d}.{suffix}", content)):
                info = tarfile.TarInfo(name)
                info.size = len(value)
                tar.addfile(info, io.BytesIO(value))


def test_shards_of_webdataset(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("webdataset")
    shards = tmp_path / "shards"
    shards.mkdir()
    train = _images(tree, "train")
    _shard(shards / "train-000000.tar", train[::2], lambda path: ("cls", path.parent.name.encode()))
    _shard(
        shards / "train-000001.tar", train[1::2], lambda path: ("json", b'{"label": "%s"}' % path.parent.name.encode())
    )
    _shard(shards / "test-000000.tar", _images(tree, "test"), lambda path: ("cls", path.parent.name.encode()))
    words = ["data=webdataset", f"data.root={shards}"]
    assert _seen(words, capsys)[-1] == _seen([f"data.root={tree}"], capsys)[-1]
    _shard(shards / "train-000002.tar", train[:1], lambda path: ("xyz", b""))
    forget()
    assert main(words) == 2
    assert "sample 0000 has no class (cls, or label in json); its members are png, xyz" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "library"), [("hub", "datasets"), ("webdataset", "webdataset")])
def test_without_the_library_one_line_says_what_to_install(
    kind: str, library: str, tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == library:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main([f"data={kind}", f"data.root={tree}"]) == 2
    assert f"pip install 'vit-scaling[{kind}]'" in capsys.readouterr().err
