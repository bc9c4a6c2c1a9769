"""What checksums, digests and the hash of looks cost beside decoding, in processor time, the two taken in turns.

python benchmarks/checks.py [root=DIR] [images=512]    without a root: self-made JPEG files of 32, 256 and 1024 pixels
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from scaling.data.pixels.decode import see, to_square
from scaling.data.pixels.facts import checksums, pixel_sums
from scaling.data.pixels.looks import look_hashes, thumbnail
from scaling.data.pixels.square import Square
from scaling.data.sources.walk import Walk

TURNS, CHUNK = 5, 64


def made(side: int, count: int) -> list[bytes]:
    """JPEG files with large shapes and some grain."""
    rng, files = np.random.default_rng(0), []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((side, side), Image.BICUBIC)
        pixels = np.asarray(coarse) + rng.normal(0, 6, (side, side, 1))
        content = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(content, "JPEG", quality=90)
        files.append(content.getvalue())
    return files


def timed(function: Callable[[], object]) -> tuple[float, object]:
    begun = time.process_time()
    result = function()
    return time.process_time() - begun, result


def measure(files: list[bytes], size: int) -> tuple[float, float]:
    """Seconds of one image: decoding, and all that is known of it beside."""
    square, decoding, checking = Square(size, 3), [], []
    for _ in range(TURNS):
        spent = [0.0, 0.0]
        for first in range(0, len(files), CHUNK):
            part = files[first : first + CHUNK]

            def decode(part: list[bytes] = part) -> list[tuple[object, np.ndarray]]:
                return [(seen, to_square(seen.picture, square)) for seen in (see(file, square) for file in part)]

            seconds, found = timed(decode)
            spent[0] += seconds
            spent[1] += timed(lambda found=found: check(found))[0]
        decoding.append(spent[0] / len(files))
        checking.append(spent[1] / len(files))
    return statistics.median(decoding), statistics.median(checking)


def check(found: list) -> None:
    pixels = np.stack([square for _, square in found])
    checksums(pixels)
    pixel_sums(pixels)
    for seen, _ in found:
        seen.digest()
    look_hashes([thumbnail(seen.picture) for seen, _ in found])


def main(arguments: list[str]) -> int:
    values = dict(word.split("=", 1) for word in arguments)
    count = int(values.get("images", 512))
    if "root" in values:
        paths = Walk().images(values["root"])
        chosen = paths[:: max(1, len(paths) // count)][:count]
        sets = [(values["root"], [Path(path).read_bytes() for path in chosen], 64)]
    else:
        sets = [
            (f"{side} pixels", made(side, max(CHUNK, count * 32 // side)), min(side, 64)) for side in (32, 256, 1024)
        ]
    for name, files, size in sets:
        decoding, checking = measure(files, size)
        print(
            f"{name}: decoding {1e6 * decoding:,.0f} us an image, checks {1e6 * checking:,.0f} us,"
            f" {checking / decoding:.0%} of it (25% at most is wanted)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
