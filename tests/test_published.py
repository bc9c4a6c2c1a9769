"""torchvision's data sets, read from small archives of the real formats, and refused in one line where they are not."""

import gzip
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from scaling.data import published
from scaling.data.errors import DataError
from scaling.data.prepare import prepare
from scaling.data.published import PUBLISHED, prepare_published, read_arrays
from scaling.data.splits import load_splits

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision knows the checksums of the real archives; ours are small. What else it checks, it checks."""
    from torchvision.datasets import cifar, imagenet, mnist, svhn, utils

    for module in (cifar, imagenet, mnist, svhn, utils):
        if hasattr(module, "check_integrity"):
            monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())


def _tar(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def _jpeg(level: int, size: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()


def _cifar10(root: Path) -> dict[str, np.ndarray]:
    batches = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    pixels = {name: RNG.integers(0, 256, (20, 3072), dtype=np.uint8) for name in batches}
    folder = "cifar-10-batches-py"
    members = {
        f"{folder}/{name}": pickle.dumps({"data": data, "labels": [i % 10 for i in range(20)]})
        for name, data in pixels.items()
    }
    members[f"{folder}/batches.meta"] = pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})
    _tar(root / "cifar-10-python.tar.gz", members)
    return {"train": np.concatenate([pixels[name] for name in batches[:5]]), "test": pixels["test_batch"]}


def _cifar100(root: Path) -> dict[str, np.ndarray]:
    pixels = {"train": RNG.integers(0, 256, (500, 3072), dtype=np.uint8)}
    pixels["test"] = RNG.integers(0, 256, (100, 3072), dtype=np.uint8)
    members = {
        f"cifar-100-python/{split}": pickle.dumps({"data": data, "fine_labels": [i % 100 for i in range(len(data))]})
        for split, data in pixels.items()
    }
    members["cifar-100-python/meta"] = pickle.dumps({"fine_label_names": [f"class {i:02d}" for i in range(100)]})
    _tar(root / "cifar-100-python.tar.gz", members)
    return pixels


def _fashion_mnist(root: Path) -> dict[str, np.ndarray]:
    """The idx format: a magic number with type and dimensions, the sizes as big-endian int32, the bytes."""
    pixels = {}
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for split, name, count in (("train", "train", 100), ("test", "t10k", 20)):
        images = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for kind, magic, array in (("images-idx3", 0x803, images), ("labels-idx1", 0x801, labels)):
            header = np.array([magic, *array.shape], dtype=">i4").tobytes()
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
        pixels[split] = images
    return pixels


def _svhn(root: Path) -> dict[str, np.ndarray]:
    """MATLAB files of X (32, 32, 3, n) and y (n, 1), in which the digit 0 has the label 10."""
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    pixels = {}
    for split, count in (("train", 100), ("test", 20)):
        images = RNG.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = np.array([[i % 10 or 10] for i in range(count)], dtype=np.uint8)
        savemat(root / f"{split}_32x32.mat", {"X": images, "y": labels})
        pixels[split] = images
    return pixels


ARRAYS: dict[str, tuple[Callable, int, tuple[int, ...]]] = {
    "cifar10": (_cifar10, 32, (100, 20)),
    "cifar100": (_cifar100, 32, (500, 100)),
    "fashion_mnist": (_fashion_mnist, 28, (100, 20)),
    "svhn": (_svhn, 32, (100, 20)),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_a_set_of_arrays_is_unpacked_and_read(tmp_path: Path, kind: str) -> None:
    write, size, counts = ARRAYS[kind]
    pixels = write(tmp_path)
    prepare_published(kind, str(tmp_path))
    catalogue, arrays = read_arrays(kind, str(tmp_path))
    assert (catalogue.sizes["train"], catalogue.sizes["test"]) == counts
    assert len(catalogue.classes) == PUBLISHED[kind].num_classes
    assert catalogue.labels.tolist() == [i % len(catalogue.classes) for count in counts for i in range(count)]
    seventh = arrays[catalogue.rows("test")[7]]
    if kind.startswith("cifar"):
        expected = pixels["test"][7].reshape(3, size, size).transpose(1, 2, 0)
    else:
        expected = pixels["test"][..., 7] if kind == "svhn" else pixels["test"][7]
    assert np.array_equal(seventh, expected)


@pytest.mark.parametrize("kind", ARRAYS)
def test_a_set_of_arrays_reaches_the_device(tmp_path: Path, make_cell: Callable, kind: str) -> None:
    ARRAYS[kind][0](tmp_path)
    n = PUBLISHED[kind].num_classes * 3
    data = make_cell(f"data={kind}", f"data.root={tmp_path}", f"data.train_size={n}").data
    assert prepare([data]) == []
    splits = load_splits(data, torch.device("cpu"))
    images, labels = next(splits.train.in_order(n))
    assert images.shape == (n, data.channels, data.image_size, data.image_size)
    assert set(np.bincount(labels)) == {3}
    assert len(splits.test) == ARRAYS[kind][2][1]


def test_a_damaged_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"CIFAR-10 cannot be made ready .* put cifar-10-python\.tar\.gz there") as said:
        prepare_published("cifar10", str(tmp_path))
    assert "\n" not in str(said.value)


def test_a_damaged_batch_is_said(tmp_path: Path) -> None:
    _cifar10(tmp_path)
    prepare_published("cifar10", str(tmp_path))
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"x")
    with pytest.raises(DataError, match=r"CIFAR-10 in .* is damaged"):
        read_arrays("cifar10", str(tmp_path))


def test_fewer_images_than_asked_for_are_said(tmp_path: Path, make_cell: Callable) -> None:
    """The config is held against the published size, the small copy against what it has: 100 less a fifth."""
    _cifar10(tmp_path)
    data = make_cell("data=cifar10", f"data.root={tmp_path}", "data.train_size=81").data
    with pytest.raises(DataError, match="train_size=81 is more than the 80 images"):
        prepare([data])


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_set_that_cannot_be_had_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(published, "_reachable", lambda url: False)
    with pytest.raises(DataError, match=r"put .* there, or name another place with data\.root=DIR") as said:
        prepare_published(kind, str(tmp_path / "nothing"))
    assert PUBLISHED[kind].archives[0] in str(said.value)
    assert not (tmp_path / "nothing").exists()


def test_torchvision_is_asked_to_download_where_there_is_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_reachable", lambda url: True)
    monkeypatch.setattr(datasets.CIFAR10, "download", lambda self: _cifar10(tmp_path) and _unpack(tmp_path))
    prepare_published("cifar10", str(tmp_path))
    assert read_arrays("cifar10", str(tmp_path))[0].sizes["train"] == 100


def _unpack(root: Path) -> None:
    with tarfile.open(root / "cifar-10-python.tar.gz") as tar:
        tar.extractall(root, filter="data")


def test_food101_is_read_by_its_lists(tmp_path: Path, make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = {
        split: {name: [f"{name}/{start + i}" for i in range(count)] for name in ("apple_pie", "waffles")}
        for split, start, count in (("train", 0, 10), ("test", 100, 3))
    }
    members = {f"food-101/meta/{split}.json": json.dumps(names).encode() for split, names in lists.items()}
    for names in lists.values():
        for name, keys in names.items():
            members |= {f"food-101/images/{key}.jpg": _jpeg(60 if name == "apple_pie" else 180) for key in keys}
    _tar(tmp_path / "food-101.tar.gz", members)
    monkeypatch.setitem(published.PUBLISHED, "food101", replace(PUBLISHED["food101"], num_classes=2))
    data = make_cell(
        "data=food101", f"data.root={tmp_path}", "data.train_size=12", "data.image_size=16", "data.permute_patch=4"
    ).data
    assert prepare([data]) == []
    splits = load_splits(data, torch.device("cpu"))
    images, labels = next(splits.test.in_order(10))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.float().mean((1, 2, 3)).tolist() == pytest.approx([60] * 3 + [180] * 3, abs=2)
    (tmp_path / "food-101" / "images" / "waffles" / "3.jpg").unlink()
    from scaling.data.source import forget

    forget()
    with pytest.raises(DataError, match=r"1 of 26 images .* cannot be read: .*waffles/3\.jpg"):
        prepare([data])


def _imagenet(root: Path) -> None:
    """A tar of one tar for each class, a flat tar of validation images, and the devkit that tells their classes."""
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    wnids = ("n01440764", "n02102040")
    inner = {}
    for label, wnid in enumerate(wnids):
        _tar(root / "inner.tar", {f"{wnid}_{i}.JPEG": _jpeg(60 + 120 * label) for i in range(10)}, "w")
        inner[f"{wnid}.tar"] = (root / "inner.tar").read_bytes()
    (root / "inner.tar").unlink()
    _tar(root / "ILSVRC2012_img_train.tar", inner, "w")
    truth = [1, 0, 1, 0, 1, 0]
    _tar(
        root / "ILSVRC2012_img_val.tar",
        {f"ILSVRC2012_val_{i:08d}.JPEG": _jpeg(60 + 120 * label) for i, label in enumerate(truth)},
        "w",
    )
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    synsets = np.array([(i + 1, wnid, f"fish {i}, other", "gloss", 0) for i, wnid in enumerate(wnids)], dtype=kinds)
    savemat(root / "meta.mat", {"synsets": synsets})
    _tar(
        root / "ILSVRC2012_devkit_t12.tar.gz",
        {
            "ILSVRC2012_devkit_t12/data/meta.mat": (root / "meta.mat").read_bytes(),
            "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": "".join(
                f"{label + 1}\n" for label in truth
            ).encode(),
        },
    )
    (root / "meta.mat").unlink()


def test_imagenet_is_unpacked_from_its_archives(
    tmp_path: Path, make_cell: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    _imagenet(tmp_path)
    monkeypatch.setitem(published.PUBLISHED, "imagenet", replace(PUBLISHED["imagenet"], num_classes=2))
    words = ("data=imagenet", f"data.root={tmp_path}", "data.train_size=12", "data.image_size=16")
    data = make_cell(*words, "data.permute_patch=4").data
    assert prepare([data]) == []
    splits = load_splits(data, torch.device("cpu"))
    images, labels = next(splits.test.in_order(10))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.float().mean((1, 2, 3)).tolist() == pytest.approx([60] * 3 + [180] * 3, abs=2)


def test_another_number_of_classes_is_another_data_set(tmp_path: Path, make_cell: Callable) -> None:
    _imagenet(tmp_path)
    data = make_cell(
        "data=imagenet", f"data.root={tmp_path}", "data.train_size=1000", "data.image_size=16", "data.permute_patch=4"
    ).data
    with pytest.raises(DataError, match="has 2 classes, ImageNet has 1000; use data=folder"):
        prepare([data])
