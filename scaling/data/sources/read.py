"""The one reader of a user's own images: trainer, pilot and `scaling.data` list the same files by it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.config.columns import Columns
from scaling.data.errors import DataError
from scaling.data.sources.catalogue import SPLITS
from scaling.data.sources.containers.archive import is_archive, open_archive
from scaling.data.sources.containers.arrays import read_npz
from scaling.data.sources.containers.hub import read_hub
from scaling.data.sources.containers.listed import ListedImage, catalogue_of
from scaling.data.sources.containers.parquet import read_parquet
from scaling.data.sources.containers.shards import read_shards
from scaling.data.sources.containers.table import read_table, refuse_absent
from scaling.data.sources.folder import Folder, folder_fingerprint, read_layout

if TYPE_CHECKING:
    from scaling.config import DataConfig

OWN = ("folder", "table", "parquet", "npz", "hub", "webdataset")  # kinds of data that are the user's own
_USUAL = Columns()


@dataclass(frozen=True)
class Place:
    """What of a data config says which files there are."""

    kind: str
    root: str
    layout: str = "auto"
    own: tuple[str, ...] = ()
    columns: Columns = _USUAL

    @classmethod
    def of(cls, config: DataConfig) -> Place:
        return cls(config.kind, str(config.root), config.layout, tuple(config.own), config.columns)


@functools.lru_cache(maxsize=4)
def read_place(place: Place, cache: Path) -> Folder:
    """Lists a user's own images; the hashes of their contents are remembered in `cache`.

    Raises:
        DataError: they are not there, or cannot be understood.
    """
    root = place.root
    if place.kind == "folder" and is_archive(root):
        folder = open_archive(root, cache)
        try:
            found = read_layout(folder, cache, place.layout, place.own)
        except DataError as error:
            raise DataError(str(error).replace(folder, root)) from error
        return dataclasses.replace(found, catalogue=dataclasses.replace(found.catalogue, origin=root))
    if place.kind == "folder":
        return read_layout(root, cache, place.layout, place.own)
    if place.kind == "table":
        listing = _listing(read_table(root, place.columns), root, cache, origin=None)
        refuse_absent(listing.catalogue.paths or (), root)
        return listing
    if place.kind == "npz":
        return _listing(read_npz(root, cache), root, cache, origin=root)
    read = {"parquet": read_parquet, "hub": read_hub, "webdataset": read_shards}[place.kind]
    return _listing(read(root, cache, place.columns), root, cache, origin=root)


def list_files(place: Place) -> tuple[str, ...]:
    """The files of a folder or table, without reading any; empty where a container has to be unpacked first.

    Raises:
        DataError: they are not there, or cannot be understood.
    """
    if place.kind == "folder" and not is_archive(place.root):
        return read_layout(place.root, None, place.layout, place.own).catalogue.paths or ()
    if place.kind == "table":
        return tuple(item.path for item in read_table(place.root, place.columns))
    return ()


def _listing(items: Iterable[ListedImage], root: str, cache: Path, *, origin: str | None) -> Folder:
    catalogue, groups = catalogue_of(items, root=root)
    places = tuple((split, ".") for split in SPLITS if catalogue.sizes[split])
    catalogue = dataclasses.replace(catalogue, origin=origin)
    return Folder(catalogue, folder_fingerprint(catalogue, cache), {}, (), places, groups)
