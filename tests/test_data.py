"""From a config to a run's splits: nesting across sizes, one test set for all, layouts, what stays on the device."""

import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.data.errors import DataError
from scaling.data.prepare import prepare
from scaling.data.splits import ImageSet, load_splits, mean_and_std

CPU = torch.device("cpu")


def whole(images: ImageSet) -> tuple[torch.Tensor, torch.Tensor]:
    """All images and labels of a set, in its order."""
    batches = list(images.in_order(7))
    return torch.cat([batch for batch, _ in batches]), torch.cat([labels for _, labels in batches])


def rows(images: ImageSet) -> set[bytes]:
    return {image.numpy().tobytes() for image in whole(images)[0]}


COUNTS = {"train": {"cat": 30, "dog": 30, "émeu, le": 30}, "test": {"cat": 4, "dog": 4, "émeu, le": 4}}


def quoted(path: Path) -> str:
    return "data.root='{}'".format(str(path).replace("'", "\\'"))


@pytest.fixture(params=["strokes", "folder"])
def make_data(request: pytest.FixtureRequest, make_cell: Callable, image_folder: Callable) -> Callable:
    if request.param == "strokes":
        base = ["data.strokes.num_classes=3", "data.test_size=100", "data.image_size=16", "data.permute_patch=4"]
    else:
        base = ["data=folder", quoted(image_folder(COUNTS)), "data.image_size=8"]
    return lambda *overrides: make_cell(*base, "model=resnet8", *overrides).data


def test_subsets_nest_and_are_balanced(make_data: Callable) -> None:
    sizes = (7, 20, 41)
    sets = [load_splits(make_data(f"data.train_size={n}"), CPU).train for n in sizes]
    for smaller, larger in pairwise(sets):
        assert torch.equal(whole(larger)[0][: len(smaller)], whole(smaller)[0])
    for n, images in zip(sizes, sets, strict=True):
        counts = np.bincount(images.labels, minlength=3)
        assert len(rows(images)) == n
        assert counts.max() - counts.min() <= 1


def test_validation_and_test_are_apart_and_the_test_set_is_one(make_data: Callable) -> None:
    splits = load_splits(make_data("data.train_size=60"), CPU)
    other = load_splits(make_data("data.train_size=9", "data.subset_seed=3"), CPU)
    assert not rows(splits.train) & rows(splits.val)
    assert not rows(splits.test) & (rows(splits.train) | rows(splits.val))
    assert torch.equal(whole(splits.test)[0], whole(other.test)[0])


def test_validation_is_the_same_for_every_subset_seed_and_grows_with_n(make_data: Callable) -> None:
    small, large = (load_splits(make_data(f"data.train_size={n}"), CPU).val for n in (12, 60))
    other = load_splits(make_data("data.train_size=60", "data.subset_seed=1"), CPU).val
    assert len(small) == 12  # the floor of four per class
    assert len(large) == 15
    assert torch.equal(whole(large)[0][:12], whole(small)[0])
    assert torch.equal(whole(large)[0], whole(other)[0])


def test_subset_seeds_give_other_images(make_data: Callable) -> None:
    a, b = (load_splits(make_data("data.train_size=20", f"data.subset_seed={s}"), CPU).train for s in (0, 1))
    assert rows(a) != rows(b)


def test_every_model_gets_the_same_subset(make_cell: Callable) -> None:
    a, b = (
        load_splits(make_cell(f"model={m}", "data.train_size=50", "data.test_size=10").data, CPU).train
        for m in ("resnet8", "vit_w48d3")
    )
    assert torch.equal(whole(a)[0], whole(b)[0])


def test_splits_are_normalised_by_the_training_subset_alone(make_data: Callable) -> None:
    splits = load_splits(make_data("data.train_size=30"), CPU)
    inputs = splits.inputs(whole(splits.train)[0])
    assert torch.allclose(inputs.mean((0, 2, 3)), torch.zeros(inputs.shape[1]), atol=1e-4)
    assert torch.allclose(inputs.std((0, 2, 3), correction=0), torch.ones(inputs.shape[1]), atol=1e-4)


def test_mean_and_deviation_are_those_of_numpy() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3, 6, 6))
    flat = pixels.reshape(50, 3, 36)
    mean, std = mean_and_std(np.stack([flat.sum(2), (flat**2).sum(2)], axis=2), pixels=36)
    assert mean == pytest.approx((pixels / 255).mean((0, 2, 3)), rel=1e-12)
    assert std == pytest.approx((pixels / 255).std((0, 2, 3)), rel=1e-9)


def test_locality_permutes_train_and_test_alike(make_data: Callable) -> None:
    plain = load_splits(make_data("data.train_size=20", "data.permute_patch=4"), CPU)
    moved = load_splits(make_data("data.train_size=20", "data.permute_patch=4", "data.locality=0"), CPU)
    for images in (whole(plain.train)[0], whole(plain.test)[0]):
        a, b = plain.inputs(images).flatten(2), moved.inputs(images).flatten(2)
        assert not torch.equal(a, b)
        assert torch.equal(a[:, :, moved.pixels], b)


def test_the_next_run_finds_the_images_on_the_device(make_data: Callable) -> None:
    first = load_splits(make_data("data.train_size=20"), CPU)
    second = load_splits(make_data("data.train_size=41", "data.locality=0", "data.permute_patch=4"), CPU)
    assert first.train.pool.data_ptr() == second.train.pool.data_ptr()
    assert first.test.pool.data_ptr() == second.test.pool.data_ptr()


def test_a_subset_of_a_folder_is_pinned(make_cell: Callable, image_folder: Callable) -> None:
    """The same images on every machine, Python and file system: the keys alone decide, not the order of a listing."""
    root = image_folder(COUNTS)
    splits = load_splits(make_cell("data=folder", quoted(root), "data.image_size=8", "data.train_size=40").data, CPU)
    train, labels = whole(splits.train)
    told = hashlib.sha256(train.numpy().tobytes() + labels.numpy().tobytes() + whole(splits.val)[0].numpy().tobytes())
    assert told.hexdigest()[:12] == "2a5ce55b4681"


TRAIN_ONLY = {"": {"cat": 50, "dog": 50}}
THREE = {"train": {"cat": 20, "dog": 20}, "val": {"cat": 9, "dog": 9}, "test": {"cat": 3, "dog": 3}}


def test_without_a_test_set_a_share_is_kept_apart(make_cell: Callable, image_folder: Callable) -> None:
    """20 of 100 for the test, 16 of the remaining 80 for validation; whatever the subset, the test set is one."""
    base = ("data=folder", quoted(image_folder(TRAIN_ONLY)), "data.image_size=8", "data.train_size=64")
    a, b = (load_splits(make_cell(*base, f"data.subset_seed={seed}").data, CPU) for seed in (0, 1))
    assert [len(part) for part in (a.train, a.val, a.test)] == [64, 16, 20]
    assert np.bincount(a.test.labels).tolist() == [10, 10]
    assert torch.equal(whole(a.test)[0], whole(b.test)[0])
    assert not rows(a.test) & (rows(a.train) | rows(a.val))
    with pytest.raises(ValueError, match=r"train_size=65 is more than the 64 images"):
        make_cell(*base[:-1], "data.train_size=65")
    assert len(load_splits(make_cell(*base[:-1], "data.train_size=50", "data.test_share=0.3").data, CPU).test) == 30


def test_a_validation_folder_is_used_whole_and_not_trained_on(make_cell: Callable, image_folder: Callable) -> None:
    base = ("data=folder", quoted(image_folder(THREE)), "data.image_size=8", "data.train_size=40")
    splits = load_splits(make_cell(*base).data, CPU)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [40, 10, 6]
    assert not rows(splits.val) & rows(splits.train)


def test_val_beside_train_alone_is_the_test_set(make_cell: Callable, image_folder: Callable) -> None:
    root = image_folder({"train": {"cat": 20, "dog": 20}, "val": {"cat": 9, "dog": 9}})
    splits = load_splits(make_cell("data=folder", quoted(root), "data.image_size=8", "data.train_size=20").data, CPU)
    assert len(splits.test) == 18


def test_unequal_classes_keep_their_shares_and_none_is_lost(make_cell: Callable, image_folder: Callable) -> None:
    root = image_folder({"": {"common": 80, "rare": 4, "some": 16}})
    base = ("data=folder", quoted(root), "data.image_size=8")
    splits = load_splits(make_cell(*base, "data.train_size=30").data, CPU)
    for part in (splits.train, splits.val, splits.test):
        assert np.bincount(part.labels, minlength=3).min() >= 1
    assert np.bincount(splits.train.labels).tolist() == pytest.approx([24, 1.2, 4.8], abs=1)


def test_ten_images_are_enough_to_run(make_cell: Callable, image_folder: Callable) -> None:
    root = image_folder({"": {"a": 5, "b": 5}})
    data = make_cell("data=folder", quoted(root), "data.image_size=8", "data.train_size=6").data
    (line,) = prepare([data])
    assert line.endswith(
        "10 images in 2 classes (a, b): training 6, validation 2 (20% of the rest), test 2 (20% of all)"
    )
    assert len(load_splits(data, CPU).train) == 6


def test_a_class_with_too_few_images_is_named(make_cell: Callable, image_folder: Callable) -> None:
    data = make_cell(
        "data=folder", quoted(image_folder({"": {"a": 50, "lonely": 1}})), "data.image_size=8", "data.train_size=2"
    ).data
    with pytest.raises(DataError, match="training set of all classes: none of lonely"):
        prepare([data])


def test_a_grey_folder(make_cell: Callable, image_folder: Callable) -> None:
    words = ("data=folder", quoted(image_folder(COUNTS)), "data.image_size=8", "data.train_size=20", "data.channels=1")
    grey, colour = (load_splits(make_cell(*words[:count]).data, CPU) for count in (5, 4))
    expected = (whole(colour.train)[0].double() * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
    assert whole(grey.train)[0].shape == (20, 1, 8, 8)
    assert torch.allclose(whole(grey.train)[0][:, 0].double(), expected, atol=1)  # ITU-R 601, as PIL documents it


def test_real_images_are_read_through_a_folder(shared_data: Path, tmp_path: Path, make_cell: Callable) -> None:
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
                target = tmp_path.joinpath("few", *parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None
                target.write_bytes(source.read())
            if len(wanted) == 4 and min(wanted.values()) == 20:
                break
    words = ("data=folder", quoted(tmp_path / "few"), "data.train_size=32", "model=resnet8")
    splits = load_splits(make_cell(*words).data, CPU)
    assert whole(splits.train)[0].shape == (32, 3, 32, 32)
    assert whole(splits.train)[0].double().std() > 30
