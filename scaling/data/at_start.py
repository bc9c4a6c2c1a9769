"""What only decoded pixels show and counts in a cell's identity: images that were dropped as copies, what is white,
which images belong together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scaling.data.errors import DataError
from scaling.data.pixels.open_images import open_images
from scaling.data.sources.published import PUBLISHED, is_here
from scaling.data.sources.read import OWN
from scaling.data.subsets.chosen import chosen, groups_of
from scaling.data.subsets.groups import groups_digest

if TYPE_CHECKING:
    from scaling.config import DataConfig
    from scaling.data.pixels.cache import Decoded


def seen_at_start(config: DataConfig) -> tuple[tuple[str, Any], ...]:
    """Names and values for the identity; empty where nothing of it applies, as in most data, and as long as a
    published set is not here. Decodes the images, once.

    Raises:
        DataError: the images are not there, or have no group.
    """
    if config.kind not in OWN and not (config.kind in PUBLISHED and is_here(config.kind, str(config.root))):
        return ()
    decoded = open_images(config, in_memory=False)
    seen = {**_dropped(config, decoded), **_white(decoded)}
    groups = groups_of(config, decoded)
    if groups is not None:
        seen["group"] = groups_digest(groups)
    return tuple(seen.items())


def _dropped(config: DataConfig, decoded: Decoded) -> dict[str, Any]:
    try:
        dropped = chosen(replace(config, subset_seed=0), decoded).leaks.dropped  # the same for every seed
    except DataError:  # too few images: said when the data are made ready
        return {}
    return {"leaks_dropped": dropped} if dropped else {}


def _white(decoded: Decoded) -> dict[str, Any]:
    return {"white_found": dict(decoded.square.found)} if decoded.square.found else {}
