"""Writes an uncompressed TIFF by hand, of any kind of numbers: the tests' own truth of what such a file holds."""

import struct
from pathlib import Path

import numpy as np


def write_tiff(
    path: Path, values: np.ndarray, *, white_is_zero: bool = False, big: bool = False, orientation: int = 1
) -> str:
    """`values` (height, width) or (height, width, 3 or 4), in their own type and the byte order that is asked for."""
    order, (height, width) = ">" if big else "<", values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    colour = 2 if samples > 2 else 0 if white_is_zero else 1
    long, short = "I", "H"
    tags = [(256, long, [width]), (257, long, [height]), (258, short, [8 * values.dtype.itemsize] * samples)]
    tags += [(259, short, [1]), (262, short, [colour]), (273, long, [0]), (274, short, [orientation])]
    tags += [(277, short, [samples]), (278, long, [height]), (279, long, [len(data)])]
    tags += [(338, short, [2])] if samples == 4 else []
    tags += [(339, short, [kind] * samples)]
    end = 8 + 2 + 12 * len(tags) + 4
    packed = {tag: struct.pack(order + type_ * len(found), *found) for tag, type_, found in tags}
    beyond = sum(len(raw) for raw in packed.values() if len(raw) > 4)
    packed[273] = struct.pack(order + "I", end + beyond)
    head = (b"MM\0*" if big else b"II*\0") + struct.pack(order + "IH", 8, len(tags))
    tail = b""
    for tag, type_, found in tags:
        raw = packed[tag]
        head += struct.pack(order + "HHI", tag, 3 if type_ == short else 4, len(found))
        head += raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(order + "I", end + len(tail))
        tail += raw if len(raw) > 4 else b""
    path.write_bytes(head + bytes(4) + tail + data)
    return str(path)
