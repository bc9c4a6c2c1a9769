"""Copies and groups across splits are counted, told and kept out; only what is dropped counts in the hash."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scaling.config import CellConfig
from scaling.data.errors import DataError
from scaling.data.pixels.open_images import forget, open_images
from scaling.data.prepare import prepare
from scaling.data.splits import load_splits
from scaling.data.subsets.chosen import chosen

RNG = np.random.default_rng(7)
Make = Callable[..., CellConfig]


def _picture(path: Path, pixels: np.ndarray | None = None) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8) if pixels is None else pixels
    Image.fromarray(pixels).save(path)
    return pixels


def _folder(root: Path, counts: dict[str, int]) -> Path:
    for split, count in counts.items():
        for name in "ab":
            for i in range(count):
                _picture(root / split / name / f"{i}.png")
    return root


@pytest.fixture
def cell(make_cell: Make) -> Make:
    def make(root: Path, *words: str, n: int = 4) -> CellConfig:
        forget()
        return make_cell("data=folder", f"data.root={root}", "data.image_size=8", f"data.train_size={n}", *words)

    return make


def _copies_in_test(root: Path) -> Path:
    """Of 12 training and 4 test images a class, three test images were saved again as BMP, one in the other class."""
    _folder(root, {"train": 12, "test": 4})
    for source, copy in (("a/0", "a/c0"), ("a/1", "a/c1"), ("b/0", "a/c2")):
        pixels = np.asarray(Image.open(root / "test" / f"{source}.png"))
        _picture(root / "train" / f"{copy}.bmp", pixels)
    return root


def test_copies_in_another_format_are_kept_out_of_training(cell: Make, tmp_path: Path) -> None:
    root = _copies_in_test(tmp_path / "own")
    data = cell(root).data
    parts = chosen(data, open_images(data))
    keys = [open_images(data).catalogue.keys[row] for row in parts.train]
    assert not [key for key in keys if key.endswith(".bmp")]
    (told,) = [note for note in prepare([data]) if "are exact copies" in note]
    assert "3 training images are exact copies of held-out images (3 of test images" in told
    assert "1 with another label" in told
    assert "kept out of training" in told
    assert (parts.leaks.train, parts.leaks.dropped) == (3, 3)
    splits = load_splits(data, torch.device("cpu"))
    assert len(splits.train) == 4


def test_what_is_dropped_counts_in_the_hash_and_keeping_is_what_older_versions_did(cell: Make, tmp_path: Path) -> None:
    root = _copies_in_test(tmp_path / "own")
    dropped, kept = cell(root), cell(root, "data.leaks=keep")
    assert dict(dropped.data_seen) == {"leaks_dropped": 3}
    assert kept.data_seen == ()
    assert dropped.config_hash != kept.config_hash
    assert any("they are left in" in note for note in prepare([kept.data]))
    assert chosen(kept.data, open_images(kept.data)).leaks.train == 3
    with pytest.raises(DataError, match=r"exact copies.*data\.leaks=drop"):
        prepare([cell(root, "data.leaks=refuse").data])


def test_without_copies_nothing_changes(cell: Make, tmp_path: Path) -> None:
    root = _folder(tmp_path / "own", {"": 12})
    plain, kept = cell(root), cell(root, "data.leaks=keep")
    assert plain.config_hash == kept.config_hash
    images = open_images(plain.data)
    assert np.array_equal(chosen(plain.data, images).train, chosen(kept.data, images).train)
    assert not [note for note in prepare([plain.data]) if "exact copies" in note]


def test_copies_across_a_drawn_split_are_found(cell: Make, tmp_path: Path) -> None:
    """Every image twice under two names: whatever is drawn for the test has its twin elsewhere."""
    root = _folder(tmp_path / "own", {"": 20})
    for name in "ab":
        for i in range(20):
            _picture(root / name / f"twin{i}.png", np.asarray(Image.open(root / name / f"{i}.png")))
    data = cell(root).data
    images = open_images(data)
    parts = chosen(data, images)
    digests = [{tuple(d) for d in images.facts.digests[rows].tolist()} for rows in (parts.train, parts.val, parts.test)]
    assert parts.leaks.dropped > 0
    assert not digests[0] & (digests[1] | digests[2])


def test_a_size_is_counted_after_dropping(cell: Make, tmp_path: Path) -> None:
    root = _copies_in_test(tmp_path / "own")
    left = len(chosen(cell(root).data, open_images(cell(root).data)).train)
    prepare([cell(root, n=left).data])
    with pytest.raises(DataError, match=f"more than the {left} images"):
        prepare([cell(root, n=left + 1).data])


def _patients(root: Path, patients: int = 10, pictures: int = 4, split: str = "") -> Path:
    """Each patient has pictures in both classes."""
    for name in "ab":
        for patient in range(patients):
            for i in range(pictures):
                _picture(root / split / name / f"patient{patient}" / f"{i}.png")
    return root


def _sides(cell: CellConfig, seed: int = 0) -> list[set[str]]:
    images = open_images(cell.data)
    parts = chosen(cell.data, images)
    return [{images.catalogue.keys[row].split("/")[1] for row in rows} for rows in (parts.train, parts.val, parts.test)]


def test_a_group_stays_on_one_side(cell: Make, tmp_path: Path) -> None:
    root = _patients(tmp_path / "own")
    loose = cell(root)
    train, val, test = _sides(loose)
    assert test <= train  # what happens unless told
    assert any("data.group=parent" in note for note in prepare([loose.data]))
    grouped = cell(root, "data.group=parent")
    train, val, test = _sides(grouped)
    assert not train & val and not train & test and not val & test  # noqa: PT018
    assert (len(test), len(val)) == (2, 2)  # of ten: a fifth, and a fifth of the eight that are left
    assert grouped.config_hash != loose.config_hash
    assert not [note for note in prepare([grouped.data]) if "data.group" in note]


def test_a_subset_takes_whole_groups(cell: Make, tmp_path: Path) -> None:
    data = cell(_patients(tmp_path / "own"), "data.group=parent").data
    images = open_images(data)
    parts = chosen(data, images)
    for n in range(2, len(parts.train) + 1):
        taken = [images.catalogue.keys[row] for row in parts.train[:n]]
        for label in "ab":
            counts = [sum(k.startswith(f"{label}/patient{p}/") for k in taken) for p in range(10)]
            assert sum(0 < count < 4 for count in counts) <= 1


def test_groups_of_a_users_own_split_leave_training(cell: Make, tmp_path: Path) -> None:
    root = _patients(tmp_path / "own", 10, split="train")
    _patients(root, 3, 2, split="test")  # patients 0 to 2 are in both
    grouped = cell(root, "data.group=parent")
    train, val, test = _sides(grouped)
    assert test == {"patient0", "patient1", "patient2"}
    assert not test & (train | val)
    assert any("24 training and validation images are left out" in note for note in prepare([grouped.data]))


def test_groups_by_a_table(cell: Make, tmp_path: Path) -> None:
    root = _folder(tmp_path / "own", {"": 12})
    rows = [f"{name}/{i}.png,burst{i // 3}" for name in "ab" for i in range(12)]
    table = tmp_path / "groups.csv"
    table.write_text("\n".join(["path,group", *rows]))
    data = cell(root, f"data.group={table}").data
    images = open_images(data)
    parts = chosen(data, images)
    bursts = [{int(images.catalogue.keys[r].split("/")[1][:-4]) // 3 for r in rows} for rows in
              (parts.train, parts.val, parts.test)]  # fmt: skip
    assert sum(map(len, bursts)) == 4 == len(set.union(*bursts))
    table.write_text("\n".join(["path,group", *rows[1:]]))
    with pytest.raises(Exception, match=r"no group for 1 images: a/0\.png"):
        cell(root, f"data.group={table}")
    with pytest.raises(Exception, match="neither parent nor a CSV"):
        cell(root, "data.group=parnet")


def test_too_few_groups_are_said(cell: Make, tmp_path: Path) -> None:
    data = cell(_patients(tmp_path / "own", 2), "data.group=parent").data
    with pytest.raises(DataError, match="training set of all classes"):
        prepare([data])


def test_unequal_classes_get_a_note_from_ten_to_one(cell: Make, image_folder: Callable) -> None:
    for counts, told in (({"a": 200, "b": 20}, 1), ({"a": 180, "b": 20}, 0)):
        data = cell(image_folder({"": counts})).data
        assert len([note for note in prepare([data]) if "metric=test_balanced_error" in note]) == told
