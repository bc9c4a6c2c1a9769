"""From a config to a run's splits: nesting across sizes, one test set for all, folders and their faults."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scaling.data import load_pools, load_splits
from scaling.data.folder import DataError, folder_facts, read_folder


def _rows(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


COUNTS = {"train": {"cat": 30, "dog": 30, "émeu, le": 30}, "test": {"cat": 4, "dog": 4, "émeu, le": 4}}


@pytest.fixture(params=["strokes", "folder"])
def make_data(request: pytest.FixtureRequest, make_cell: Callable, image_folder: Callable) -> Callable:
    if request.param == "strokes":
        base = ["data.strokes.num_classes=3", "data.test_size=100", "data.image_size=16", "data.permute_patch=4"]
    else:
        root = str(image_folder(COUNTS)).replace("'", "\\'")
        base = ["data=folder", f"data.root='{root}'", "data.image_size=8"]
    return lambda *overrides: make_cell(*base, "model=resnet8", *overrides).data


def test_subsets_nest_and_are_balanced(make_data: Callable) -> None:
    sizes = (7, 20, 41)
    pools = [load_pools(make_data(f"data.train_size={n}"))[0] for n in sizes]
    for smaller, larger in pairwise(pools):
        assert np.array_equal(larger.images[: len(smaller.images)], smaller.images)
    for n, pool in zip(sizes, pools, strict=True):
        counts = np.bincount(pool.labels, minlength=3)
        assert len(_rows(pool.images)) == n
        assert counts.max() - counts.min() <= 1


def test_validation_and_test_are_apart_and_the_test_set_is_one(make_data: Callable) -> None:
    train, val, test = load_pools(make_data("data.train_size=60"))
    _, _, same_test = load_pools(make_data("data.train_size=9", "data.subset_seed=3"))
    assert not _rows(train.images) & _rows(val.images)
    assert not _rows(test.images) & (_rows(train.images) | _rows(val.images))
    assert np.array_equal(test.images, same_test.images)


def test_validation_is_the_same_for_every_subset_seed_and_grows_with_n(make_data: Callable) -> None:
    small, large = (load_pools(make_data(f"data.train_size={n}"))[1] for n in (12, 60))
    other = load_pools(make_data("data.train_size=60", "data.subset_seed=1"))[1]
    assert len(small.labels) == 12  # the floor of four per class
    assert len(large.labels) == 15
    assert np.array_equal(large.images[:12], small.images)
    assert np.array_equal(large.images, other.images)


def test_subset_seeds_give_other_images(make_data: Callable) -> None:
    a, b = (load_pools(make_data("data.train_size=20", f"data.subset_seed={s}"))[0] for s in (0, 1))
    assert _rows(a.images) != _rows(b.images)


def test_every_model_gets_the_same_subset(make_cell: Callable) -> None:
    pools = [
        load_pools(make_cell(f"model={m}", "data.train_size=50", "data.test_size=10").data)
        for m in ("resnet8", "vit_w48d3")
    ]
    assert np.array_equal(pools[0][0].images, pools[1][0].images)


def test_splits_are_normalised_by_the_training_subset_alone(make_data: Callable) -> None:
    splits = load_splits(make_data("data.train_size=30"), torch.device("cpu"))
    inputs = splits.inputs(splits.train_images)
    assert torch.allclose(inputs.mean((0, 2, 3)), torch.zeros(inputs.shape[1]), atol=1e-4)
    assert torch.allclose(inputs.std((0, 2, 3), correction=0), torch.ones(inputs.shape[1]), atol=1e-4)


def test_locality_permutes_train_and_test_alike(make_data: Callable) -> None:
    plain = load_splits(make_data("data.train_size=20", "data.permute_patch=4"), torch.device("cpu"))
    moved = load_splits(make_data("data.train_size=20", "data.permute_patch=4", "data.locality=0"), torch.device("cpu"))
    for images in (plain.train_images, plain.test_images):
        a, b = plain.inputs(images).flatten(2), moved.inputs(images).flatten(2)
        assert not torch.equal(a, b)
        assert torch.equal(a[:, :, moved.pixels], b)


def test_folder_classes_are_sorted_and_labels_right(image_folder: Callable) -> None:
    root = str(image_folder(COUNTS))
    data = read_folder(root, image_size=8)["train"]
    assert folder_facts(root).classes == ("cat", "dog", "émeu, le")
    means = [data.images[data.labels == label].mean() for label in range(3)]
    assert means == pytest.approx([64, 127, 191], abs=6)  # how the fixture draws its classes


def test_images_of_another_size_are_resized(image_folder: Callable) -> None:
    root = image_folder(COUNTS)
    Image.new("L", (40, 16), 255).save(root / "train" / "cat" / "wide.png")
    data = read_folder(str(root), image_size=8)["train"]
    assert data.images.shape == (91, 3, 8, 8)
    wide = data.images[[key.endswith("wide.png") for key in data.keys]]
    assert wide.min() == 255


def test_fingerprint_follows_the_contents(image_folder: Callable) -> None:
    one, two = image_folder(COUNTS), image_folder(COUNTS)
    assert folder_facts(str(one)).fingerprint == folder_facts(str(two)).fingerprint
    folder_facts.cache_clear()
    Image.new("RGB", (8, 8), 1).save(two / "train" / "cat" / "000.png")
    assert folder_facts(str(one)).fingerprint != folder_facts(str(two)).fingerprint


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train": {"a": 3, "b": 3}}, "test is not there"),
        ({"train": {"a": 3, "b": 0}, "test": {"a": 1, "b": 1}}, "without images: b"),
        ({"train": {"a": 3, "b": 3}, "test": {"a": 1}}, "different classes: b"),
        ({"train": {"a": 3}, "test": {"a": 1}}, "only one class"),
        ({"train": {}, "test": {}}, "is not there"),
    ],
)
def test_a_folder_of_the_wrong_shape_is_refused(image_folder: Callable, counts: dict, message: str) -> None:
    root = image_folder(counts)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=message):
        folder_facts(str(root))


def test_a_file_that_is_no_image_is_named(image_folder: Callable) -> None:
    root = image_folder(COUNTS)
    (root / "train" / "dog" / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        read_folder(str(root), image_size=8)


def test_cifar10_is_read_in_torchvisions_format(
    tmp_path: Path, make_cell: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small archive of the real layout: 50 images in five batches; torchvision's checksums are told to pass."""
    import pickle

    from torchvision.datasets import CIFAR10

    from scaling.data.cifar import read_cifar10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
    pixels = {name: rng.integers(0, 256, (10, 3072), dtype=np.uint8) for name in names}
    for name in names:
        (folder / name).write_bytes(pickle.dumps({"data": pixels[name], "labels": list(range(10))}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(i) for i in range(10)]}))
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)
    splits = read_cifar10(str(tmp_path))
    assert splits["train"].images.shape == (50, 3, 32, 32)
    assert np.array_equal(splits["train"].images[12], pixels["data_batch_2"][2].reshape(3, 32, 32))
    assert splits["test"].labels.tolist() == list(range(10))


def test_cifar10_that_cannot_be_had_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    from scaling.data.cifar import prepare_cifar10

    def no_network(self: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(CIFAR10, "download", no_network)
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz"):
        prepare_cifar10(str(tmp_path))


def test_real_images_are_read_through_a_folder(shared_data: Path, tmp_path: Path) -> None:
    """Twenty images of each of two classes from the archive of CIFAR-10 as JPEG."""
    import tarfile

    archive = shared_data / "cifar10-jpeg" / "cifar10-jpeg.tar.xz"
    wanted: dict[str, int] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts[-3:]
            if not member.isfile() or len(parts) < 3 or parts[1] not in ("airplane", "automobile"):
                continue
            key = "/".join(parts[:2])
            if wanted.get(key, 0) < 20:
                wanted[key] = wanted.get(key, 0) + 1
                target = tmp_path.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None
                target.write_bytes(source.read())
            if len(wanted) == 4 and min(wanted.values()) == 20:
                break
    data = read_folder(str(tmp_path), image_size=32)
    assert data["train"].images.shape == (40, 3, 32, 32)
    assert data["train"].images.std() > 30
