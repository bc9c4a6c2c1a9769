"""What the pilot sees in a folder, and what it refuses: real files, small ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from analysis.arguments import InputError
from analysis.pilot import command as pilot
from analysis.pilot.folder import link, look

Folder = Callable[..., Path]


def test_a_folder_with_copies_and_unequal_classes(image_folder: Folder) -> None:
    root = image_folder({"train": {"cat": 90, "dog": 20}, "test": {"cat": 10, "dog": 5}})
    shutil.copy(root / "test" / "cat" / "000.png", root / "train" / "cat" / "leak.png")
    shutil.copy(root / "train" / "cat" / "001.png", root / "train" / "dog" / "copy.png")
    (root / "train" / "cat" / "notes.txt").write_text("not a picture")
    found = look(root, seconds=5)
    assert (found.train_images, found.test_images) == (110, 15)
    assert (found.leaks, found.copies, found.disagree, found.others) == (1, 1, 1, 1)
    assert found.sides == (8, 8, 8)
    assert not found.held_out
    said = "\n".join(found.lines())
    assert "unequal classes: 2" in said
    assert "copies left out: 1 training images that are test images, too, and 1 second copies; 1 of them" in said
    assert "1 files that are no images" in said


def test_without_a_test_folder_a_fifth_is_held_out_the_same_every_time(image_folder: Folder) -> None:
    root = image_folder({"train": {"cat": 50, "dog": 50}})
    flat = root.parent / "flat"
    shutil.copytree(root / "train", flat)
    for folder in (root, flat):
        found = look(folder, seconds=5)
        assert found.held_out
        assert (found.train_images, found.test_images) == (80, 20)
        assert {len(files) for files in found.test.values()} == {10}
        again = look(folder, seconds=0.0)
        assert (again.train, again.test) == (found.train, found.test)


def test_links_lead_to_a_share_of_every_class(image_folder: Folder, tmp_path: Path) -> None:
    root = image_folder({"train": {"cat": 60, "dog": 20}, "test": {"cat": 8, "dog": 8}}, "it's, mine")
    found = look(root, seconds=5)
    made = link(found, tmp_path / "links", train=40, test=100)
    counts = {p.name: len(list(p.iterdir())) for p in (made / "train").iterdir()}
    assert counts == {"cat": 30, "dog": 10}
    assert len(list((made / "test").rglob("*.png"))) == 16
    some = next((made / "train" / "dog").iterdir())
    assert some.resolve().parent == root / "train" / "dog"
    assert link(found, tmp_path / "links", train=4, test=4) == made  # is left as it is
    assert len(list((made / "train").rglob("*.png"))) == 40


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


def _lies(root: Path, make: Folder) -> Path:
    made = make({"train": {"cat": 60, "dog": 60}, "test": {"cat": 9, "dog": 9}}, root.name)
    (made / "train" / "cat" / "zzz.jpg").write_text("no picture")
    return made


def _cut(root: Path, make: Folder) -> Path:
    made = make({"train": {"cat": 60, "dog": 60}, "test": {"cat": 9, "dog": 9}}, root.name)
    file = made / "test" / "dog" / "003.png"
    file.write_bytes(file.read_bytes()[:60])
    return made


def _huge(root: Path, make: Folder) -> Path:
    made = make({"train": {"cat": 60, "dog": 60}, "test": {"cat": 9, "dog": 9}}, root.name)
    Image.new("1", (20_000, 20_000)).save(made / "train" / "dog" / "huge.png")
    return made


def _large(root: Path, make: Folder) -> Path:
    made = make({"train": {"cat": 60, "dog": 60}, "test": {"cat": 9, "dog": 9}}, root.name)
    Image.new("1", (10_000, 10_000)).save(made / "train" / "dog" / "large.png")
    return made


def _unmatched(root: Path, make: Folder) -> Path:
    return make({"train": {"cat": 60, "dog": 60}, "test": {"cat": 9, "cow": 9}}, root.name)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_empty, "has no images in class folders; it must hold train/<class>/* (and test/<class>/*) or <class>/*"),
        (_one_class, "has only one class (cat); at least two are needed"),
        (_ten_images, "has 10 training images in 2 classes: too few for a curve; 125 are the least"),
        (_texts, "has 2 files, but no images (.jpg"),
        (_lies, "zzz.jpg (cannot identify image file"),
        (_cut, "003.png ("),
        (_huge, "huge.png"),
        (_large, "large.png has 10,000 x 10,000 pixels: too large to be read; shrink or remove it"),
        (_unmatched, "classes only in train or only in test: cow, dog"),
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


def test_broken_files_are_counted(image_folder: Folder) -> None:
    root = image_folder({"train": {"cat": 60, "dog": 60}, "test": {"cat": 9, "dog": 9}})
    for i in range(3):
        (root / "train" / "dog" / f"{i}.jpg").write_text("x")
    with pytest.raises(InputError, match=r"3 files are no readable images, the first .*0\.jpg"):
        look(root, seconds=5)
