"""Folders of images as people have them, each with what a reader must make of it: class counts, or a refusal.

`trees()` gives (name, paths, right). A path that ends like an image becomes a small picture, `a -> b` a link,
anything else a text file. `right` is {split: {class: images}}, or a text that the one line of the refusal holds.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

Right = dict[str, dict[str, int]] | str
COUNTS = {"cat": 12, "dog": 12}
FEW = {"cat": 4, "dog": 4}


def pictures(folder: str, counts: dict[str, int]) -> list[str]:
    return [f"{folder}/{name}/{i:03d}.png".lstrip("/") for name, count in counts.items() for i in range(count)]


def _splits(train: str, test: str, val: str | None = None) -> list[str]:
    return [*pictures(train, COUNTS), *pictures(test, FEW), *(pictures(val, FEW) if val else [])]


_SCRIPTS = {"l'été": 6, "кошка, = 1": 6, "猫": 6}
_BOTH: Right = {"train": COUNTS, "test": FEW}
_ALL: Right = {"train": COUNTS, "val": FEW, "test": FEW}
_FLAT: Right = {"train": COUNTS}
_TREES: dict[str, tuple[list[str], Right]] = {
    "plain": (_splits("train", "test"), _BOTH),
    "flat": (pictures("", COUNTS), _FLAT),
    "train alone": (pictures("train", COUNTS), _FLAT),
    "three": (_splits("train", "test", "val"), _ALL),
    "train and val": (_splits("train", "val"), _BOTH),
    "capitals": (_splits("Training", "Testing"), _BOTH),
    "upper": (_splits("TRAIN", "TEST", "VALID"), _ALL),
    "images": (_splits("train_images", "test_images"), _BOTH),
    "seg": (_splits("seg_train/seg_train", "seg_test/seg_test"), _BOTH),
    "set": (_splits("training_set", "test_set"), _BOTH),
    "set twice": (_splits("training_set/training_set", "test_set/test_set"), _BOTH),
    "glued": (_splits("trainset", "testset", "valset"), _ALL),
    "camel": (_splits("TrainImages", "TestImages"), _BOTH),
    "spaces": (_splits("Train Set", "Test Set"), _BOTH),
    "hyphen": (_splits("train-data", "test-data", "validation-data"), _ALL),
    "dev": (_splits("train", "test", "dev"), _ALL),
    "eval": (_splits("train", "eval"), _BOTH),
    "holdout": (_splits("train", "hold-out"), _BOTH),
    "own word": (_splits("birds_train", "birds_test"), _BOTH),
    "year": (_splits("train2017", "val2017"), _BOTH),
    "inner images": (_splits("train/images", "test/images"), _BOTH),
    "eval beside": ([*_splits("train", "test"), *pictures("eval", FEW)], _BOTH),
    "extra beside": ([*_splits("train", "test"), *pictures("extra", FEW), "labels.csv"], _BOTH),
    "flat test": ([*pictures("train", COUNTS), "test/1.png", "test/2.png"], _FLAT),
    "thumbnails": ([*pictures("", COUNTS), "cat/@eaDir/000.png", "@eaDir/dog/000.png", "@eaDir/x.png"], _FLAT),
    "notebook": ([*pictures("", COUNTS), ".ipynb_checkpoints/a.png", "cat/.ipynb_checkpoints/000.png"], _FLAT),
    "macos": ([*pictures("", COUNTS), "__MACOSX/cat/._000.png", "cat/._000.png", "cat/.DS_Store"], _FLAT),
    "bin": ([*pictures("", COUNTS), "#recycle/cat/1.png", "$RECYCLE.BIN/1.png", "Thumbs.db"], _FLAT),
    "link up": ([*pictures("", COUNTS), "cat/up -> .."], _FLAT),
    "link to itself": ([*pictures("", COUNTS), "cat/again -> ../cat"], _FLAT),
    "links in a circle": ([*pictures("", COUNTS), "cat/x -> ../dog/y", "dog/y -> ../cat/x"], "cannot be listed"),
    "linked class": ([*pictures("", COUNTS), "cow -> dog"], {"train": COUNTS | {"cow": 12}}),
    "runs inside": ([*pictures("", COUNTS), "runs/s/c/record.json", "runs/s/report/figures/a.png"], _FLAT),
    "report inside": ([*pictures("", COUNTS), "report/crossover.json", "report/figures/a.png"], _FLAT),
    "loose": ([*pictures("", COUNTS), "cover.jpg", "README"], _FLAT),
    "nested": ([*pictures("", COUNTS), "cat/2024/may/a.png"], {"train": {"cat": 13, "dog": 12}}),
    "other files": ([*pictures("", COUNTS), "cat/notes.txt", "dog/a.xml"], _FLAT),
    "suffixes": ([*pictures("", COUNTS), "cat/A.PNG", "cat/b.JPEG", "dog/c.gif"], {"train": {"cat": 14, "dog": 13}}),
    "scripts": (pictures("", _SCRIPTS), {"train": _SCRIPTS}),
    "long names": ([*pictures("", COUNTS), f"cat/{'x' * 246}.png"], {"train": {"cat": 13, "dog": 12}}),
    "train is a class": ([*pictures("", COUNTS), *pictures("train", {"ice": 4, "tgv": 4})], "data.layout=classes"),
    "test is a class": (pictures("", {"cat": 4, "test": 4}), "data.layout=classes"),
    "valid or not": (pictures("", {"valid": 4, "invalid": 4}), "data.layout=classes"),
    "folds": ([*pictures("fold1", FEW), *pictures("fold2", FEW)], "folds of a cross-validation (fold1, fold2)"),
    "wrapped": (pictures("ds/ds", COUNTS), "data.root="),
    "wrapped splits": (_splits("ds/train", "ds/test"), "data.root="),
    "two sites": ([*_splits("a/train", "a/test"), *_splits("b/train", "b/test")], "holds splits of its own"),
    "class, split": ([*pictures("cat", {"train": 4, "test": 2}), *pictures("dog", {"train": 4, "test": 2})],
                     "splits lie inside class folders"),
    "two words": ([*_splits("train", "test"), *pictures("training", FEW)], "keep one of them"),
    "both cases": ([*_splits("train", "test"), *pictures("Train", FEW)], "keep one of them"),
    "no train": (pictures("test", FEW), "train is not there beside test/"),
    "empty class": ([*pictures("", COUNTS), "cow/notes.txt"], "class folders without images: cow"),
    "other classes": ([*pictures("train", COUNTS), *pictures("test", {"cat": 2, "cow": 2})], "classes: cow, dog"),
    "one class": (pictures("", {"cat": 6}), "only one class (cat)"),
    "no folders": (["1.jpg", "2.jpg"], "2 images but no class folders"),
    "nothing": (["README"], "no class folders"),
}  # fmt: skip


def trees() -> list[tuple[str, list[str], Right]]:
    return [(name, paths, right) for name, (paths, right) in _TREES.items()]


def plant(root: Path, paths: list[str]) -> Path:
    """Makes a tree; every picture differs from the others."""
    root.mkdir(parents=True, exist_ok=True)
    for path in paths:
        name, _, target = path.partition(" -> ")
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if target:
            os.symlink(target, place)
        elif place.suffix.lower() in (".png", ".jpg", ".jpeg", ".gif"):
            seed = zlib.crc32(name.encode())
            pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(place)
        else:
            place.write_text("{}")
    return root
