"""One run's result: written last and atomically as `record.json`, whose presence means that the run has ended.

The fields are the columns of `results.csv` and the keys of the W&B summary (docs/contracts.md). Free of torch and
pandas, so that the analysis can import it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scaling.records.files import write_whole

SCHEMA = 1
FILE_NAME = "record.json"
DIGEST = "digest"  # of the other fields; in the file alone
Status = Literal["finished", "failed", "diverged"]

# Empty (None) if and only if the status is not "finished".
METRICS = ("train_error", "val_error", "test_error", "test_loss")


class RecordError(ValueError):
    """A record that is not valid: not JSON, fields missing, or values that contradict its status."""


class ChangedRecordError(RecordError):
    """A record that is not what was written: its digest does not match."""


class NewerRecordError(RecordError):
    """A sound record, of a later version of this package."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row of results. Errors lie in [0, 1], losses are in nats, times in seconds."""

    name: str
    sweep: str
    config_hash: str
    overrides: tuple[str, ...]  # the full list that runs this row again
    family: Literal["vit", "cnn"]
    model: str
    width: int | None  # None for a model brought by name
    depth: int | None
    patch_size: int | None  # None for a CNN
    num_params: int | None  # None if the run failed before its model was built
    data: str
    locality: float
    image_size: int
    num_classes: int
    train_size: int  # unique training images; validation is not among them
    subset_seed: int
    seed: int
    lr: float
    steps: int
    seen_examples: int  # steps x batch size, repeats included
    train_flops: float | None  # forward and backward, 2 per multiply-add
    train_error: float | None  # on the training subset, without augmentation, final weights
    val_error: float | None
    val_examples: int | None  # None if the run failed before its data were loaded
    test_error: float | None
    test_loss: float | None
    test_examples: int | None
    train_seconds: float | None
    images_per_second: float | None  # seen_examples / train_seconds
    device: str
    precision: str
    threads: int
    torch_version: str
    git_commit: str | None
    status: Status
    error_text: str | None = None
    budget_factor: float = 1.0  # multiple of the budget rule's steps
    schema: int = SCHEMA
    init_from: str | None = None  # the run, checkpoint or published weights that it started from
    test_balanced_error: float | None = None  # mean over the classes of each one's error; not in older records
    budget_rule: str | None = None  # steps, epochs or flops: what a run's length follows; not in older records
    leaks: int | None = None  # training images that are exact copies of test or validation ones, before any is dropped
    near_leaks: int | None = None  # test and validation images that look like a training image, copies left aside
    purpose: str = "sweep"  # or tune: a tuner's trial, which does not say what a sweep was meant to hold
    data_fingerprint: str | None = None  # of pictures, labels and splits; None in older records
    files_left_out: int | None = None  # files below data.root that are not used
    available_images: int | None = None  # training images that a subset is drawn from; None where they are endless
    input_mean: tuple[float, ...] | None = None  # what the inputs were normalised by, one per channel, of [0, 1]
    input_std: tuple[float, ...] | None = None
    # Of runs that start from weights; all empty from scratch.
    adapt: Literal["full", "probe"] | None = None  # what was fitted: the whole network, or a probe on frozen features
    start_fingerprint: str | None = None  # of the weights
    pretrain_data: str | None = None  # what they were trained on, as it is called
    pretrain_size: int | None = None  # unique images of it
    pretrain_image_size: int | None = None
    pretrain_mean: tuple[float, ...] | None = None  # what they expect inputs to be normalised by; None: unknown
    pretrain_std: tuple[float, ...] | None = None
    pretrain_leaks: int | None = None  # test images that are among their training images, by content; None: unknown
    feature_dim: int | None = None  # of a probe
    strength: float | None = None  # of a probe: the chosen regularisation, relative to n
    strengths: tuple[float, ...] | None = None  # of a probe: (lowest, highest, count) of those tried
    layer_decay: float | None = None  # of a fine-tune: a layer's learning rate by that of the layer above it
    # Of a fine-tune with batch norms: their statistics went on with the batches (train) or stayed the weights' own
    batch_norm: Literal["train", "frozen"] | None = None

    def __post_init__(self) -> None:
        if self.status not in ("finished", "failed", "diverged"):
            raise RecordError(f"status={self.status!r} is not one of finished, failed, diverged")
        for field in (*METRICS, "test_balanced_error"):
            value = getattr(self, field)
            if field in METRICS and (value is None) == (self.status == "finished"):
                raise RecordError(f"{field}={value} contradicts status={self.status}")
            if value is not None and not math.isfinite(value):
                raise RecordError(f"{field}={value} is not a finite number")
            if value is not None and field.endswith("_error") and not 0 <= value <= 1:
                raise RecordError(f"{field}={value} lies outside [0, 1]")

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"overrides": list(self.overrides)}


COLUMNS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Record))
_REQUIRED = {f.name for f in dataclasses.fields(Record) if f.default is dataclasses.MISSING}


def parse_record(values: dict[str, Any]) -> Record:
    """The record that a JSON object holds. Fields that this version does not know are ignored.

    Raises:
        RecordError: fields are missing, or contradict the status.
    """
    missing = sorted(_REQUIRED - set(values))
    if missing:
        raise RecordError(f"fields missing: {', '.join(missing)}")
    if values.get("schema", SCHEMA) > SCHEMA:
        raise NewerRecordError(
            f"schema {values['schema']} is newer than this version reads ({SCHEMA}); upgrade the package"
        )
    known: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in COLUMNS
    }
    return Record(**known)


def _digest(values: dict[str, Any]) -> str:
    """16 hex digits of a record's fields as JSON, whatever their order and the spaces between them."""
    content = {key: value for key, value in values.items() if key != DIGEST}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_record(path: Path, *, trust: bool = False) -> Record:
    """The record in the file `path`.

    Args:
        trust: take a record that was changed after it was written. One without a digest, of an older version or made
            by hand, is always taken.

    Raises:
        RecordError: the file is not a record, or not the one that was written; the message names it.
    """
    try:
        values = json.loads(path.read_bytes())
        if not trust and DIGEST in values and values[DIGEST] != _digest(values):
            raise ChangedRecordError(f"{path}: changed after it was written (records=trust takes it as it is)")
        return parse_record(values)
    except NewerRecordError as error:
        raise NewerRecordError(f"{path}: {error}") from error
    except ChangedRecordError:
        raise
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, RecordError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: not a record ({error})") from error


def find_records(folder: Path) -> list[Path]:
    """Every record file below `folder`, in a stable order; links to folders are not followed."""
    found = (Path(place) / FILE_NAME for place, _, files in os.walk(folder) if FILE_NAME in files)
    return sorted(found)


def write_record(record: Record, folder: Path) -> Path:
    """Writes `record.json` into `folder` in one step, with a digest: a reader sees no file or the whole file, and
    whether it was changed since."""
    values = json.loads(json.dumps(record.to_dict(), allow_nan=False))
    text = json.dumps(values | {DIGEST: _digest(values)}, indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(folder / FILE_NAME, text.encode("utf-8", "backslashreplace"))  # a lone surrogate, as JSON escapes it
    return folder / FILE_NAME
