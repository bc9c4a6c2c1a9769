"""Frozen features: a whole extraction into an empty cache against the bare forward pass, and against a second use.

    python benchmarks/features.py [models=resnet18,vit_small_patch16_224 images=640 image_size=64 repeats=5]

The bare forward is the same model, batches and normalisation, its rows thrown away. The two take turns, and neither
counts the making of the model. A second use reads the files anew. Random weights cost as much as published ones.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from machine import _make_images, machine

from scaling.config import CellConfig
from scaling.data.splits import load_splits
from scaling.study.command import cells_of
from scaling.training import features
from scaling.training.started import build

CPU = torch.device("cpu")


def probe_cell(model: str, folder: Path, *, images: int, image_size: int) -> CellConfig:
    """A probe that looks at so many images (and 40 of a test set), on weights that are made here."""
    if not (folder / "images").exists():
        _make_images(folder / "images", classes=2, count=images // 2)
    family = "vit" if "vit" in model else "cnn"
    words = ["model=timm", f"model.name={model}", f"model.family={family}", "data=folder", f"data.root={folder}/images"]
    words += [f"data.image_size={image_size}", f"data.train_size={images * 4 // 5}", f"data.cache={folder}/cache"]
    words += ["device=cpu", "wandb=disabled", f"out={folder}/runs"]
    (fresh,) = cells_of(words)
    weights = folder / f"{model}.pt"
    torch.save(build(fresh, channels=fresh.data.channels, device=CPU).state_dict(), weights)
    (cell,) = cells_of([*words, f"pretrained={weights}", "adapt=probe"])
    return cell


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def compare(cell: CellConfig, repeats: int) -> tuple[int, float, float, float]:
    """Images, and median seconds of processor time: bare forward, extraction, second use."""
    splits = load_splits(cell.data, CPU)
    model = build(cell, channels=cell.data.channels, device=CPU).eval()
    batch = features.batch_of(cell.data.image_size, CPU)
    parts = [getattr(splits, name) for name in features.SPLITS_OF_RUN]

    @torch.inference_mode()
    def bare() -> None:
        for part in parts:
            for pixels, _ in part.in_order(batch):
                model(splits.inputs(pixels))

    def extraction() -> None:
        features.frozen_features(cell, splits, CPU)

    taken: list[list[float]] = []
    for turn in range(repeats + 1):  # the first warms up
        store = features.store_folder(Path(str(cell.data.cache)), features.way_of(cell, splits))
        for block in store.glob("*.block"):
            block.unlink()
        features._store.cache_clear()
        with mock.patch.object(features, "build", return_value=model):
            times = [_seconds(bare), _seconds(extraction)]
        features._store.cache_clear()
        taken += [[*times, _seconds(extraction)]] if turn else []
    forward, first, again = (statistics.median(column) for column in zip(*taken, strict=True))
    return sum(map(len, parts)), forward, first, again


def main(arguments: list[str]) -> int:
    values = {"models": "resnet18,vit_small_patch16_224", "images": "640", "image_size": "64", "repeats": "5"}
    values |= dict(word.split("=", 1) for word in arguments if "=" in word)
    print(machine("cpu", torch.get_num_threads()))
    print(f"{'features of':<24}{'images/s':>10}{'of the forward':>16}{'a second use':>24}")
    with tempfile.TemporaryDirectory() as folder:
        for name in values["models"].split(","):
            size, images = int(values["image_size"]), int(values["images"])
            cell = probe_cell(name, Path(folder), images=images, image_size=size)
            count, forward, first, again = compare(cell, int(values["repeats"]))
            second = f"{first / again:,.0f} times as fast"
            print(f"{name:<24}{count / first:>10.1f}{forward / first:>16.1%}{second:>24}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
