"""The one reader of a user's own images: trainer, pilot and `scaling.data` list the same files by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaling.data.sources.folder import Folder, read_layout

if TYPE_CHECKING:
    from scaling.config import DataConfig

OWN = ("folder",)  # kinds of data that are the user's own


@dataclass(frozen=True)
class Place:
    """What of a data config says which files there are."""

    kind: str
    root: str
    layout: str = "auto"
    own: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: DataConfig) -> Place:
        return cls(config.kind, str(config.root), config.layout, tuple(config.own))


def read_place(place: Place, cache: Path) -> Folder:
    """Lists a user's own images; the hashes of their contents are remembered in `cache`.

    Raises:
        DataError: they are not there, or cannot be understood.
    """
    return read_layout(place.root, cache, place.layout, place.own)
