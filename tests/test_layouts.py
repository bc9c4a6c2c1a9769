"""How a user's folder is understood: split names, what is left out, what is refused, and what is said of it."""

from __future__ import annotations

import runpy
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_trees import COUNTS, FEW, Right, pictures, plant, trees

from scaling.config.data_words import data_config
from scaling.data.errors import DataError
from scaling.data.look import look_at
from scaling.data.prepare import prepare
from scaling.data.sources.folder import Folder, read_layout
from scaling.data.sources.split_names import choose_splits, is_fold, split_names


def listed(root: Path, layout: str = "auto") -> Folder:
    read_layout.cache_clear()
    return read_layout(str(root), None, layout)


def counts(found: Folder) -> dict[str, dict[str, int]]:
    catalogue = found.catalogue
    labels = {
        split: [catalogue.classes[i] for i in catalogue.labels[catalogue.rows(split)]] for split in catalogue.sizes
    }
    return {split: dict(Counter(names)) for split, names in labels.items() if names}


@pytest.mark.parametrize(("name", "paths", "right"), trees(), ids=[name for name, *_ in trees()])
def test_a_tree_is_understood_or_refused_in_one_line(tmp_path: Path, name: str, paths: list[str], right: Right) -> None:
    root = plant(tmp_path / name, paths)
    if isinstance(right, str):
        with pytest.raises(DataError) as error:
            listed(root)
        assert right in str(error.value)
        assert "\n" not in str(error.value)
    else:
        assert counts(listed(root)) == right


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["eval/cat/1.png", "eval/dog/2.png"], "2 pictures in folders beside the splits (eval/)"),
        (["cover.jpg"], "1 pictures outside class folders (cover.jpg)"),
        (["train/cat/a.txt", "train/b.heic"], "2 files that do not end like images (.heic: 1, .txt: 1)"),
        (["train/cat/@eaDir/1.png"], "1 thumbnails of a file server (@eaDir/)"),
        (["train/cat/up -> .."], "1 links to a folder above (up/)"),
        (["train/cat/bad\nname\x1b.txt", "a\nb.png"], r"1 pictures outside class folders (a\nb.png)"),
        ([f"{i}.jpg" for i in range(5)], "5 pictures outside class folders (0.jpg, 1.jpg, 2.jpg, ...)"),
    ],
)
def test_what_is_not_used_is_told(tmp_path: Path, paths: list[str], told: str) -> None:
    found = listed(plant(tmp_path / "x", [*pictures("train", COUNTS), *pictures("test", FEW), *paths]))
    assert told in [str(one) for one in found.left_out]


def test_before_anything_trains_the_parts_are_told(tmp_path: Path, make_cell: Callable) -> None:
    root = plant(tmp_path / "pets", [*pictures("Training", COUNTS), *pictures("Testing", FEW), "eval/1.png"])
    notes = prepare([make_cell("data=folder", f"data.root='{root}'", "data.train_size=8", "data.image_size=8").data])
    assert notes == [
        f"{root}: 32 images in 2 classes (cat, dog): training 19 from Training/, validation 5 (20% of the training"
        " images), test 8 from Testing/",
        f"not used in {root}: 1 pictures in folders beside the splits (eval/)",
    ]


def test_a_class_may_be_called_train(tmp_path: Path, make_cell: Callable) -> None:
    root = plant(tmp_path / "x", [*pictures("", COUNTS), *pictures("train", {"ice": 4, "tgv": 4})])
    assert counts(listed(root, "classes")) == {"train": {"cat": 12, "dog": 12, "train": 8}}
    cell = make_cell("data=folder", f"data.root='{root}'", "data.layout=classes", "data.train_size=8")
    assert cell.num_classes == 3


def test_the_places_that_a_command_writes_to_are_no_classes(tmp_path: Path, make_cell: Callable) -> None:
    root = plant(tmp_path / "x", [*pictures("", COUNTS), "decoded/a/images.png", "out/keep.png"])
    words = ("data=folder", f"data.root='{root}'", f"data.cache='{root / 'decoded'}'", "data.train_size=8")
    assert make_cell(*words).num_classes == 3  # out/ is a class where out= is another folder
    assert make_cell(*words, f"out='{root / 'out'}'").num_classes == 2


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train_station", "bus_stop"], {}),
        (["latest", "contest", "trainer"], {}),
        (["imagenet_train", "other"], {}),
        (["imagenet_train", "imagenet_val"], {"train": ["imagenet_train"], "val": ["imagenet_val"]}),
        (["train", "train_masks", "test", "dev"], {"train": ["train"], "val": ["dev"], "test": ["test"]}),
        (["held_out", "Train"], {"train": ["Train"], "test": ["held_out"]}),
    ],
)
def test_names_of_splits(names: list[str], splits: dict[str, list[str]]) -> None:
    assert choose_splits(split_names(names))[0] == splits


def test_names_of_folds() -> None:
    assert all(map(is_fold, ("fold1", "Fold 2", "fold_0", "cv3", "split2", "5fold", "k-fold-2", "kfold3")))
    assert not any(map(is_fold, ("folder1", "scaffold", "gold2", "manifold")))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("x.csv", "is a table: data=table"),
        ("x.parquet", "is a Parquet file: data=parquet"),
        ("x.npz", "data=npz"),
        ("x.rar", "is an archive of a kind that is not read"),
        ("x.h5", "is a file, not a folder"),
        ("x.txt", "is a file, not a folder"),
    ],
)
def test_a_refusal_knows_what_it_was_given(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=told):
        listed(tmp_path / name)


@pytest.mark.parametrize("root", ["s3://bucket/photos", "https://example.org/photos.zip", "gs://b/c", "hdfs://a/b"])
def test_an_address_is_no_folder(root: str) -> None:
    with pytest.raises(DataError, match=r"is an address \(\w+\): mount it or copy it"):
        read_layout(root, None)


def test_a_dry_run_makes_the_same_checks(tmp_path: Path, command: Callable) -> None:
    root = plant(tmp_path / "pets", pictures("", COUNTS))
    (root / "cat" / "broken.png").write_bytes(b"no picture")
    words = ["data=folder", f"data.root='{root}'", "data.train_size=8", "data.image_size=8", "model=resnet8_w8"]
    done = command("scaling.train", *words, "wandb=disabled", "dry_run=true")
    assert done.returncode == 2
    assert "1 of 25 images" in done.stderr
    assert not (tmp_path / "runs").exists()
    done = command("scaling.train", *words, "wandb=disabled", "dry_run=true", "data.skip_unreadable=true")
    assert done.returncode == 0
    assert "24 images in 2 classes (cat, dog): training" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_cases_beside_the_checkout(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trees of the shared cases: what is right of each is said in their README."""
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(shared_data / "cases" / "trees.py"))
    trees = tmp_path / "trees"
    for name in ("capital_splits", "intel_splits"):
        assert counts(listed(trees / name)) == {"train": {"cat": 12, "dog": 12}, "test": {"cat": 6, "dog": 6}}
    for name in ("link_to_parent", "nas_thumbnails"):
        assert counts(listed(trees / name)) == {"train": {"cat": 8, "dog": 8}}
    with pytest.raises(DataError, match=r"data\.layout=classes"):
        listed(trees / "train_is_a_class")
    assert counts(listed(trees / "train_is_a_class", "classes")) == {"train": {"bus": 8, "car": 8, "train": 16}}
    for name in ("siteA/photos", "siteB/photos", "data_root_is_here"):
        assert counts(listed(trees / name)) == {"train": {"cat": 120, "dog": 120}}
    sites = {look_at(data_config({"data.root": str(trees / f"site{site}" / "photos")})).fingerprint for site in "AB"}
    assert len(sites) == 2
    patients = look_at(data_config({"data.root": str(trees / "patients")}))
    assert len(patients.parts.train) + len(patients.parts.val) + len(patients.parts.test) == 24
    assert [note for note in patients.notes if "data.group=parent keeps its images on one side" in note]
