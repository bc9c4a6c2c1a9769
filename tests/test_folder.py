"""A user's folder: what is listed and refused, names of any script, and fingerprints that are remembered safely."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaling.data.errors import DataError
from scaling.data.sources import fingerprint
from scaling.data.sources.folder import Folder, read_layout


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[Path], Folder]:
    def read(root: Path) -> Folder:
        read_layout.cache_clear()
        return read_layout(str(root), tmp_path / "decoded")

    return read


NAMES = {"train": {"cat": 2, "l'été, à 5 = 6": 2, 'say "no"': 2, "кошка": 2, "猫 と 犬": 2}}


def test_classes_are_sorted_and_names_of_any_script_are_kept(image_folder: Callable, listed: Callable) -> None:
    catalogue = listed(image_folder(NAMES, "my images, all = best")).catalogue
    assert catalogue.classes == tuple(sorted(NAMES["train"]))
    assert catalogue.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert catalogue.keys[2] == "l'été, à 5 = 6/000.png"
    assert catalogue.sizes == {"train": 10, "val": 0, "test": 0}


def test_both_spellings_of_an_accent_are_one_key(image_folder: Callable, listed: Callable) -> None:
    """macOS stores é as e and an accent: the same folder copied there has the same subsets and fingerprint."""
    composed, apart = (image_folder({"train": {"caf" + e: 3, "tea": 3}}) for e in ("\u00e9", "e\u0301"))
    assert listed(composed).catalogue.keys == listed(apart).catalogue.keys
    assert listed(composed).fingerprint == listed(apart).fingerprint


def test_a_name_that_is_no_utf8_is_read(image_folder: Callable, listed: Callable) -> None:
    root = image_folder({"train": {"a": 2, "b": 2}})
    odd = os.fsencode(root / "train" / "a") + b"/\xff\xfe.png"
    os.rename(root / "train" / "a" / "000.png", odd)
    assert len(listed(root).catalogue.keys) == 4


def test_nested_and_linked_folders_are_walked_and_circles_are_not(image_folder: Callable, listed: Callable) -> None:
    root = image_folder({"train": {"a": 2, "b": 2}})
    deep = root / "train" / "a" / "2024" / "may"
    deep.mkdir(parents=True)
    os.rename(root / "train" / "a" / "000.png", deep / "000.png")
    (deep / "up").symlink_to(root / "train" / "a")
    (root / "train" / "linked").symlink_to(root / "train" / "b")
    assert listed(root).catalogue.keys == (
        "a/001.png", "a/2024/may/000.png", "b/000.png", "b/001.png", "linked/000.png", "linked/001.png",
    )  # fmt: skip


def test_hidden_files_are_left_out_and_others_counted(image_folder: Callable, listed: Callable) -> None:
    root = image_folder({"train": {"a": 2, "b": 2}})
    for name in ("._000.png", ".DS_Store", "notes.txt", "IMG.HEIC", "README"):
        (root / "train" / "a" / name).write_bytes(b"x")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    os.mkfifo(root / "train" / "a" / "pipe.png")  # opening it would wait for ever
    found = listed(root)
    assert found.catalogue.classes == ("a", "b")
    assert len(found.catalogue.keys) == 4
    assert found.ignored == {".txt": 1, ".heic": 1, "README": 1}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train": {"a": 3, "b": 0}, "test": {"a": 1, "b": 1}}, r"without images: b; images end in \.jpg"),
        ({"train": {"a": 3, "b": 3}, "test": {"a": 1}}, r"train/ and test/ have different classes: b only in one"),
        ({"train": {"a": 3, "b": 3}, "test": {"a": 1, "b": 1, "c": 1}}, r"different classes: c only in one"),
        ({"train": {"a": 3}, "test": {"a": 1}}, r"only one class \(a\)"),
        ({"test": {"a": 3, "b": 3}}, r"train is not there beside test/"),
        ({"train": {"a": 3, "b": 3}, "val": {"a": 1, "b": 1}, "validation": {"a": 1, "b": 1}}, r"keep one of them"),
        ({}, r"is not there; data\.root must hold train/<class>/\*"),
    ],
)
def test_a_folder_of_the_wrong_shape_is_refused(
    image_folder: Callable, listed: Callable, counts: dict, message: str
) -> None:
    with pytest.raises(DataError, match=message) as error:
        listed(image_folder(counts))
    assert "\n" not in str(error.value)


def test_images_without_class_folders_are_refused(tmp_path: Path, listed: Callable) -> None:
    for i in range(3):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{i}.jpg")
    with pytest.raises(DataError, match="3 images but no class folders"):
        listed(tmp_path)


def test_fingerprint_follows_names_and_contents_and_not_the_place(image_folder: Callable, listed: Callable) -> None:
    counts = {"train": {"a": 3, "b": 3}, "test": {"a": 1, "b": 1}}
    one, two = image_folder(counts), image_folder(counts)
    first = listed(one).fingerprint
    assert listed(two).fingerprint == first
    Image.new("RGB", (8, 8), 1).save(two / "train" / "a" / "000.png")
    assert listed(two).fingerprint != first
    (one / "train" / "a" / "000.png").rename(one / "train" / "a" / "other.png")
    assert listed(one).fingerprint != first


def test_the_fingerprint_of_records_from_before_is_kept(tmp_path: Path, listed: Callable) -> None:
    """Pinned: train/ and test/ are hashed as version 0.1 hashed them, so that results keep their config_hash."""
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / "old" / split / name).mkdir(parents=True)
            (tmp_path / "old" / split / name / "1.png").write_bytes(f"{split}{name}".encode())
    assert listed(tmp_path / "old").fingerprint == "56d825a033c4df31"


@pytest.fixture
def aged(image_folder: Callable) -> tuple[list[str], Path]:
    """Files that have not changed for some seconds as far as the hashing knows."""
    root = image_folder({"train": {"a": 3, "b": 3}})
    return sorted(str(path) for path in root.rglob("*.png")), root.parent / "decoded"


def test_hashes_are_remembered_and_contents_are_not_read_again(
    aged: tuple[list[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, cache = aged
    monkeypatch.setattr(fingerprint, "_GRAIN", -(10**12))  # as if the files were old
    first = fingerprint.content_hashes(files, cache=cache)
    monkeypatch.setattr(fingerprint, "_content_hash", lambda path: pytest.fail("read again"))
    assert fingerprint.content_hashes(files, cache=cache) == first


def test_a_change_that_keeps_size_and_time_is_seen(
    aged: tuple[list[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, cache = aged
    monkeypatch.setattr(fingerprint, "_GRAIN", -(10**12))
    first = fingerprint.content_hashes(files, cache=cache)
    before, content = os.stat(files[2]), Path(files[2]).read_bytes()
    Path(files[2]).write_bytes(content[:-1] + b"?")
    os.utime(files[2], ns=(before.st_atime_ns, before.st_mtime_ns))
    second = fingerprint.content_hashes(files, cache=cache)
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, True, False, True, True, True]


def test_hashes_of_files_that_just_changed_are_not_remembered(aged: tuple[list[str], Path]) -> None:
    files, cache = aged
    fingerprint.content_hashes(files, cache=cache)
    assert not list(cache.rglob("*"))


def test_damaged_memory_is_not_believed(aged: tuple[list[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    files, cache = aged
    monkeypatch.setattr(fingerprint, "_GRAIN", -(10**12))
    first = fingerprint.content_hashes(files, cache=cache)
    (memory,) = (cache / "hashes").iterdir()
    damaged = bytearray(memory.read_bytes())
    damaged[5] ^= 1
    memory.write_bytes(damaged)
    assert fingerprint.content_hashes(files, cache=cache) == first


def test_two_classes_that_differ_in_spelling_only_are_refused(tmp_path: Path, listed: Callable) -> None:
    for name in ("caf\u00e9", "cafe\u0301"):
        (tmp_path / "both" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "both" / name / "1.png")
    with pytest.raises(DataError, match="different spellings"):
        listed(tmp_path / "both")


def test_a_damaged_image_stops_the_command_in_one_line(
    image_folder: Callable, command: Callable, tmp_path: Path
) -> None:
    """Names with quotes, commas, = and other scripts on the command line and in the message; nothing is started."""
    root = image_folder({"": {"l'été = 1": 20, 'say "no", dog': 20}}, "my pics, all = 'best' 猫")
    (root / "l'été = 1" / "007.png").write_bytes(b"torn")
    word = "data.root='{}'".format(str(root).replace("'", "\\'"))
    done = command("scaling.train", "model=resnet8", "data=folder", word, "data.train_size=20", "wandb=disabled")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "1 of 40 images" in done.stderr
    assert "l'été = 1/007.png (not an image)" in done.stderr
    assert not (tmp_path / "runs").exists()
