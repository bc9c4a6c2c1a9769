"""Images that lie in containers are unpacked into the cache, once: from then on they are files like any others."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from scaling.data.errors import DataError
from scaling.data.sources.containers.listed import ListedImage
from scaling.data.sources.fingerprint import content_hashes
from scaling.records.files import make_private

_DONE = ".whole"  # an empty file that says that everything is there
_INDEX = ".items.json"  # the images of a container that is no archive
_VERSION = 2  # another number where the same container gives other files


def unpacked(
    containers: Sequence[str], cache: Path, fill: Callable[[Path], None], *, by_hand: str, how: str = ""
) -> Path:
    """The folder in the cache with what the containers hold, made by `fill` if it is not there.

    Args:
        by_hand: what to do where the cache cannot be written.
        how: settings that change what `fill` writes.

    Raises:
        DataError: the containers are damaged, or there is no room.
    """
    from filelock import FileLock

    content = b"".join(content_hashes(containers, cache=cache))
    name = hashlib.sha256(f"{_VERSION}{how}".encode() + content).hexdigest()[:32]
    place = cache / "unpacked" / name
    if (place / _DONE).exists():
        return place
    try:
        make_private(place.parent)
        with FileLock(place.with_name(f".{name}.lock")):
            if not (place / _DONE).exists():
                shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
                place.mkdir()
                fill(place)
                (place / _DONE).touch()
    except DataError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    except (OSError, NotImplementedError) as error:
        shutil.rmtree(place, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{containers[0]} cannot be unpacked into {cache} ({reason}): {by_hand}") from error
    return place


def unpacked_items(
    containers: Sequence[str],
    cache: Path,
    read: Callable[[Path], Iterable[tuple[ListedImage, bytes]]],
    *,
    how: str = "",
) -> list[ListedImage]:
    """The images of containers, each in a file of its own in the cache; `read` gives them with their contents, their
    paths relative to the folder that it is given.

    Raises:
        DataError: as `unpacked`.
    """

    def fill(place: Path) -> None:
        items = []
        for item, content in read(place):
            write_file(place / item.path, content)
            items.append(dataclasses.astuple(item))
        (place / _INDEX).write_text(json.dumps(items), encoding="ascii")

    folder = unpacked(containers, cache, fill, by_hand="data.cache=DIR names another place", how=how)
    listed = [ListedImage(*values) for values in json.loads((folder / _INDEX).read_text(encoding="ascii"))]
    return [dataclasses.replace(item, path=str(folder / item.path)) for item in listed]


def write_file(path: Path, content: bytes) -> None:
    """Writes a small file and makes its folder."""
    os.makedirs(path.parent, exist_ok=True)
    path.write_bytes(content)
