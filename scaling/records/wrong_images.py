"""Keeps which test and validation images a run got wrong, one bit each: `wrong.npz` beside its record.

All runs of a question share their test images, so the luck of that draw is common to them; these bits say how much of
it is. Beside a `results.csv` the file holds the bits of all its runs, by `config_hash`. Free of torch.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaling.records.files import write_whole

WRONG_FILE = "wrong.npz"
_ARRAYS = ("test", "val", "test_count", "val_count", "val_index")
Bits = NDArray[np.bool_]


class WrongImagesError(ValueError):
    """A file of wrong images that cannot be used; the message names it."""


@dataclass(frozen=True)
class WrongImages:
    """One run's images that it got wrong, in the order of the loaded splits."""

    test: Bits  # (test_count,)
    val: Bits  # (val_count,)
    val_index: NDArray[np.int32]  # (val_count,) which images of the validation pool

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {
            "test": np.packbits(self.test),
            "val": np.packbits(self.val),
            "test_count": np.array(len(self.test)),
            "val_count": np.array(len(self.val)),
            "val_index": self.val_index.astype(np.int32),
        }


def _unpack(arrays: Mapping[str, np.ndarray]) -> WrongImages:
    test, val = (
        np.unpackbits(arrays[name], count=int(arrays[f"{name}_count"])).astype(bool) for name in ("test", "val")
    )
    if len(arrays["val_index"]) != len(val):
        raise ValueError("val_index and val are of unequal length")
    return WrongImages(test, val, arrays["val_index"].astype(np.int32))


def _to_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]  # its stub takes them for allow_pickle
    return file.getvalue()


def write_wrong_images(wrong: WrongImages, folder: Path) -> None:
    """Writes a run's `wrong.npz` into its folder, in one step."""
    write_whole(folder / WRONG_FILE, _to_bytes(wrong.to_arrays()))


def pack_all(runs: Mapping[str, WrongImages]) -> bytes:
    """The content of the `wrong.npz` beside a table: the arrays of every run, named `HASH/test` and so on."""
    return _to_bytes({f"{key}/{name}": a for key, run in sorted(runs.items()) for name, a in run.to_arrays().items()})


def read_wrong_images(path: Path) -> dict[str, WrongImages]:
    """The runs of a `wrong.npz` by `config_hash`; that of a single run stands under the empty string.

    Raises:
        WrongImagesError: the file cannot be read, or is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            names = dict.fromkeys(key.rpartition("/")[0] for key in file.files)
            return {
                name: _unpack({part: file[f"{name}/{part}" if name else part] for part in _ARRAYS}) for name in names
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WrongImagesError(f"{path}: not a file of wrong images ({error})") from error
