"""torchvision's data sets, read from small archives of the real formats, and refused in one line where they are not."""

import json
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from archives import jpeg, write_cifar10, write_cifar100, write_fashion_mnist, write_imagenet, write_svhn, write_tar
from torchvision import datasets

from scaling.config import ConfigError
from scaling.data.errors import DataError
from scaling.data.identity import data_fields
from scaling.data.pixels.open_images import forget, open_images
from scaling.data.prepare import prepare
from scaling.data.sources import published
from scaling.data.sources.published import PUBLISHED, prepare_published, read_arrays
from scaling.data.splits import load_splits
from scaling.data.subsets.chosen import chosen
from scaling.sweep.run_cells import check_ready


@pytest.fixture(autouse=True)
def _any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision knows the checksums of the real archives; ours are small. What else it checks, it checks."""
    from torchvision.datasets import cifar, imagenet, mnist, svhn, utils

    for module in (cifar, imagenet, mnist, svhn, utils):
        if hasattr(module, "check_integrity"):
            monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())


ARRAYS: dict[str, tuple[Callable, int, tuple[int, ...]]] = {
    "cifar10": (write_cifar10, 32, (100, 20)),
    "cifar100": (write_cifar100, 32, (500, 100)),
    "fashion_mnist": (write_fashion_mnist, 28, (100, 20)),
    "svhn": (write_svhn, 32, (100, 20)),
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
    write_cifar10(tmp_path)
    prepare_published("cifar10", str(tmp_path))
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"x")
    with pytest.raises(DataError, match=r"CIFAR-10 in .* is damaged"):
        read_arrays("cifar10", str(tmp_path))


def test_fewer_images_than_asked_for_are_said(tmp_path: Path, make_cell: Callable) -> None:
    """The config is held against the published size, the small copy against what it has: 100 less a fifth."""
    write_cifar10(tmp_path)
    data = make_cell("data=cifar10", f"data.root={tmp_path}", "data.train_size=81").data
    with pytest.raises(DataError, match="train_size=81 is more than the 80 images"):
        prepare([data])


@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_set_that_cannot_be_had_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(published, "reachable", lambda url: False)
    with pytest.raises(DataError, match=r"put .* there, or name another place with data\.root=DIR") as said:
        prepare_published(kind, str(tmp_path / "nothing"))
    assert PUBLISHED[kind].archives[0] in str(said.value)
    assert not (tmp_path / "nothing").exists()


def test_torchvision_is_asked_to_download_where_there_is_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "reachable", lambda url: True)
    monkeypatch.setattr(datasets.CIFAR10, "download", lambda self: write_cifar10(tmp_path) and _unpack(tmp_path))
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
            members |= {f"food-101/images/{key}.jpg": jpeg(60 if name == "apple_pie" else 180) for key in keys}
    write_tar(tmp_path / "food-101.tar.gz", members)
    monkeypatch.setitem(published.PUBLISHED, "food101", replace(PUBLISHED["food101"], num_classes=2))
    data = make_cell(
        "data=food101", f"data.root={tmp_path}", "data.train_size=12", "data.image_size=16", "data.permute_patch=4",
        "data.leaks=keep",  # the pictures of a class are one
    ).data  # fmt: skip
    assert ["they are left in" in note for note in prepare([data])] == [True]
    splits = load_splits(data, torch.device("cpu"))
    images, labels = next(splits.test.in_order(10))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.float().mean((1, 2, 3)).tolist() == pytest.approx([60] * 3 + [180] * 3, abs=2)
    (tmp_path / "food-101" / "images" / "waffles" / "3.jpg").unlink()
    from scaling.data.pixels.open_images import forget

    forget()
    with pytest.raises(DataError, match=r"1 of 26 images .* cannot be read: .*waffles/3\.jpg"):
        prepare([data])


def test_imagenet_is_unpacked_from_its_archives(
    tmp_path: Path, make_cell: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_imagenet(tmp_path)
    monkeypatch.setitem(published.PUBLISHED, "imagenet", replace(PUBLISHED["imagenet"], num_classes=2))
    words = ("data=imagenet", f"data.root={tmp_path}", "data.train_size=12", "data.image_size=16")
    data = make_cell(*words, "data.permute_patch=4", "data.leaks=keep").data  # the pictures of a class are one
    assert ["they are left in" in note for note in prepare([data])] == [True]
    splits = load_splits(data, torch.device("cpu"))
    images, labels = next(splits.test.in_order(10))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert images.float().mean((1, 2, 3)).tolist() == pytest.approx([60] * 3 + [180] * 3, abs=2)


def test_another_number_of_classes_is_another_data_set(tmp_path: Path, make_cell: Callable) -> None:
    write_imagenet(tmp_path)
    data = make_cell(
        "data=imagenet", f"data.root={tmp_path}", "data.train_size=1000", "data.image_size=16", "data.permute_patch=4"
    ).data
    with pytest.raises(DataError, match="has 2 classes, ImageNet has 1000; use data=folder"):
        prepare([data])


def _with_a_test_image_in_training(root: Path) -> None:
    """The first image of the second batch is the eighth test image, too; both are of class 0 and 7."""
    folder = root / "cifar-10-batches-py"
    batch, test = (pickle.loads((folder / name).read_bytes()) for name in ("data_batch_2", "test_batch"))
    batch["data"][0] = test["data"][7]
    (folder / "data_batch_2").write_bytes(pickle.dumps(batch))


def test_copies_in_a_published_set_are_told_and_kept_out(tmp_path: Path, make_cell: Callable) -> None:
    words = ("data=cifar10", f"data.root={tmp_path}", "data.train_size=30", "data.val_share=0.2")
    write_cifar10(tmp_path)
    before = make_cell(*words)  # nothing is unpacked yet: nobody can know
    assert before.data_seen == ()
    prepare_published("cifar10", str(tmp_path))
    assert make_cell(*words).config_hash == before.config_hash  # as it ever was where there are no copies
    _with_a_test_image_in_training(tmp_path)
    forget()
    cell, kept = make_cell(*words), make_cell(*words, "data.leaks=keep")
    assert dict(cell.data_seen) == {"leaks_dropped": 1}
    assert kept.config_hash == before.config_hash != cell.config_hash
    (told,) = prepare([cell.data])
    assert (
        "1 training images are exact copies of held-out images (1 of test images, 0 of validation images; 1 with"
        in told
    )
    assert 20 not in chosen(cell.data, open_images(cell.data)).train
    assert data_fields(cell.data, tmp_path)["leaks"] == 1
    with pytest.raises(ConfigError, match="start the same command again"):
        check_ready([before])
