"""Says what a folder (or table, Parquet file, archive, arrays) holds, as training would read it; trains nothing.

python -m scaling.data data.root=DIR
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from scaling import __version__
from scaling.config import ConfigError
from scaling.config.data_words import DATA_KEYS, data_config
from scaling.data.errors import DataError
from scaling.data.look import DataFound, look_at

USAGE = """usage: python -m scaling.data data.root=DIR [data=folder|table|parquet|npz|hub|webdataset] [data.KEY=VALUE]

Says what was found: classes, images, where training, validation and test come from, what is not used and why, copies
between them, and the data's fingerprint. Trains nothing; the keys are those of scaling.train."""


def _words(arguments: Sequence[str]) -> dict[str, str]:
    words: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in DATA_KEYS:
            raise ConfigError(f"{argument!r} is not known; data.root=DIR and the other data.* keys are")
        words[key] = value
    if not words.get("data.root"):
        raise ConfigError("data.root= is missing: the folder, table, archive or file with your images")
    return words


def _lines(found: DataFound) -> list[str]:
    counts = dict.fromkeys(found.listing.catalogue.classes, 0)
    for rows in (found.parts.train, found.parts.val, found.parts.test):
        for label in found.listing.catalogue.labels[rows].tolist():
            counts[found.listing.catalogue.classes[label]] += 1
    least, most = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    spread = f"{counts[least]:,} ({least}) to {counts[most]:,} ({most})"
    sides = found.decoded.facts.sides.min(1)
    sides = sides[sides > 0]
    shapes = f"{sides.min()} to {sides.max()}" if sides.min() < sides.max() else f"{sides.min()}"
    return [
        *found.notes,
        f"images of a class: {spread}; shorter side {shapes} pixels",
        f"data_fingerprint {found.fingerprint}",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0
    if "--version" in arguments:
        print(__version__)
        return 0
    try:
        print("\n".join(_lines(look_at(data_config(_words(arguments)), own=(os.path.abspath("runs"),)))))
    except (ConfigError, DataError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0
