"""CIFAR-10 through torchvision, which downloads it where there is a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scaling.data.folder import DataError, LabelledImages


def prepare_cifar10(root: str) -> None:
    """Makes sure that the archive is there and whole.

    Raises:
        DataError: it is not there and cannot be downloaded.
    """
    from torchvision.datasets import CIFAR10

    try:
        CIFAR10(root, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"CIFAR-10 is not in {root} and cannot be downloaded ({type(error).__name__}); put cifar-10-python.tar.gz "
            "there, or name another place with data.root=DIR"
        ) from error


def read_cifar10(root: str) -> dict[str, LabelledImages]:
    from torchvision.datasets import CIFAR10

    splits = {}
    for split in ("train", "test"):
        dataset = CIFAR10(str(Path(root)), train=split == "train")
        images = np.ascontiguousarray(dataset.data.transpose(0, 3, 1, 2))
        labels = np.array(dataset.targets, dtype=np.int64)
        splits[split] = LabelledImages(images, labels, [f"{i:05d}" for i in range(len(labels))])
    return splits
