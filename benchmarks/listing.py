"""How long it takes to list a folder of many small files, before anything is read of them.

python benchmarks/listing.py [files=100000] [classes=100]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from scaling.data.sources.folder import read_layout


def make(root: Path, files: int, classes: int) -> None:
    for label in range(classes):
        folder = root / "train" / f"class{label:03d}"
        folder.mkdir(parents=True)
        for i in range(files // classes):
            (folder / f"{i:06d}.jpg").touch()


def main(arguments: list[str]) -> int:
    values = {"files": 100_000, "classes": 100} | {k: int(v) for k, v in (word.split("=") for word in arguments)}
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), **values)
        times = []
        for _ in range(3):
            read_layout.cache_clear()
            begun, spent = time.perf_counter(), time.process_time()
            found = read_layout(folder, None)
            times.append((time.perf_counter() - begun, time.process_time() - spent))
    count = len(found.catalogue.keys)
    wall, processor = zip(*times, strict=True)
    told = f"listed in {min(wall):.2f} s (slowest of 3 {max(wall):.2f} s), {min(processor):.2f} s of processor time"
    print(f"{count:,} files in {values['classes']} classes: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
