"""What the pilot sees in a folder, and what it refuses: real files, small ones."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from odd_trees import plant, trees
from PIL import Image

from analysis.arguments import InputError
from analysis.pilot import command as pilot
from analysis.pilot import reading
from analysis.pilot.folder import Look, look, write_table
from analysis.pilot.place import safe_name
from analysis.pilot.reading import reading_lines
from scaling.config.data_words import data_config
from scaling.data.pixels.open_images import forget

Folder = Callable[..., Path]


def seen(root: Path, **more: str) -> Look:
    forget()
    return look(data_config({"data.root": str(root), "data.skip_unreadable": "true"} | more), seconds=5)


def test_a_folder_with_copies_and_unequal_classes(image_folder: Folder) -> None:
    root = image_folder({"train": {"cat": 90, "dog": 20}, "test": {"cat": 10, "dog": 5}})
    Image.open(root / "test" / "cat" / "000.png").save(root / "train" / "cat" / "leak.bmp")  # the same pixels
    shutil.copy(root / "train" / "cat" / "001.png", root / "train" / "dog" / "copy.png")
    (root / "train" / "cat" / "notes.txt").write_text("not a picture")
    found = seen(root)
    assert found.train_images in (110, 111)  # a copy may be among the images kept for validation
    assert found.test_images == 15
    # The reader has left out the picture that the test set has, too; the pilot the second copy.
    assert "1 training images are exact copies of held-out images (1 of test images" in "\n".join(found.found.notes)
    assert (found.gone.leaks, found.gone.copies) == (0, 111 - found.train_images)
    assert found.sides == (8, 8, 8)
    assert not found.held_out
    said = "\n".join(found.lines())
    assert "unequal classes: " in said
    assert "not used: 1 files that do not end like images (.txt: 1)" in said


def test_without_a_test_folder_a_fifth_is_held_out_the_same_every_time(image_folder: Folder) -> None:
    root = image_folder({"train": {"cat": 50, "dog": 50}})
    flat = root.parent / "flat"
    shutil.copytree(root / "train", flat)
    first = seen(root)
    for folder in (root, flat):
        found = seen(folder)
        assert found.held_out
        assert (found.train_images, found.test_images) == (80, 20)
        assert np.bincount(found.found.listing.catalogue.labels[found.test]).tolist() == [10, 10]
        assert (found.train.tolist(), found.test.tolist()) == (first.train.tolist(), first.test.tolist())
        assert found.found.fingerprint == first.found.fingerprint


def test_the_table_leads_to_a_share_of_every_class(image_folder: Folder, tmp_path: Path) -> None:
    root = image_folder({"train": {"cat": 60, "dog": 20}, "test": {"cat": 8, "dog": 8}}, "it's, mine")
    file = write_table(seen(root), tmp_path / "images.csv", train=40, val=8, test=100)
    with file.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert Counter((row["split"], row["label"]) for row in rows) == {
        ("train", "cat"): 30, ("train", "dog"): 10, ("val", "cat"): 6, ("val", "dog"): 2,
        ("test", "cat"): 8, ("test", "dog"): 8,
    }  # fmt: skip
    assert all(Path(row["path"]).is_relative_to(root) and Path(row["path"]).exists() for row in rows)


@pytest.mark.parametrize(("name", "paths", "right"), trees(), ids=[name for name, *_ in trees()])
@pytest.mark.slow
def test_pilot_and_trainer_list_the_same_images(
    name: str, paths: list[str], right: object, tmp_path: Path, make_cell: Callable
) -> None:
    from scaling.config import ConfigError
    from scaling.data.sources.read import Place, read_place

    root = plant(tmp_path / name, paths)
    words = ("data=folder", f"data.root='{root}'", "data.train_size=3")
    if isinstance(right, str):
        with pytest.raises(ConfigError) as refused:
            make_cell(*words)
        with pytest.raises(InputError) as error:
            seen(root)
        assert str(error.value) == str(refused.value)
    else:
        listing = read_place(Place.of(make_cell(*words).data), tmp_path / "decoded")
        assert seen(root).found.listing.catalogue.paths == listing.catalogue.paths
        assert seen(root).found.listing.left_out == listing.left_out


def test_pilot_and_trainer_list_the_same_images_of_a_few_trees(tmp_path: Path, make_cell: Callable) -> None:
    for name, paths, right in trees():
        if name in ("seg", "eval beside", "thumbnails", "train is a class"):
            test_pilot_and_trainer_list_the_same_images(name, paths, right, tmp_path, make_cell)


def _empty(root: Path, make: Folder) -> Path:
    root.mkdir()
    return root


def _one_class(root: Path, make: Folder) -> Path:
    return make({"train": {"cat": 30}, "test": {"cat": 5}}, root.name)


def _ten_images(root: Path, make: Folder) -> Path:
    return make({"train": {"cat": 5, "dog": 5}, "test": {"cat": 2, "dog": 2}}, root.name)


def _texts(root: Path, make: Folder) -> Path:
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        (root / name / "a.txt").write_text("no picture")
    return root


def _unmatched(root: Path, make: Folder) -> Path:
    return make({"train": {"cat": 60, "dog": 60}, "test": {"cat": 9, "cow": 9}}, root.name)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_empty, "has no class folders; data.root must hold train/<class>/*"),
        (_one_class, "only one class (cat); at least two are needed"),
        (_ten_images, "has 10 training images in 2 classes: too few for a curve; 125 are the least"),
        (_texts, "class folders without images: cat, dog (but .txt files); images end in .jpg"),
        (_unmatched, "train/ and test/ have different classes: cow, dog only in one of them"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    build: Callable[[Path, Folder], Path],
    message: str,
    image_folder: Folder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = build(tmp_path / "my images", image_folder)
    assert pilot.main([f"data.root={root}", "time_limit=5m", f"out={tmp_path / 'runs'}"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_broken_files_are_set_aside_and_named(image_folder: Folder) -> None:
    root = image_folder({"train": {"cat": 60, "dog": 60}, "test": {"cat": 9, "dog": 9}})
    for i in range(3):
        (root / "train" / "dog" / f"{i}.jpg").write_text("x")
    Image.new("1", (20_000, 20_000)).save(root / "train" / "dog" / "huge.png")
    found = seen(root)
    assert (found.train_images, found.images) == (120, 138)
    assert [line.rsplit("/", 1)[-1] for line in found.unreadable] == [
        *(f"{i}.jpg: not an image" for i in range(3)), "huge.png: too large: more than 178,956,970 pixels"
    ]  # fmt: skip
    assert "set aside, since they cannot be read: 4 files" in "\n".join(found.lines())
    with pytest.raises(InputError, match=r"4 of 142 images .*0\.jpg \(not an image\).*data\.skip_unreadable=true"):
        seen(root, **{"data.skip_unreadable": "false"})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("猫犬", "猫犬"),
        ("cafe\u0301", "caf\u00e9"),
        ("my images, all = 1", "my_images__all___1"),
        ("हिन्दी", "हिन्दी"),
        ("", "data"),
        ("é" * 125, "é" * 60),
    ],
)
def test_names_of_places(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_groups_reach_the_pilots_table(image_folder: Folder, tmp_path: Path) -> None:
    root = image_folder({"": {f"{label}/burst{i}": 5 for label in "ab" for i in range(12)}})
    found = seen(root, **{"data.group": "parent"})
    file = write_table(found, tmp_path / "images.csv", train=200, val=100, test=100)
    with file.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert {(Path(row["path"]).parent.name, row["group"]) for row in rows} == {(f"burst{i}",) * 2 for i in range(12)}
    parts = [{row["group"] for row in rows if row["split"] == split} for split in ("train", "val", "test")]
    assert sum(map(len, parts)) == 12 == len(set.union(*parts))


def test_what_takes_long_to_read_is_said_before(
    image_folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = image_folder({"": {"cat": 100, "dog": 100}})
    config = data_config({"data.root": str(root)})
    assert reading_lines(config, (), 60) == []  # 200 small pictures take no time
    clock = iter(range(0, 10_000, 3))
    monkeypatch.setattr(reading.time, "monotonic", lambda: next(clock))  # three seconds a picture
    monkeypatch.setattr(reading, "cores", lambda: 2)
    (told,) = reading_lines(config, (), 3600)
    assert told.startswith("reading 200 images (0.0 GB) once takes about ")
    with pytest.raises(InputError, match=r"reading 200 images .*too much of time_limit=60s: give time_limit=\d+m"):
        reading_lines(config, (), 60)
