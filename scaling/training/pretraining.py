"""What a run says of the images behind weights: what its inputs were normalised by, which pictures its own weights have
seen, and how many of its test pictures the weights that it starts from have seen.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from scaling.config import CellConfig
from scaling.data.splits import Splits
from scaling.records.cell_folder import BEST_FILE, PICTURES_FILE, WEIGHTS_FILE
from scaling.records.files import write_whole
from scaling.training.features import run_digests
from scaling.training.started import content_fingerprint


def _behind(start: str | None) -> np.ndarray | None:
    """uint64 (n, 2) of the pictures that a run of ours was trained on, its own starts' included; None: unknown."""
    path = Path(start or "")
    run = path.parent if path.name in (WEIGHTS_FILE, BEST_FILE) else path
    if start is None or not (run / PICTURES_FILE).is_file():
        return None
    return np.load(run / PICTURES_FILE, allow_pickle=False)


def _as_set(digests: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in digests}


def start_fields(cell: CellConfig, splits: Splits) -> dict[str, Any]:
    """The record's fields about the start and the inputs, known before anything is computed."""
    fields: dict[str, Any] = dict(
        input_mean=tuple(splits.mean.flatten().tolist()),
        input_std=tuple(splits.std.flatten().tolist()),
        start_fingerprint=content_fingerprint(cell),
    )
    seen = _behind(cell.start)
    if seen is not None:
        known = _as_set(seen)
        fields["pretrain_leaks"] = sum(row.tobytes() in known for row in run_digests(splits)["test"])
    return fields


def keep_pictures(cell: CellConfig, splits: Splits) -> None:
    """Writes which pictures are behind a run's weights beside them; of weights whose own pictures are unknown nothing
    can be said."""
    before = _behind(cell.start)
    if cell.start is not None and before is None:
        return
    own = run_digests(splits)["train"]
    file = io.BytesIO()
    np.save(file, own if before is None else np.unique(np.concatenate([before, own]), axis=0), allow_pickle=False)
    write_whole(cell.folder / PICTURES_FILE, file.getvalue())
