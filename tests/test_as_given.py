"""Data as people have them: read rightly, or refused with what they are, never read wrongly with exit status 0."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from odd_trees import pictures, plant
from PIL import Image

from scaling.data.command import main

Make = Callable[[Path], list[str]]
PETS = {"cat": 6, "dog": 6}


def _table(root: Path, header: str, rows: list[str], name: str = "t.csv") -> list[str]:
    (root / name).write_text("\n".join([header, *rows]), encoding="utf-8")
    return ["data=table", f"data.root={root / name}"]


def _planted(root: Path) -> list[Path]:
    plant(root, pictures("x", PETS))
    return sorted(root.rglob("*.png"))


def _zip_of_windows(root: Path) -> list[str]:
    root.mkdir()
    with zipfile.ZipFile(root / "w.zip", "w") as archive:
        for name in ("cat", "dog"):
            for i in range(6):
                content, member = io.BytesIO(), zipfile.ZipInfo("x")
                Image.fromarray(np.full((4, 4), 20 * i + (name == "dog"), np.uint8)).save(content, "PNG")
                member.filename = f"pets\\{name}\\{i}.png"
                archive.writestr(member, content.getvalue())
    return [f"data.root={root / 'w.zip'}"]


def _windows_paths(root: Path) -> list[str]:
    return _table(root, "path,label", [f"x\\{p.parent.name}\\{p.name},{p.parent.name}" for p in _planted(root)])


def _capital_headers(root: Path) -> list[str]:
    rows = [f"{p},{p.parent.name},{'Test' if int(p.stem) > 3 else 'TRAIN'}" for p in _planted(root)]
    return _table(root, "Path,Label,Split", rows)


def _folder(*paths: str) -> Make:
    def make(root: Path) -> list[str]:
        plant(root, list(paths))
        return [f"data.root={root}"]

    return make


def _workbook(root: Path) -> list[str]:
    root.mkdir()
    (root / "labels.xlsx").write_bytes(b"PK\3\4\0\0\0\0")
    return ["data=table", f"data.root={root / 'labels.xlsx'}"]


def _other_split(root: Path) -> list[str]:
    return _table(root, "path,label,set", [f"{p},{p.parent.name},{['train', 'test'][i % 2]}"
                                           for i, p in enumerate(_planted(root))])  # fmt: skip


def _ids(root: Path) -> list[str]:
    return _table(root, "path,label", [f"{p.stem},{p.parent.name}" for p in _planted(root)])


def _measurements(root: Path) -> list[str]:
    return _table(root, "path,label", [f"{p},{i / 7:.4f}" for i, p in enumerate(_planted(root))])


def _several(root: Path) -> list[str]:
    return _table(root, "path,label", [f"{p},{['a', 'b', 'a|b'][i % 3]}" for i, p in enumerate(_planted(root))])


def _several_in_arrays(root: Path) -> list[str]:
    root.mkdir()
    labels = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]] * 4)
    np.savez(root / "m.npz", x_train=np.zeros((12, 4, 4, 3), np.uint8), y_train=labels)
    return ["data=npz", f"data.root={root / 'm.npz'}"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_zip_of_windows, "12 images in 2 classes (cat, dog)"),
        (_windows_paths, "12 images in 2 classes (cat, dog)"),
        (_capital_headers, "test 4"),
        (_folder(*pictures("", {"cat": 4}), *pictures("1/a", PETS), *pictures("1/b", PETS)), "in 2 classes (1, cat)"),
        (_folder(*pictures("2022", PETS), *pictures("2023", PETS)), "every class has the same ones: if these are the"),
    ],
)
def test_it_is_read(make: Make, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(make(tmp_path / "own")) == 0
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_folder(*pictures("", {"images": 4, "masks": 4})), "pictures beside their masks or labels (images, masks)"),
        (_folder("train.zip", "test.zip"), "(it holds test.zip, an archive: give it as data.root"),
        (_folder("a.png", "metadata.csv"), "1 images but no class folders (it holds metadata.csv, a table"),
        (_folder("cat/1.heic", "cat/2.heic", "dog/1.heic"), "without images: cat, dog (but .heic files); images end"),
        (_workbook, "is no text: save the table as CSV"),
        (_other_split, "the column set holds splits (test, train): data.columns.split=set uses it"),
        (_ids, "no file of its column of paths is there"),
        (_measurements, "12 labels for 12 images are no classes"),
        (_several, "images with several labels (a|b)"),
        (_several_in_arrays, "images with several labels, or none"),
    ],
)
def test_it_is_recognised(make: Make, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(make(tmp_path / "own")) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_masks_may_be_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = _folder(*pictures("", {"images": 6, "masks": 6}))(tmp_path / "own")
    assert main([*words, "data.layout=classes"]) == 0
    assert "(images, masks)" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_said_shortly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = plant(tmp_path / "own", pictures("", PETS))
    os.symlink("nowhere.png", root / "cat" / "dead.png")
    assert main([f"data.root={root}"]) == 2
    assert f"{root / 'cat' / 'dead.png'} (it is not there)" in capsys.readouterr().err
