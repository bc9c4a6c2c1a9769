"""torchvision's data sets by name: what they consist of, where their files must lie, and how they are read."""

from __future__ import annotations

import tarfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scaling.data.errors import DataError
from scaling.data.sources.catalogue import Catalogue

_PATIENCE = 5.0  # seconds to find out whether there is a network


@dataclass(frozen=True)
class Published:
    """`files` are those that are read, `archives` those that a user can put into data.root instead."""

    title: str
    num_classes: int
    train_examples: int
    files: tuple[str, ...]
    archives: tuple[str, ...]
    url: str | None  # where torchvision downloads it; None: it may not be downloaded without an account


PUBLISHED = {
    "cifar10": Published(
        "CIFAR-10",
        10,
        50_000,
        tuple(f"cifar-10-batches-py/{name}" for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")),
        ("cifar-10-python.tar.gz",),
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
    "cifar100": Published(
        "CIFAR-100",
        100,
        50_000,
        ("cifar-100-python/train", "cifar-100-python/test"),
        ("cifar-100-python.tar.gz",),
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ),
    "fashion_mnist": Published(
        "Fashion-MNIST",
        10,
        60_000,
        tuple(
            f"FashionMNIST/raw/{split}-{kind}-ubyte"
            for split in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        ),
        tuple(
            f"FashionMNIST/raw/{split}-{kind}-ubyte.gz"
            for split in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        ),
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
    ),
    "svhn": Published(
        "SVHN",
        10,
        73_257,
        ("train_32x32.mat", "test_32x32.mat"),
        ("train_32x32.mat", "test_32x32.mat"),
        "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
    ),
    "food101": Published(
        "Food-101",
        101,
        75_750,
        ("food-101/meta/train.json", "food-101/meta/test.json", "food-101/images"),
        ("food-101.tar.gz",),
        "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
    ),
    "imagenet": Published(
        "ImageNet",
        1000,
        1_281_167,
        ("train", "val"),
        ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"),
        None,
    ),
}


def reachable(url: str) -> bool:
    """Whether anybody answers at an address."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PATIENCE).close()
    except urllib.error.HTTPError:
        return True  # somebody answered
    except (OSError, ValueError):
        return False
    return True


def is_here(kind: str, root: str) -> bool:
    """Whether a set lies in `root` as it is read."""
    return all((Path(root) / name).exists() for name in PUBLISHED[kind].files)


def prepare_published(kind: str, root: str) -> None:
    """Makes sure that the files are there: from archives that lie there, else by a download.

    Raises:
        DataError: they are not there and cannot be had; the message says what to put where.
    """
    about = PUBLISHED[kind]
    if is_here(kind, root):
        return
    unpackable = all((Path(root) / name).exists() for name in about.archives)
    put = f"put {' and '.join(about.archives)} there, or name another place with data.root=DIR"
    if kind == "imagenet":
        put = f"{put}; folders {root}/train/<class>/* and {root}/val/<class>/* do as well"
    if not unpackable:
        if about.url is None:
            raise DataError(f"{about.title} is not in {root} and may not be downloaded without an account; {put}")
        if not reachable(about.url):
            raise DataError(f"{about.title} is not in {root} and {about.url} cannot be reached; {put}")
        Path(root).mkdir(parents=True, exist_ok=True)
    try:
        for split in _SPLITS[kind]:
            _torchvision(kind, root, split, download=True)
    except (OSError, RuntimeError, tarfile.TarError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{about.title} cannot be made ready in {root} ({reason}); {put}") from error


_SPLITS = dict.fromkeys(("cifar10", "cifar100", "fashion_mnist", "svhn", "food101"), ("train", "test")) | {
    "imagenet": ("train", "val")
}


def _torchvision(kind: str, root: str, split: str, *, download: bool = False) -> object:
    """torchvision's own object for a split; it unpacks and checks what lies in `root`."""
    from torchvision import datasets

    if kind == "imagenet":
        return datasets.ImageNet(root, split)
    if kind in ("svhn", "food101"):
        return {"svhn": datasets.SVHN, "food101": datasets.Food101}[kind](root, split, download=download)
    made = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100, "fashion_mnist": datasets.FashionMNIST}[kind]
    return made(root, train=split == "train", download=download)


def read_arrays(kind: str, root: str) -> tuple[Catalogue, np.ndarray]:
    """The catalogue and the pixels (rows, height, width[, 3]) of a set that comes as arrays.

    Raises:
        DataError: the files are there and damaged.
    """
    pixels, labels = [], []
    classes: tuple[str, ...] = ()
    for split in _SPLITS[kind]:
        try:
            dataset = _torchvision(kind, root, split)
            data = np.asarray(dataset.data)  # type: ignore[attr-defined]
            targets = dataset.labels if kind == "svhn" else dataset.targets  # type: ignore[attr-defined]
        except Exception as error:  # pickle, gzip and scipy raise what broken bytes lead them into
            title = PUBLISHED[kind].title
            raise DataError(f"{title} in {root} is damaged ({error}); remove it or load it again") from error
        pixels.append(data.transpose(0, 2, 3, 1) if kind == "svhn" else data)
        labels.append(np.asarray(targets, dtype=np.int64))
        classes = tuple(map(str, range(10))) if kind == "svhn" else tuple(dataset.classes)  # type: ignore[attr-defined]
    keys = tuple(f"{i:05d}" for part in labels for i in range(len(part)))
    sizes = {"train": len(labels[0]), "val": 0, "test": len(labels[1])}
    return Catalogue(classes, keys, np.concatenate(labels), sizes), np.concatenate(pixels)


def read_food101(root: str) -> Catalogue:
    """Food-101 as its own lists have it: meta/train.json and meta/test.json, {class: ["class/number", ...]}.

    Raises:
        DataError: the lists are damaged.
    """
    import json

    keys: list[str] = []
    labels: list[int] = []
    sizes = {"train": 0, "val": 0, "test": 0}
    folder = Path(root) / "food-101"
    try:
        lists = {split: json.loads((folder / "meta" / f"{split}.json").read_text()) for split in ("train", "test")}
        classes = sorted(lists["train"])
        for split, names in lists.items():
            for label, name in enumerate(classes):
                keys += names[name]
                labels += [label] * len(names[name])
            sizes[split] = sum(map(len, names.values()))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"Food-101 in {root} is damaged ({error}); remove it or load it again") from error
    paths = tuple(str(folder / "images" / f"{key}.jpg") for key in keys)
    return Catalogue(tuple(classes), tuple(keys), np.array(labels, dtype=np.int64), sizes, paths)
