"""A record that was changed after it was written is named and not used, whoever reads it."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_record

from analysis.arguments import parse_table
from analysis.estimator.rows.table import load
from scaling.records.cell_folder import recorded_status
from scaling.records.record import COLUMNS, FILE_NAME, RecordError, read_record, write_record


def _flip(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"test_error": 0.31', '"test_error": 0.01'),
        ('"seed": 0', '"seed": 1'),
        ('"name": "a"', '"name": "b"'),
        ('"threads": 1,', '"threads": 1, "more": 2,'),
        ('"depth": 8,', ""),
    ],
)
def test_a_changed_record_is_named(old: str, new: str, tmp_path: Path) -> None:
    path = write_record(make_record(), tmp_path / "cell")
    assert read_record(path) == make_record()
    _flip(path, old, new)
    with pytest.raises(RecordError, match=r"cell/record.json: changed after it was written \(records=trust"):
        read_record(path)
    if new:
        read_record(path, trust=True)


def test_what_says_the_same_is_the_same(tmp_path: Path) -> None:
    """Another order, other spaces: a tool may have formatted the file."""
    record = make_record(error_text="ä\n\ud800", input_mean=(0.5, 1e-7), train_flops=1e300)
    path = write_record(record, tmp_path)
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(dict(reversed(values.items()))))
    assert read_record(path) == record


def test_records_without_a_digest_are_read(tmp_path: Path) -> None:
    values = make_record().to_dict()
    assert "digest" not in values
    assert "digest" not in COLUMNS
    (tmp_path / FILE_NAME).write_text(json.dumps(values))
    assert read_record(tmp_path / FILE_NAME) == make_record()


@pytest.mark.parametrize("every", [37, pytest.param(1, marks=pytest.mark.slow)])
def test_every_bit_of_a_record_counts(every: int, tmp_path: Path) -> None:
    """Each bit of the file flipped: another record is never read."""
    path = write_record(make_record(), tmp_path)
    content = path.read_bytes()
    for at in range(0, 8 * len(content), every):  # every bit of a byte, at one place or another
        changed = bytearray(content)
        changed[at // 8] ^= 1 << at % 8
        path.write_bytes(bytes(changed))
        try:
            assert read_record(path) == make_record()  # a space that became another
        except RecordError:
            continue


def test_a_report_names_it(tmp_path: Path) -> None:
    path = write_record(make_record(), tmp_path / "cell")
    _flip(path, "0.31", "0.01")
    with pytest.raises(ValueError, match="changed after it was written"):
        load(parse_table({"results": str(tmp_path)}))
    table = load(parse_table({"results": str(tmp_path), "records": "trust"}))
    assert table["test_error"].tolist() == [0.01]


def test_a_sweep_sets_it_aside(make_cell: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cell = make_cell(f"out={tmp_path}")
    path = write_record(make_record(config_hash=cell.config_hash), cell.folder)
    _flip(path, "0.31", "0.01")
    assert recorded_status(dataclasses.replace(cell, records="trust")) == "finished"
    assert recorded_status(cell) is None
    assert "changed after it was written" in capsys.readouterr().err
    assert [left.name for left in cell.folder.iterdir()] == [f"{FILE_NAME}.damaged-1"]
