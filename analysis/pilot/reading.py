"""What it takes to read all of a user's images, which their fingerprint needs: said before it begins, or refused."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.arguments import InputError
from scaling.config.cell_config import DataConfig
from scaling.data.errors import DataError
from scaling.data.look import own_files
from scaling.data.pixels.decode_all import decode_rows
from scaling.data.pixels.square import Square
from scaling.data.sources.fingerprint import were_read
from scaling.records.files import cache_folder, cores, duration

_TRIED, _PATIENCE = 64, 5.0  # files at most that are timed, and seconds
_WORTH, _MOST = 20.0, 0.5  # seconds from which on it is said, and the most of the pilot's time


@dataclass(frozen=True)
class ToRead:
    """What it takes to read all images once, which their fingerprint needs: how many, their bytes, and the seconds."""

    images: int
    size: float
    seconds: float


def _reading(config: DataConfig, own: Sequence[str]) -> ToRead | None:
    """Estimated from a few files; None where the images are known from before, or lie in no folder or table.

    Raises:
        InputError: the images cannot be listed.
    """
    try:
        paths = own_files(config, own=tuple(own))
    except DataError as error:
        raise InputError(str(error)) from error
    if not paths or were_read(paths, cache=cache_folder(config.cache)):
        return None
    some_of = paths[:: max(1, len(paths) // _TRIED)]
    square = Square(config.image_size, config.channels)
    begun, count, size = time.monotonic(), 0, 0
    for path in some_of:
        with contextlib.suppress(OSError):
            size += os.stat(path).st_size
        decode_rows([path], square)
        count += 1
        if time.monotonic() - begun > _PATIENCE:
            break
    seconds = (time.monotonic() - begun) / count * len(paths) / cores()
    return ToRead(len(paths), size / count * len(paths), seconds)


def reading_lines(config: DataConfig, own: Sequence[str], limit: float) -> list[str]:
    """What to say of reading all images before it begins: nothing where it is quick.

    Args:
        limit: seconds that the pilot has.

    Raises:
        InputError: it would take most of the time.
    """
    needs = _reading(config, own)
    if needs is None or needs.seconds < _WORTH:
        return []
    what = f"reading {needs.images:,} images ({needs.size / 1e9:.1f} GB) once takes about {duration(needs.seconds)}"
    if needs.seconds > _MOST * limit:
        enough = math.ceil(needs.seconds / _MOST / 60)
        raise InputError(
            f"{what}, too much of time_limit={limit:.0f}s: give time_limit={enough}m, or a folder with a share of the"
            f" images"
        )
    return [f"{what}: the next start knows them"]
