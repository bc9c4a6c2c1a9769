"""From a data config and its decoded images to the rows of each part, with copies and groups kept apart."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from scaling.data.sources.read import OWN, Place, read_place
from scaling.data.subsets.groups import read_groups
from scaling.data.subsets.leaks import Apart
from scaling.data.subsets.parts import Chosen, choose
from scaling.records.files import cache_folder

if TYPE_CHECKING:
    from scaling.config import DataConfig
    from scaling.data.pixels.cache import Decoded


def chosen(config: DataConfig, decoded: Decoded) -> Chosen:
    """The rows of each part. Of a published set the split is as it was published, copies and all.

    Raises:
        DataError: a class has no images in one of the parts, or images have no group.
    """
    leaks = config.leaks if config.kind in OWN else None
    shares = (config.val_share, config.test_share)
    return _chosen(decoded, config.subset_seed, shares, leaks, groups_of(config, decoded))


def groups_of(config: DataConfig, decoded: Decoded) -> tuple[str, ...] | None:
    """The group of every row, as data.group or else the data themselves say; None where images do not go together.

    Raises:
        DataError: images have no group.
    """
    if config.group:
        return _groups(decoded, config.group, str(config.root))
    return read_place(Place.of(config), cache_folder(config.cache)).groups if config.kind in OWN else None


@functools.lru_cache(maxsize=4)
def _groups(decoded: Decoded, group: str, root: str) -> tuple[str, ...]:
    return read_groups(decoded.catalogue, group, root)


@functools.lru_cache(maxsize=8)
def _chosen(
    decoded: Decoded,
    subset_seed: int,
    shares: tuple[float, float],
    leaks: str | None,
    groups: tuple[str, ...] | None,
) -> Chosen:
    apart = Apart(None if leaks is None else decoded.facts.digests, leaks or "keep", groups)
    return choose(
        decoded.catalogue,
        set(decoded.unreadable),
        subset_seed=subset_seed,
        val_share=shares[0],
        test_share=shares[1],
        apart=apart,
    )
