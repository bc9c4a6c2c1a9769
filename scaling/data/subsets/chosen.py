"""From a data config and its decoded images to the rows of each part, with copies and groups kept apart."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from scaling.data.sources.read import OWN, Place, read_place
from scaling.data.subsets.groups import read_groups
from scaling.data.subsets.leaks import Apart
from scaling.data.subsets.near import Near, near_leaks
from scaling.data.subsets.parts import Chosen, choose
from scaling.records.files import cache_folder

if TYPE_CHECKING:
    from scaling.config import DataConfig
    from scaling.data.pixels.cache import Decoded


def chosen(config: DataConfig, decoded: Decoded) -> Chosen:
    """The rows of each part.

    Raises:
        DataError: a class has no images in one of the parts, or images have no group.
    """
    return _chosen(decoded, config.subset_seed, *_split(config, decoded))


def near(config: DataConfig, decoded: Decoded) -> Near:
    """How many images look alike between the parts, the same for every `subset_seed`.

    Raises:
        DataError: as `chosen`.
    """
    return _near(decoded, *_split(config, decoded))


def _split(config: DataConfig, decoded: Decoded) -> tuple[tuple[float, float], str, tuple[str, ...] | None]:
    return (config.val_share, config.test_share), config.leaks, groups_of(config, decoded)


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
    leaks: str,
    groups: tuple[str, ...] | None,
) -> Chosen:
    apart = Apart(decoded.facts.digests, leaks, groups)
    return choose(
        decoded.catalogue,
        set(decoded.unreadable),
        subset_seed=subset_seed,
        val_share=shares[0],
        test_share=shares[1],
        apart=apart,
    )


@functools.lru_cache(maxsize=4)
def _near(decoded: Decoded, shares: tuple[float, float], leaks: str, groups: tuple[str, ...] | None) -> Near:
    facts = decoded.facts
    parts = _chosen(decoded, 0, shares, leaks, groups)
    catalogue, own_val = decoded.catalogue, decoded.catalogue.sizes["val"] > 0
    return near_leaks(parts, looks=facts.looks, digests=facts.digests, labels=catalogue.labels, own_val=own_val)
