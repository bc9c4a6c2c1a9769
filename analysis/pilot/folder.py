"""Reads what a pilot has to know of a user's images, and writes the table of those that its sweeps use.

The images are listed by the trainer's own reader and stay where they are. The table leaves out what would spoil a
comparison: files that cannot be read, copies, and more images than the time allows to decode.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.arguments import InputError
from analysis.pilot.copies import WithoutCopies, without_copies
from scaling.config.cell_config import ConfigError, DataConfig
from scaling.data.errors import DataError
from scaling.data.look import DataFound, look_at
from scaling.data.pixels.decode_all import decode_rows
from scaling.data.subsets.chosen import groups_of, near
from scaling.data.subsets.nested_order import nested_order
from scaling.data.subsets.notes import near_text
from scaling.records.files import some, write_whole

DECODED = 64  # files at most whose decoding is timed


@dataclass(frozen=True, eq=False)
class Look:
    """What the data hold. `train` are the rows that are left after the copies went, each prefix a balanced subset, and
    so are those of `val` and `test`."""

    found: DataFound
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    gone: WithoutCopies
    decode_seconds: float  # of one image

    @property
    def root(self) -> str:
        return str(self.found.config.root)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.found.listing.catalogue.classes

    @property
    def train_images(self) -> int:
        """Images to train on and to choose learning rates by."""
        return len(self.train) + len(self.val)

    @property
    def test_images(self) -> int:
        return len(self.test)

    @property
    def held_out(self) -> bool:
        """Whether test images were taken from the training images: the data have no test set."""
        return not self.found.listing.catalogue.sizes["test"]

    @property
    def images(self) -> int:
        """All that can be read."""
        return len(self.found.listing.catalogue.keys) - len(self.found.decoded.unreadable)

    @property
    def sides(self) -> tuple[int, int, int]:
        """The shorter side in pixels: smallest, median, largest."""
        sides = self.found.decoded.facts.sides.min(1)
        low, middle, high = (int(np.quantile(sides[sides > 0], q)) for q in (0, 0.5, 1))
        return low, middle, high

    def lines(self) -> list[str]:
        """What is worth saying about the data."""
        labels = self.found.listing.catalogue.labels[np.concatenate([self.train, self.val])]
        counts = dict(zip(self.classes, np.bincount(labels, minlength=len(self.classes)).tolist(), strict=True))
        least, most = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
        low, middle, high = self.sides
        split = f"{self.test_images:,} test images" + (", held out by the pilot" if self.held_out else "")
        sides = f"shorter side {low} to {high} pixels, median {middle}" if low < high else f"{low} pixels"
        said = [f"{self.train_images:,} training images in {len(counts)} classes, {split}; {sides}"]
        if counts[most] > 2 * counts[least]:
            share = counts[most] / self.train_images
            said.append(
                f"unequal classes: {counts[least]:,} images ({least}) to {counts[most]:,} ({most}); whoever always says"
                f" {most} is right for {share:.0%}, so look at the rare classes by yourself"
            )
        if self.gone.copies or self.gone.leaks:
            twice = f"; {self.gone.disagree:,} of them stand in two classes" if self.gone.disagree else ""
            said.append(
                f"copies left out: {self.gone.leaks:,} training images that are test images, too, and"
                f" {self.gone.copies:,} second copies{twice}"
            )
        alike = near_text(near(self.found.config, self.found.decoded))
        if alike:
            said.append(f"{alike}: if these are the same pictures saved again, errors are flattered")
        if self.unreadable:
            said.append(
                f"set aside, since they cannot be read: {len(self.unreadable):,} files ({some(self.unreadable)})"
            )
        return [*said, *(f"not used: {one}" for one in self.found.listing.left_out)]

    @property
    def unreadable(self) -> list[str]:
        """The files that cannot be read, as the user calls them, with the reasons."""
        names = self.found.listing.catalogue.names()
        return [f"{names[row]}: {reason}" for row, reason in self.found.decoded.unreadable.items()]


def _time_to_decode(found: DataFound, seconds: float) -> float:
    """The mean time to decode one image, over as many as `seconds` allow."""
    catalogue = found.listing.catalogue
    rows = [row for row in range(len(catalogue.keys)) if row not in found.decoded.unreadable]
    assert catalogue.paths is not None
    begun, count = time.monotonic(), 0
    for row in rows[:: max(1, len(rows) // DECODED)]:
        decode_rows([catalogue.paths[row]], found.decoded.square)
        count += 1
        if time.monotonic() - begun > seconds:
            break
    return (time.monotonic() - begun) / max(1, count)


def look(config: DataConfig, *, seconds: float, own: Sequence[str] = ()) -> Look:
    """Lists and decodes the images, once, and times that for at most `seconds`.

    Args:
        own: folders of this project's output.

    Raises:
        InputError: nothing there that a pilot could be made of, in one line.
    """
    try:
        found = look_at(config, own=tuple(own))
    except (DataError, ConfigError) as error:
        raise InputError(str(error)) from error
    catalogue, parts = found.listing.catalogue, found.parts
    held_out = np.concatenate([parts.val, parts.test])
    gone = without_copies(parts.train, held_out, digests=found.decoded.facts.digests, labels=catalogue.labels)
    keys = [catalogue.keys[row] for row in parts.test.tolist()]
    test = parts.test[nested_order(catalogue.labels[parts.test], keys, seed=0, salt="pilot")]
    return Look(found, gone.train, parts.val, test, gone, _time_to_decode(found, seconds))


def write_table(look: Look, file: Path, *, train: int, val: int, test: int) -> Path:
    """Writes the table (data=table) of about so many images of each part, every class in proportion; their files are
    the user's own."""
    catalogue = look.found.listing.catalogue
    assert catalogue.paths is not None
    least = 2 * len(look.classes)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    groups = groups_of(look.found.config, look.found.decoded)
    writer.writerow(["path", "label", "split", *(["group"] if groups else [])])
    for split, rows, count in (("train", look.train, train), ("val", look.val, val), ("test", look.test, test)):
        for row in rows[: max(count, least)].tolist():
            path = os.path.abspath(catalogue.paths[row])
            group = [groups[row]] if groups else []
            writer.writerow([path, catalogue.classes[catalogue.labels[row]], split, *group])
    write_whole(file, text.getvalue().encode("utf-8", "surrogateescape"))
    return file
