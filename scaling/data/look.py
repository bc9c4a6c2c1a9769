"""Looks at a user's own data without training: everything the trainer would read, refuse and say. Free of torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling.data.check import check_own_data
from scaling.data.identity import data_fingerprint
from scaling.data.pixels.open_images import open_images
from scaling.data.prepare import parts_of, prepare
from scaling.data.sources.folder import Folder
from scaling.data.sources.read import Place, list_files, read_place
from scaling.data.subsets.parts import Chosen
from scaling.records.files import cache_folder

if TYPE_CHECKING:
    from scaling.config import DataConfig
    from scaling.data.pixels.cache import Decoded


@dataclass(frozen=True)
class DataFound:
    """What a user's data hold: the config with its name, the files, what decoding told of them, and the rows of each
    part; `notes` are what the trainer would say."""

    config: DataConfig
    listing: Folder
    decoded: Decoded
    parts: Chosen
    fingerprint: str
    notes: tuple[str, ...]


def own_files(config: DataConfig, *, own: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The files of a user's folder or table, without reading any; empty where a container has to be unpacked first.

    Raises:
        DataError: as `look_at`.
    """
    return list_files(Place.of(check_own_data(dataclasses.replace(config, train_size=1), own=own)))


def look_at(config: DataConfig, *, own: tuple[str, ...] = ()) -> DataFound:
    """Lists and decodes everything once; pixels are not kept, what is known of them is.

    Args:
        own: folders of this project's output.

    Raises:
        DataError: the data cannot be used, as the trainer would say.
    """
    config = check_own_data(dataclasses.replace(config, train_size=1, cache_gb=0.0), own=own)
    notes = tuple(prepare([config]))
    decoded = open_images(config, in_memory=False)
    listing = read_place(Place.of(config), cache_folder(config.cache))
    return DataFound(config, listing, decoded, parts_of(config, decoded), data_fingerprint(config), notes)
