"""The record: what it refuses, and that a reader never sees half of one."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from scaling.records.record import (
    COLUMNS,
    FILE_NAME,
    Record,
    RecordError,
    find_records,
    parse_record,
    read_record,
    write_record,
)

# The columns of the contract, in its order (docs/contracts.md).
CONTRACT = """
name sweep config_hash overrides family model width depth patch_size num_params data locality image_size
num_classes train_size subset_seed seed lr steps seen_examples train_flops train_error val_error val_examples
test_error test_loss test_examples train_seconds images_per_second device precision threads torch_version
git_commit status
""".split()


def _record(**changes: Any) -> Record:
    values: dict[str, Any] = dict(
        name="a", sweep="s", config_hash="0" * 16, overrides=("seed=0",),
        family="cnn", model="resnet8", width=16,
        depth=8,
        patch_size=None, num_params=75_000, data="strokes", locality=1.0, image_size=16, num_classes=10, train_size=128,
        subset_seed=0, seed=0, lr=0.01, steps=10, seen_examples=640, train_flops=1e9, train_error=0.0, val_error=0.2,
        val_examples=40, test_error=0.25, test_loss=0.7, test_examples=8000, train_seconds=1.0, images_per_second=640.0,
        device="cpu", precision="fp32", threads=1, torch_version="2", git_commit=None, status="finished",
    )  # fmt: skip
    return Record(**values | changes)


def test_the_columns_are_those_of_the_contract() -> None:
    assert list(COLUMNS[: len(CONTRACT)]) == CONTRACT


def test_round_trip(tmp_path: Path) -> None:
    record = _record(data="böhnchen, 'x'=1", error_text=None, input_mean=(0.5, 0.25, 0.1), strengths=(1e-4, 1e3, 15))
    assert read_record(write_record(record, tmp_path / "cell")) == record
    assert find_records(tmp_path) == [tmp_path / "cell" / FILE_NAME]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_error": None}, "test_error"),
        ({"test_error": 1.2}, "outside"),
        ({"test_loss": float("nan")}, "finite"),
        ({"status": "failed"}, "contradicts"),
        ({"status": "done"}, "not one of"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        _record(**changes)


def test_a_failed_run_has_no_metrics_but_a_text() -> None:
    empty = dict.fromkeys(("train_error", "val_error", "test_error", "test_loss"))
    assert _record(**empty, status="failed", error_text="out of memory").error_text == "out of memory"


def test_json_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_record(_record(images_per_second=float("inf")), tmp_path)
    assert list(tmp_path.iterdir()) == []  # no half-written file either


def test_fields_of_later_versions_are_ignored_and_missing_ones_named() -> None:
    values = _record().to_dict()
    assert parse_record(values | {"something_new": 1}) == _record()
    del values["lr"], values["seed"]
    with pytest.raises(RecordError, match="lr, seed"):
        parse_record(values)


def test_a_record_without_the_optional_fields_is_still_read() -> None:
    values = {key: value for key, value in _record().to_dict().items() if key in CONTRACT}
    assert parse_record(values) == _record()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 1}', "null"])
def test_what_is_not_a_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text)
    with pytest.raises(RecordError, match=FILE_NAME):
        read_record(path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps(dataclasses.asdict(_record()) | {"schema": 99}))
    with pytest.raises(RecordError, match="newer"):
        read_record(path)
