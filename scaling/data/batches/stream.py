"""Images that do not fit on the device: worker processes read or decode batches ahead of the run.

The images, their order and their labels are those of a resident set, to the last bit.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from scaling.data.errors import DataError
from scaling.data.pixels.cache import Damaged, Decoded
from scaling.data.pixels.decode_all import decode_rows
from scaling.records.files import cores

_AHEAD = 4  # batches that each worker prepares before they are asked for


class _Batches(Dataset):
    """What runs in a worker: a list of indices in, a batch out."""

    def __init__(self, decoded: Decoded, rows: np.ndarray) -> None:
        self.decoded, self.rows = decoded, rows

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = self.rows[indices]
        labels = torch.from_numpy(self.decoded.catalogue.labels[rows])
        return torch.from_numpy(read_rows(self.decoded, rows)), labels


def read_rows(decoded: Decoded, rows: np.ndarray) -> np.ndarray:
    """uint8 (len(rows), channels, size, size), from the cache or decoded from the files now.

    Raises:
        DataError: a file or the cache has been damaged since the start.
    """
    if decoded.images is not None:
        try:
            decoded.check(rows)
        except Damaged as error:
            raise DataError(f"{error}; start the same command again, which makes it anew") from error
        return np.asarray(decoded.images[rows])
    assert decoded.catalogue.paths is not None
    paths = tuple(decoded.catalogue.paths[row] for row in rows.tolist())
    pixels, unreadable = decode_rows(paths, decoded.square)
    for i, reason in unreadable.items():
        raise DataError(f"{paths[i]} could be read at the start and no longer: {reason}")
    return pixels


@dataclass(frozen=True)
class StreamedImages:
    """One run's `rows` (n,) of a decoded set and their `labels` (n,) on the device that batches are sent to."""

    decoded: Decoded
    rows: np.ndarray
    labels: torch.Tensor
    loaders: int | None  # worker processes; None: as many as there are cores, 8 at most; 0: none

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def index_device(self) -> torch.device:
        return torch.device("cpu")

    def batches(self, indices: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(images, labels) for each tensor of indices into the run's images."""
        device = self.labels.device
        loaders = min(8, cores()) if self.loaders is None else self.loaders
        options: dict[str, Any] = {}
        if loaders:
            method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
            options = dict(prefetch_factor=_AHEAD, multiprocessing_context=method)
        loader = DataLoader(
            _Batches(self.decoded, self.rows),
            batch_sampler=(index.tolist() for index in indices),
            num_workers=loaders,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else it would draw from the numbers that dropout uses
            **options,
        )
        for images, labels in loader:
            yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)

    def in_order(self, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(images, labels) of all images, for an evaluation."""
        return self.batches(torch.arange(len(self)).split(batch_size))


def _as_it_is(batch: Any) -> Any:
    return batch
