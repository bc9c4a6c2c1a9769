"""What frozen features are worth if batch norms are left in training mode while they are read: the test error of a
ridge probe, of a run's weights (its folder) on the pictures of a folder.

python results/transfer-cifar10/halves/batch_norms.py RUN DIR
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from scaling.data.splits import Splits, load_splits
from scaling.study.command import cells_of
from scaling.training.features import SPLITS_OF_RUN, last_linear
from scaling.training.probe import NestedSums, fit_ridge
from scaling.training.started import build

CPU = torch.device("cpu")


def features(model: torch.nn.Module, splits: Splits, *, training: bool) -> list[np.ndarray]:
    """float32 (n, dim) of each split, in batches of 256 in the splits' own order, in which the classes take turns."""
    read: list[np.ndarray] = []
    few, _ = next(splits.test.in_order(2))
    head = last_linear(model.eval(), splits.inputs(few))
    hook = head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].flatten(1).numpy().copy()))
    model.train(training)
    found = []
    with torch.no_grad():
        for name in SPLITS_OF_RUN:
            read.clear()
            for images, _ in getattr(splits, name).in_order(256):
                model(splits.inputs(images))
            found.append(np.concatenate(read))
    hook.remove()
    return found


def main(run: str, root: str) -> None:
    words = ["model=resnet8", "data=folder", f"data.root={root}", "data.image_size=16", "data.train_size=4000"]
    [cell] = cells_of([*words, f"init_from={run}", "adapt=probe"])
    splits = load_splits(cell.data, CPU)
    for training in (False, True):
        model = build(cell, channels=cell.data.channels, device=CPU)
        train, val, test = features(model, splits, training=training)
        labels = [getattr(splits, name).labels.numpy() for name in SPLITS_OF_RUN]
        probe = fit_ridge(NestedSums(train, labels[0], cell.num_classes), len(train), val, labels[1])
        error = (probe.scores(test).argmax(1) != labels[2]).mean()
        print(f"{'training' if training else 'evaluation'} mode: test error {error:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
