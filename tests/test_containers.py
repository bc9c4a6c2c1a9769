"""The same images as class folders, table, Parquet, arrays and archives: one fingerprint, subsets and errors alike."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from odd_trees import COUNTS, FEW, pictures, plant
from PIL import Image

from scaling.config import CellConfig, ConfigError
from scaling.data.identity import data_fingerprint
from scaling.data.pixels.open_images import forget, open_images
from scaling.data.splits import load_splits
from scaling.data.subsets.chosen import chosen, groups_of

pa = pytest.importorskip("pyarrow")
NAMED = ("folder", "table", "zip", "tar", "parquet")
Make = Callable[..., CellConfig]


def _images(root: Path) -> Iterator[tuple[str, str, Path]]:
    """(split, class, file) of a tree that is split/class/file."""
    for path in sorted(root.glob("*/*/*.png")):
        yield path.parts[-3], path.parts[-2], path


def as_table(root: Path, file: Path, **more: Callable[[Path], str]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "label", "split", *more])
        for split, name, path in _images(root):
            writer.writerow(
                [os.path.relpath(path, file.parent), name, split, *(value(path) for value in more.values())]
            )
    return file


def as_zip(root: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for _, _, path in _images(root):
            archive.write(path, Path("photos") / path.relative_to(root))
    return file


def as_tar(root: Path, file: Path) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for split in ("train", "test"):
            archive.add(root / split, split)
    return file


def as_parquet(root: Path, folder: Path) -> Path:
    import pyarrow.parquet as pq

    folder.mkdir()
    classes = sorted({name for _, name, _ in _images(root)}, reverse=True)  # not in the order of the names
    about = {"info": {"features": {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": classes}}}}
    for split in ("train", "test"):
        rows = [(p.read_bytes(), p.name, classes.index(name)) for s, name, p in _images(root) if s == split]
        images = [{"bytes": content, "path": name} for content, name, _ in rows]
        table = pa.table({"image": images, "label": [label for *_, label in rows]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


def as_npz(root: Path, file: Path) -> Path:
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        rows = [(np.asarray(Image.open(path)), name) for s, name, path in _images(root) if s == split]
        arrays[f"x_{split}"] = np.stack([pixels for pixels, _ in rows])
        arrays[f"y_{split}"] = np.array([name for _, name in rows])
    np.savez(file, **arrays)
    return file


@pytest.fixture
def made(tmp_path: Path, make_cell: Callable) -> tuple[Path, dict[str, Make]]:
    """The tree, and for every container what makes a cell of it."""
    root = plant(tmp_path / "tree", [*pictures("train", COUNTS), *pictures("test", FEW)])
    places = {
        "folder": ("folder", root),
        "table": ("table", as_table(root, tmp_path / "list.csv")),
        "zip": ("folder", as_zip(root, tmp_path / "photos.zip")),
        "tar": ("folder", as_tar(root, tmp_path / "photos.tar.gz")),
        "parquet": ("parquet", as_parquet(root, tmp_path / "hf")),
        "npz": ("npz", as_npz(root, tmp_path / "a.npz")),
    }
    shared = ["data.image_size=8", "data.train_size=8", "model=resnet8_w8", "budget.steps=3", "wandb=disabled"]
    shared += ["data.name=photos", f"out='{tmp_path / 'runs'}'", "data.augment=none"]

    def maker(kind: str, place: Path) -> Make:
        return lambda *words: make_cell(f"data={kind}", f"data.root='{place}'", *shared, *words)

    return root, {name: maker(*values) for name, values in places.items()}


def test_all_containers_have_one_fingerprint(made: tuple[Path, dict[str, Make]]) -> None:
    _, cells = made
    found = {name: data_fingerprint(cell().data) for name, cell in cells.items()}
    assert len(set(found.values())) == 1, found


def test_the_same_names_give_the_same_subsets_and_identity(made: tuple[Path, dict[str, Make]]) -> None:
    _, cells = made
    first = load_splits(cells["folder"]().data, torch.device("cpu"))
    for name in NAMED[1:]:
        cell = cells[name]()
        assert cell.config_hash == cells["folder"]().config_hash, name
        splits = load_splits(cell.data, torch.device("cpu"))
        for mine, other in ((splits.train, first.train), (splits.val, first.val), (splits.test, first.test)):
            for (images, labels), (right, right_labels) in zip(mine.in_order(99), other.in_order(99), strict=True):
                assert torch.equal(images, right), name
                assert torch.equal(labels, right_labels), name


def test_the_same_names_give_the_same_errors_and_losses(made: tuple[Path, dict[str, Make]]) -> None:
    from scaling.training.cell import run_cell

    _, cells = made
    records = [run_cell(cells[name](f"sweep={name}")) for name in ("folder", "table", "zip", "parquet")]
    assert len({(r.status, r.test_error, r.test_loss, r.val_error, r.train_error) for r in records}) == 1


@pytest.mark.slow
def test_two_thousand_pictures_of_cifar10(shared_data: Path, tmp_path: Path, make_cell: Callable) -> None:
    """The issue's own measure, on real pictures saved as PNG."""
    root = tmp_path / "tree"
    with tarfile.open(shared_data / "cifar10-jpeg" / "cifar10-jpeg.tar.xz") as archive:
        counts: dict[str, int] = {}
        for member in archive:
            parts = Path(member.name).parts
            if member.isfile() and parts[-3:-2] in (("train",), ("test",)):
                place = "/".join(parts[-3:-1])
                counts[place] = counts.get(place, 0) + 1
                if counts[place] <= (160 if parts[-3] == "train" else 40):
                    file = (root / place / parts[-1]).with_suffix(".png")
                    file.parent.mkdir(parents=True, exist_ok=True)
                    content = archive.extractfile(member)
                    assert content is not None
                    Image.open(io.BytesIO(content.read())).save(file)
    places = [
        ("folder", root),
        ("table", as_table(root, tmp_path / "t.csv")),
        ("folder", as_zip(root, tmp_path / "p.zip")),
    ]
    places += [("parquet", as_parquet(root, tmp_path / "hf")), ("npz", as_npz(root, tmp_path / "a.npz"))]
    cells = [make_cell(f"data={kind}", f"data.root='{place}'", "data.train_size=100") for kind, place in places]
    assert sum(1 for _ in _images(root)) == 2000
    assert len({data_fingerprint(cell.data) for cell in cells}) == 1
    assert len({cell.config_hash for cell in cells[:4]}) == 1


def write_csv(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["path,label"], "has no rows"),
        (["file,label", "a.png,cat"], "has no column path; its columns are file, label: data.columns.path=NAME"),
        (["path,label,split", "a.png,cat,sometimes"], "'sometimes' is no split"),
        (["path,label", "a.png"], "line 2: 1 values for 2 columns"),
        (["path,label", "a.png,"], "line 2: label is empty"),
        (["path,label", "a.png,cat", "b.png,cat"], "only one class (cat)"),
        (["path,label", "a.png,cat", "a.png,cat", "b.png,dog"], "a.png is listed more than once"),
        (["path,label,split", "a.png,cat,test", "b.png,dog,test"], "none of its images is for training"),
        (["path,label,split", "a.png,cat,train", "b.png,dog,train", "c.png,dog,test"], "different classes: cat only"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, make_cell: Callable, lines: list[str], told: str) -> None:
    file = write_csv(tmp_path / "list.csv", *lines)
    with pytest.raises(ConfigError) as error:
        make_cell("data=table", f"data.root='{file}'", "data.train_size=2")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_of_other_names_and_separators(tmp_path: Path, make_cell: Callable) -> None:
    root = plant(tmp_path / "tree", pictures("", COUNTS))
    lines = [f" {path.relative_to(tmp_path)}; {path.parent.name};{'Testing' if i % 4 == 0 else 'TRAIN'}"
             for i, path in enumerate(sorted(root.rglob("*.png")))]  # fmt: skip
    file = write_csv(tmp_path / "list.csv", "\ufefffile name;class;fold", *lines)
    words = (
        "data.columns.path='file name'",
        "data.columns.label=class",
        "data.columns.split=fold",
        "data.train_size=8",
    )
    cell = make_cell("data=table", f"data.root='{file}'", *words)
    splits = load_splits(cell.data, torch.device("cpu"))
    assert (len(splits.train), len(splits.test)) == (8, 6)
    assert cell.data.name == "list"


def test_groups_of_a_table_are_read(tmp_path: Path, made: tuple[Path, dict[str, Make]], make_cell: Callable) -> None:
    from scaling.data.sources.read import Place, read_place

    root, _ = made
    file = as_table(root, tmp_path / "groups.csv", group=lambda path: path.stem[-1])
    cell = make_cell("data=table", f"data.root='{file}'", "data.train_size=8")
    found = read_place(Place.of(cell.data), tmp_path / "decoded")
    assert found.groups is not None
    assert set(found.groups) == set("0123456789")
    assert [key[-5] for key in found.catalogue.keys] == list(found.groups)


def test_arrays_as_people_have_them(tmp_path: Path, make_cell: Callable) -> None:
    rng = np.random.default_rng(0)

    def cell(**arrays: np.ndarray) -> CellConfig:
        forget()
        np.savez(tmp_path / "x.npz", **arrays)
        return make_cell("data=npz", f"data.root='{tmp_path / 'x.npz'}'", "data.train_size=4", "data.image_size=8")

    images, labels = rng.integers(0, 256, (20, 8, 8)), np.arange(20) % 2
    medmnist = dict(
        train_images=images, train_labels=labels[:, None], val_images=images[:4], val_labels=labels[:4, None]
    )
    medmnist |= dict(test_images=images[:6], test_labels=labels[:6, None])
    splits = load_splits(cell(**medmnist).data, torch.device("cpu"))
    assert len(splits.test) == 6
    first = next(splits.test.in_order(6))[0]
    order = [0, 2, 4, 1, 3, 5]  # by class
    assert np.array_equal(first[:, 0].numpy(), images[order])
    firsts = np.moveaxis(np.repeat(images[..., None], 3, -1), -1, 1)  # channels first
    assert cell(x=firsts, y=np.eye(2)[labels]).num_classes == 2
    assert cell(X_train=images.astype(float), Y_train=np.array(["b", "a"])[labels]).num_classes == 2
    for arrays, told in (
        (dict(a=images, b=labels), "has arrays a, b; x_train, y_train"),
        (dict(x_train=images / 255, y_train=labels), "save them as uint8"),
        (dict(x_train=images, y_train=labels[:5]), "20 images but 5 labels in train"),
        (dict(x_train=images[:, 0], y_train=labels), "is 20x8, not images of"),
    ):
        with pytest.raises(ConfigError, match=told):
            cell(**arrays)


def test_damaged_containers_are_one_line(
    tmp_path: Path, make_cell: Callable, made: tuple[Path, dict[str, Make]]
) -> None:
    for name in ("photos.zip", "photos.tar.gz", "a.npz", "hf/train-00000-of-00001.parquet"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    for name in ("zip", "tar", "npz", "parquet"):
        forget()
        with pytest.raises(ConfigError) as error:
            made[1][name]()
        assert "\n" not in str(error.value)
        assert "Traceback" not in str(error.value)


def test_what_cannot_be_read_is_named_as_the_user_knows_it(tmp_path: Path, made: tuple[Path, dict[str, Make]]) -> None:
    from scaling.data.errors import DataError
    from scaling.data.prepare import prepare

    root, cells = made
    (root / "train/cat/broken.png").write_bytes(b"no picture")
    as_zip(root, tmp_path / "photos.zip")
    forget()
    with pytest.raises(DataError, match=r"photos\.zip: cat/broken\.png \(not an image\)"):
        prepare([cells["zip"]().data])


def test_a_zip_that_would_write_elsewhere_does_not(tmp_path: Path, make_cell: Callable) -> None:
    root = plant(tmp_path / "tree", pictures("", COUNTS))
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for path in root.rglob("*.png"):
            archive.write(path, path.relative_to(root))
        archive.writestr("../../escaped.png", b"x")
    make_cell("data=folder", f"data.root='{tmp_path / 'evil.zip'}'", "data.train_size=8")
    assert not list(tmp_path.rglob("decoded/escaped.png"))
    assert not list(tmp_path.glob("escaped.png"))


def test_without_a_cache_the_command_that_unpacks_is_said(tmp_path: Path, make_cell: Callable) -> None:
    root = plant(tmp_path / "tree", pictures("", COUNTS))
    shutil.make_archive(str(tmp_path / "x"), "zip", root)
    (tmp_path / "file").write_text("no folder")
    words = (f"data.cache='{tmp_path / 'file'}'", "data.train_size=8")
    with pytest.raises(ConfigError, match=r"cannot be unpacked into .*unzip .*x\.zip -d DIR unpacks it"):
        make_cell("data=folder", f"data.root='{tmp_path / 'x.zip'}'", *words)


@pytest.mark.parametrize("kind", ["table", "parquet"])
def test_a_column_of_groups_keeps_them_together(kind: str, tmp_path: Path, make_cell: Callable) -> None:
    """Ten patients with two pictures of each class: whole patients in every part, and in every subset but for one."""
    import pyarrow.parquet as pq

    rows = []
    for name in "ab":
        for i in range(20):
            path = tmp_path / f"{name}{i}.png"
            Image.fromarray(np.random.default_rng(100 * ord(name) + i).integers(0, 256, (8, 8), np.uint8)).save(path)
            rows.append({"path": path.name, "label": name, "group": f"patient{i // 2}"})

    def words(with_groups: bool) -> tuple[str, ...]:
        keys = ("path", "label", "group") if with_groups else ("path", "label")
        if kind == "table":
            lines = [",".join(row[key] for key in keys) for row in rows]
            place = write_csv(tmp_path / f"{with_groups}.csv", ",".join(keys), *lines)
        else:
            place = tmp_path / f"{with_groups}.parquet"
            images = [{"bytes": (tmp_path / r["path"]).read_bytes(), "path": r["path"]} for r in rows]
            columns = {key: [row[key] for row in rows] for key in keys[1:]}
            pq.write_table(pa.table({"image": images, **columns}), place)
        return f"data={kind}", f"data.root='{place}'", "data.train_size=4"

    loose, cell = make_cell(*words(False)), make_cell(*words(True))
    decoded = open_images(cell.data)
    groups = groups_of(cell.data, decoded)
    assert groups is not None
    parts = chosen(cell.data, decoded)
    train, val, test = ([groups[row] for row in rows] for rows in (parts.train, parts.val, parts.test))
    assert (len(set(train)), len(set(val)), len(set(test))) == (6, 2, 2)
    assert set(train) | set(val) | set(test) == {f"patient{i}" for i in range(10)}
    for n in range(2, len(train)):
        for label in (0, 1):
            mine = [g for g, row in zip(train[:n], parts.train[:n], strict=True)
                    if decoded.catalogue.labels[row] == label]  # fmt: skip
            assert sum(mine.count(name) == 1 for name in set(mine)) <= 1
    assert data_fingerprint(cell.data) != data_fingerprint(loose.data)
    assert cell.config_hash != loose.config_hash
