"""What is known of every image of a decoded set beside its pixels: checksums, sums, digests, depths, sizes
and looks."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields, replace

import numpy as np

from scaling.data.pixels.depth import FLOAT, white_of_values
from scaling.data.pixels.square import Square

_DIGEST = 2  # int64 that hold the 128 bits of a digest


def pixel_sums(pixels: np.ndarray) -> np.ndarray:
    """int64 (rows, channels, 2): of each image's values and of their squares, from uint8 (rows, channels, h, w)."""
    flat = pixels.reshape(*pixels.shape[:2], -1)
    squares = np.square(flat, dtype=np.uint16).sum(2, dtype=np.int64)  # 255 squared fits
    return np.stack([flat.sum(2, dtype=np.int64), squares], axis=2)


def checksums(pixels: np.ndarray) -> np.ndarray:
    """uint32 (rows,) CRC-32 of each image."""
    return np.array([zlib.crc32(image) for image in pixels], dtype=np.uint32)


@dataclass(frozen=True)
class RowFacts:
    """One row for each image. What cannot be read has a digest, a size, a depth and a look of 0."""

    checks: np.ndarray  # uint32 (rows,) CRC-32 of the stored pixels
    sums: np.ndarray  # int64 (rows, channels, 2): from them follow any subset's mean and deviation
    digests: np.ndarray  # uint64 (rows, 2) of the picture before it was resized: equal for equal pixels
    depths: np.ndarray  # int64 (rows,) bits of the file's numbers: 8, 16, 32, or FLOAT
    tops: np.ndarray  # int64 (rows,) the largest of them, where there are more than 8 bits
    sides: np.ndarray  # int64 (rows, 2) width and height of the upright picture
    looks: np.ndarray  # uint64 (rows,) near for pictures that look alike; 0 where there is nothing to see

    @classmethod
    def joined(cls, parts: list[RowFacts]) -> RowFacts:
        """The facts of several chunks of rows, in their order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def to_bytes(self) -> bytes:
        """All of them as rows of little-endian int64."""
        columns = [getattr(self, field.name) for field in fields(self)]
        columns = [column.reshape(len(self.checks), -1) for column in columns]
        as_int = [c.view(np.int64) if c.dtype == np.uint64 else c.astype(np.int64) for c in columns]
        return np.concatenate(as_int, axis=1).astype("<i8").tobytes()

    @classmethod
    def from_bytes(cls, content: bytes, *, rows: int, channels: int) -> RowFacts:
        """The facts that `to_bytes` made.

        Raises:
            ValueError: they are of another shape.
        """
        ends = np.cumsum([1, 2 * channels, _DIGEST, 1, 1, 2, 1])
        table = np.frombuffer(content, dtype="<i8").reshape(rows, ends[-1]).astype(np.int64)
        checks, sums, digests, depths, tops, sides, looks = np.split(table, ends[:-1], axis=1)
        return cls(
            checks[:, 0].astype(np.uint32),
            sums.reshape(rows, channels, 2),
            np.ascontiguousarray(digests).view(np.uint64),
            depths[:, 0],
            tops[:, 0],
            sides,
            np.ascontiguousarray(looks).view(np.uint64)[:, 0],
        )

    def whites(self) -> tuple[tuple[int, float], ...]:
        """What is white at each depth beyond 8 bits: the largest value that any image of that depth has."""
        depths = [depth for depth in np.unique(self.depths).tolist() if depth > 8 and depth != FLOAT]
        return tuple((depth, float(white_of_values(int(self.tops[self.depths == depth].max())))) for depth in depths)

    def lost_by_crop(self) -> float:
        """The share of its area that the median image loses to a square crop."""
        sides = self.sides[self.sides.min(1) > 0]
        return float(np.median(1 - sides.min(1) / sides.max(1))) if len(sides) else 0.0


def with_white(square: Square, facts: RowFacts) -> Square:
    """The square with the white that was found; unchanged where the user states one."""
    return square if square.white is not None else replace(square, found=facts.whites())
