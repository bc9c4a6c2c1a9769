"""What a user should know about copies, groups and classes of unequal size, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scaling.data.pixels.looks import BITS
from scaling.data.sources.read import OWN
from scaling.data.subsets.chosen import near
from scaling.data.subsets.groups import same_in_each, subfolders
from scaling.data.subsets.leaks import Leaks
from scaling.data.subsets.near import DISTANCE, Near
from scaling.records.files import some

if TYPE_CHECKING:
    from scaling.config import DataConfig
    from scaling.data.pixels.cache import Decoded
    from scaling.data.subsets.parts import Chosen

_UNEQUAL = 10  # times as many images in the largest class as in the smallest


def leaks_text(leaks: Leaks) -> str:
    """How many copies there are between the parts; empty where there are none."""
    told = []
    if leaks.train:
        told.append(
            f"{leaks.train:,} training images are exact copies of held-out images ({leaks.train_test:,} of test "
            f"images, {leaks.train_val:,} of validation images"
            + (f"; {leaks.other_label:,} with another label)" if leaks.other_label else ")")
        )
    if leaks.val_test:
        told.append(f"{leaks.val_test:,} validation images are exact copies of test images")
    return " and ".join(told)


def subset_notes(config: DataConfig, decoded: Decoded, parts: Chosen) -> list[str]:
    """The lines of one data set that is split in one way."""
    told = [*_copies(config, parts.leaks), *_looks(config, near(config, decoded))]
    if config.kind not in OWN:
        return told
    return [
        *told,
        *_groups(config, decoded, parts.leaks),
        *_classes(config, decoded, parts),
    ]


def _copies(config: DataConfig, leaks: Leaks) -> list[str]:
    text = leaks_text(leaks)
    if not text:
        return []
    done = "" if not leaks.train else "; they are kept out of training" if leaks.dropped else "; they are left in"
    return [f"{config.root}: {text}{done} (data.leaks={config.leaks})"]


def near_text(near: Near) -> str:
    """How many images look alike between the parts; empty where none do."""
    counts = {"test": near.test, "validation": near.val}
    told = []
    if near.held_out:
        which = " and ".join(f"{count:,} {part} images" for part, count in counts.items() if count)
        other = f" ({near.other_label:,} with another label)" if near.other_label else ""
        told.append(f"{which} look like a training image{other}")
    if near.val_test:
        told.append(f"{near.val_test:,} validation images look like a test image")
    return " and ".join(told)


def _looks(config: DataConfig, near: Near) -> list[str]:
    text = near_text(near)
    if not text:
        return []
    return [
        f"{config.root}: {text}; left as they are: {DISTANCE} of {BITS} bits of a hash may differ, which took 3 in"
        f" 500,000,000 pairs of CIFAR-10 for alike that are not, and takes more where pictures are simple or much alike"
    ]


def _groups(config: DataConfig, decoded: Decoded, leaks: Leaks) -> list[str]:
    if leaks.grouped:
        return [
            f"{config.root}: {leaks.grouped:,} training and validation images are left out: images of their group are "
            f"in another part (data.group={config.group})"
        ]
    inside = subfolders(decoded.catalogue)
    if config.group or not inside:
        return []
    turned = ""
    if same_in_each(decoded.catalogue):
        outer = some(decoded.catalogue.classes)
        turned = (
            f"; every class has the same ones: if these are the classes, and {outer} are sites, patients or versions, "
            f"turn the folders round, or list the images in a table with a column group (data=table)"
        )
    return [
        f"{config.root}: the classes have folders inside ({some(inside)}); if one of them holds one patient, video or "
        f"burst, data.group=parent keeps its images on one side of every split{turned}"
    ]


def _classes(config: DataConfig, decoded: Decoded, parts: Chosen) -> list[str]:
    classes = decoded.catalogue.classes
    counts = np.bincount(decoded.catalogue.labels[np.concatenate([parts.train, parts.val, parts.test])])
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] < _UNEQUAL * counts[least]:
        return []
    return [
        f"{config.root}: the classes are unequal ({counts[most]:,} images of {classes[most]}, {counts[least]:,} of "
        f"{classes[least]}): judge by metric=test_balanced_error, in which every class counts the same"
    ]
