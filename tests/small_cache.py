"""Six small image files and a cache entry of them, for the tests of the cache in one process and in several."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from scaling.data.pixels.cache import Decoded, Loader, Source, open_decoded
from scaling.data.pixels.square import Square
from scaling.data.sources.catalogue import Catalogue

SQUARE = Square(image_size=4, channels=3)


def write_files(folder: Path, count: int = 6) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (4, 4), (10 * i, 0, 255)).save(folder / f"{i}.png")
    return tuple(str(folder / f"{i}.png") for i in range(count))


def loader_of(paths: tuple[str, ...]) -> Loader:
    keys = tuple(os.path.basename(path) for path in paths)
    sizes = {"train": len(paths), "val": 0, "test": 0}
    return lambda: (Catalogue(("a", "b"), keys, np.arange(len(paths)) % 2, sizes, paths), None)


def open_small(folder: Path, paths: tuple[str, ...], **options: object) -> Decoded:
    source = Source("content", len(paths), paths, loader_of(paths))
    return open_decoded(folder, source, SQUARE, **(dict(limit=10**9) | options))


def reds(decoded: Decoded) -> list[int]:
    assert decoded.images is not None
    return decoded.images[:, 0, 0, 0].tolist()
