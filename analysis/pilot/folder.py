"""A folder of images in, what a pilot has to know of it out; and a folder of links to the images that it uses.

The images stay where they are. The links leave out what would spoil a comparison: copies of test images among the
training images, second copies of a training image, and more images than the time allows to decode.
"""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.arguments import InputError
from analysis.pilot.copies import Files, drop_copies

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
TEST_SHARE = 0.2  # held out where the folder has no test/
MAX_PIXELS = 89_478_485  # Pillow's limit: larger pictures may be decompression bombs
HEADERS = 20_000  # files whose header is read; of larger folders an even sample


@dataclass(frozen=True)
class Look:
    """What a folder holds. `train` and `test` are what is left after the copies went; sides are in pixels."""

    root: Path
    train: Files
    test: Files
    held_out: bool  # test images were taken from the training images: the folder has no test/
    sides: tuple[int, int, int]  # shorter side: smallest, median, largest
    decode_seconds: float  # of one image
    copies: int  # second copies of training images
    leaks: int  # training images that are test images, too
    disagree: int  # copies that stand in two classes
    others: int  # files that are no images

    @property
    def classes(self) -> list[str]:
        return sorted(self.train)

    @property
    def train_images(self) -> int:
        return sum(map(len, self.train.values()))

    @property
    def test_images(self) -> int:
        return sum(map(len, self.test.values()))

    def lines(self) -> list[str]:
        """What is worth saying about the data."""
        counts = {name: len(files) for name, files in self.train.items()}
        least, most = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
        low, middle, high = self.sides
        split = f"{self.test_images:,} test images"
        if self.held_out:
            split += ", held out by the pilot"
        sides = f"shorter side {low} to {high} pixels, median {middle}" if low < high else f"{low} pixels"
        found = [f"{self.train_images:,} training images in {len(counts)} classes, {split}; {sides}"]
        if counts[most] > 2 * counts[least]:
            share = counts[most] / self.train_images
            found.append(
                f"unequal classes: {counts[least]:,} images ({least}) to {counts[most]:,} ({most}); whoever always says"
                f" {most} is right for {share:.0%}, so look at the rare classes by yourself"
            )
        if self.copies or self.leaks:
            twice = f"; {self.disagree:,} of them stand in two classes" if self.disagree else ""
            found.append(
                f"copies left out: {self.leaks:,} training images that are test images, too, and {self.copies:,} second"
                f" copies{twice}"
            )
        if self.others:
            found.append(f"{self.others:,} files that are no images ({' '.join(SUFFIXES)}) left aside")
        return found


def _split_folders(root: Path) -> dict[str, list[Path]]:
    entries = {e.name.lower(): e for e in root.iterdir() if e.is_dir() and not e.name.startswith(".")}
    found = {split: [entries[n] for n in names if n in entries] for split, names in NAMES.items()}
    return found if found["train"] else {"train": [root], "val": [], "test": []}


def _class_files(folders: Iterable[Path]) -> tuple[Files, int]:
    files: Files = defaultdict(list)
    others = 0
    for folder in folders:
        for entry in sorted(folder.iterdir()):
            if not entry.is_dir() or entry.name.startswith("."):
                continue
            for path in sorted(p for p in entry.rglob("*") if p.is_file() and not p.name.startswith(".")):
                if path.suffix.lower() in SUFFIXES:
                    files[entry.name].append(path)
                else:
                    others += 1
    return dict(files), others


def _rank(path: Path, root: Path) -> str:
    """An order that depends on names alone."""
    return hashlib.sha256(path.relative_to(root).as_posix().encode("utf-8", "surrogateescape")).hexdigest()


def _ordered(files: Files, root: Path) -> Files:
    return {name: sorted(paths, key=lambda p: _rank(p, root)) for name, paths in files.items()}


def _open(path: Path, *, decode: bool) -> int:
    """The picture's shorter side.

    Raises:
        InputError: it is too large to be read safely.
        OSError, SyntaxError, ValueError: it is no picture, or cut short.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                text = f"{path} has {width:,} x {height:,} pixels: too large to be read; shrink or remove it"
                raise InputError(text)
            if decode:
                picture.convert("RGB").resize((32, 32))
            return min(width, height)
    except Image.DecompressionBombError:
        raise InputError(f"{path} has too many pixels to be read; shrink or remove it") from None


def _measure(paths: list[Path], seconds: float) -> tuple[list[int], float]:
    """Shorter sides of all (or an even sample), and the mean time to decode one, trying as many as `seconds` allow.

    Raises:
        InputError: a file that is no picture, is cut short or is too large to be read safely.
    """
    picked = paths[:: max(1, len(paths) // HEADERS)]
    order = np.random.default_rng(0).permutation(len(picked))
    sides: list[int] = []
    broken: list[tuple[Path, Exception]] = []
    spent, decoded = 0.0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in (picked[i] for i in order):
            decode, begun = spent < seconds, time.monotonic()
            try:
                sides.append(_open(path, decode=decode))
            except InputError:
                raise
            except (OSError, SyntaxError, ValueError) as problem:
                broken.append((path, problem))
            if decode:
                spent, decoded = spent + time.monotonic() - begun, decoded + 1
    if broken:
        first, why = min(broken, key=lambda item: str(item[0]))
        many = f"{len(broken):,} files are no readable images, the first" if len(broken) > 1 else "no readable image:"
        raise InputError(f"{many} {first} ({why}); repair or remove what is broken")
    return sides, spent / max(1, decoded)


def look(root: Path, *, seconds: float) -> Look:
    """Looks at the folder for about `seconds` (listing and reading headers of a very large one may take longer).

    Raises:
        InputError: nothing there that a pilot could be made of, in one line.
    """
    if not root.is_dir():
        raise InputError(f"data.root={root} is not a folder")
    folders = _split_folders(root)
    train, others = _class_files([*folders["train"], *folders["val"]])
    test, more = _class_files(folders["test"])
    others += more
    layout = "it must hold train/<class>/* (and test/<class>/*) or <class>/*"
    if not train:
        what = (
            f"{others:,} files, but no images ({' '.join(SUFFIXES)}) in class folders"
            if others
            else "no images in class folders"
        )
        raise InputError(f"data.root={root} has {what}; {layout}")
    if len(train) < 2:
        raise InputError(f"data.root={root} has only one class ({next(iter(train))}); at least two are needed")
    if test and set(test) != set(train):
        odd = sorted(set(train) ^ set(test))
        raise InputError(f"data.root={root}: classes only in train or only in test: {', '.join(odd[:3])}")
    paths = [p for files in (train, test) for name in files for p in files[name]]
    sides, decode_seconds = _measure(paths, seconds)
    train, test = _ordered(train, root), _ordered(test, root)
    held_out = not test
    if held_out:
        for name, files in train.items():
            count = min(max(1, round(TEST_SHARE * len(files))), max(0, len(files) - 1))
            test[name], train[name] = files[:count], files[count:]
    train, copies, leaks, disagree = drop_copies(train, test)
    low, middle, high = (int(np.quantile(sides, q)) for q in (0, 0.5, 1))
    return Look(root, train, test, held_out, (low, middle, high), decode_seconds, copies, leaks, disagree, others)


def _share(files: Mapping[str, list[Path]], count: int) -> Files:
    """About `count` of the files, every class in proportion, at least two of each."""
    total = sum(map(len, files.values()))
    share = min(1.0, count / max(1, total))
    return {name: paths[: max(2, round(share * len(paths)))] for name, paths in files.items()}


def link(found: Look, folder: Path, *, train: int, test: int) -> Path:
    """Makes `folder` a data.root of links to about so many of the images; one that is there is left as it is."""
    if (folder / "complete").exists():
        return folder
    for split, files, count in (("train", found.train, train), ("test", found.test, test)):
        for name, paths in _share(files, count).items():
            place = folder / split / name
            place.mkdir(parents=True, exist_ok=True)
            for path in paths:
                target = place / f"{_rank(path, found.root)[:12]}-{path.name}"
                if not target.is_symlink():
                    os.symlink(path.resolve(), target)
    (folder / "complete").touch()
    return folder
