"""A data set is what its pictures are: fingerprints that follow pixels, labels and splits and nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from odd_trees import COUNTS, FEW, pictures, plant
from PIL import Image

from scaling.data.identity import data_fingerprint, fingerprint_of, strokes_fingerprint
from scaling.data.pixels.open_images import forget
from scaling.data.sources.catalogue import Catalogue
from scaling.data.sources.strokes import StrokesConfig

Print = Callable[..., str]


@pytest.fixture
def of(make_cell: Callable) -> Print:
    def fingerprint(root: Path, *words: str) -> str:
        forget()
        cell = make_cell("data=folder", f"data.root='{root}'", "data.train_size=6", "data.image_size=8", *words)
        return data_fingerprint(cell.data)

    return fingerprint


def _tree(root: Path) -> Path:
    return plant(root, [*pictures("train", COUNTS), *pictures("test", FEW)])


def test_names_containers_and_sizes_do_not_count(tmp_path: Path, of: Print) -> None:
    root = _tree(tmp_path / "a")
    first = of(root)
    other = tmp_path / "b" / "photos"
    for path in root.rglob("*.png"):
        place = other / path.parent.relative_to(root) / f"x{path.stem}.bmp"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(place)  # BMP has no loss either
    (other / "notes.txt").write_text("not a picture")
    assert of(other) == first
    assert of(root, "data.image_size=4", "data.permute_patch=2") == first
    assert of(root, "data.channels=1") == first
    assert len(first) == 16


@pytest.mark.parametrize("change", ["pixel", "label", "split", "more", "class"])
def test_pixels_labels_and_splits_count(tmp_path: Path, of: Print, change: str) -> None:
    root = _tree(tmp_path / "a")
    first = of(root)
    if change == "pixel":
        pixels = np.array(Image.open(root / "train/cat/000.png"))
        pixels[3, 3, 1] ^= 1
        Image.fromarray(pixels).save(root / "train/cat/000.png")
    elif change == "label":
        (root / "train/cat/000.png").rename(root / "train/dog/x.png")
    elif change == "split":
        (root / "train/cat/000.png").rename(root / "test/cat/x.png")
    elif change == "more":
        shutil.copy(root / "train/cat/000.png", root / "train/cat/x.png")
    else:
        for split in ("train", "test"):
            (root / split / "cat").rename(root / split / "lynx")
    assert of(root) != first


def test_what_cannot_be_read_does_not_count(tmp_path: Path, of: Print) -> None:
    root = _tree(tmp_path / "a")
    first = of(root)
    (root / "train/cat/broken.png").write_bytes(b"no picture")
    assert of(root, "data.skip_unreadable=true") == first


def test_groups_count_by_what_they_hold_together() -> None:
    catalogue = Catalogue(("a", "b"), tuple("wxyz"), np.array([0, 0, 1, 1]), {"train": 4, "val": 0, "test": 0})
    digests = np.arange(8, dtype=np.uint64).reshape(4, 2)

    def fingerprint(groups: list[str] | None) -> str:
        return fingerprint_of(catalogue, digests, unreadable=set(), groups=groups)

    assert fingerprint(["p", "q", "p", "q"]) == fingerprint(["1", "2", "1", "2"])
    assert len({fingerprint(None), fingerprint(["p", "q", "p", "q"]), fingerprint(["p", "p", "q", "q"])}) == 3


def test_strokes_have_the_fingerprint_of_their_settings() -> None:
    words = '[1, {"jitter": 0.08, "noise": 0.2, "num_classes": 10, "points": 5, "rotation": 20.0, "scale": 0.25, '
    words += '"seed": 0, "shift": 0.25, "thickest": 0.3, "thinnest": 0.15, "variants": 1}]'
    assert strokes_fingerprint(StrokesConfig()) == hashlib.sha256(words.encode()).hexdigest()[:16]
    assert strokes_fingerprint(StrokesConfig(seed=1)) != strokes_fingerprint(StrokesConfig())


def test_a_run_records_its_data(tmp_path: Path, make_cell: Callable, of: Print) -> None:
    from scaling.training.cell import run_cell

    root = _tree(tmp_path / "photos")
    (root / "train/cat/broken.png").write_bytes(b"no picture")
    (root / "train/cat/notes.txt").write_text("x")
    words = ["data=folder", f"data.root='{root}'", "data.train_size=6", "data.image_size=8", "model=resnet8_w8"]
    words += ["data.skip_unreadable=true", "budget.steps=2", "wandb=disabled", f"out='{tmp_path / 'runs'}'"]
    record = run_cell(make_cell(*words))
    assert record.status == "finished"
    assert record.data_fingerprint == of(root, "data.skip_unreadable=true")
    assert record.files_left_out == 2
    about = json.loads((tmp_path / "runs/single" / f"data_{record.data_fingerprint}.json").read_text())
    assert about["classes"] == ["cat", "dog"]
    assert about["sizes"] == {"train": 25, "val": 0, "test": 8}
    assert len(about["images"]) == 33
    assert about["left_out"] == ["1 files that do not end like images (.txt: 1)"]
