"""Says what was found in a user's own data: classes, images, where the three parts come from, and what is not used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaling.data.sources.catalogue import SPLITS
from scaling.data.sources.folder import Folder
from scaling.data.subsets.parts import Chosen
from scaling.records.files import some

if TYPE_CHECKING:
    from scaling.config import DataConfig

_PART = {"train": "training", "val": "validation", "test": "test"}


def found_lines(config: DataConfig, listing: Folder, chosen: Chosen) -> list[str]:
    """One line with what is used and, where there is any, one with what is not.

    Args:
        chosen: the rows of each part, of which every run takes a share.
    """
    counts = {"train": len(chosen.train), "val": len(chosen.val), "test": len(chosen.test)}
    parts = [f"{_PART[split]} {counts[split]:,}{_origin(split, config, dict(listing.places))}" for split in SPLITS]
    classes = list(listing.catalogue.classes)
    used = f"{sum(counts.values()):,} images in {len(classes):,} classes ({some(classes)})"
    lines = [f"{config.root}: {used}: {', '.join(parts)}"]
    if listing.left_out:
        lines.append(f"not used in {config.root}: {'; '.join(map(str, listing.left_out))}")
    return lines


def _origin(split: str, config: DataConfig, places: dict[str, str]) -> str:
    if split in places:
        return f" from {places[split]}/" if places[split] != "." else ""
    if split == "test":
        return f" ({config.test_share:.0%} of all)"
    return f" ({config.val_share:.0%} of the {'training images' if 'test' in places else 'rest'})"
