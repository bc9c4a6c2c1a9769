"""Offline W&B runs on disk as a source of results, read by the real client."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import clean_environment
from synthetic import make_record

from analysis.arguments import InputError, TableArguments
from analysis.estimator.rows.table import load
from scaling.records.record import write_record
from scaling.tracking.wandb_local import find_run_folders

SCRIPT = """
import json, pickle
from scaling.tracking import track
cell, records = pickle.load(open("cell.pickle", "rb"))
for record in records:
    with track(cell) as tracker:
        tracker.summarize(record)
"""


@pytest.fixture
def logged(make_cell: Callable, tmp_path: Path) -> Path:
    """One cell logged twice, offline: a failed attempt, then a finished one."""
    cell = make_cell("wandb=offline", "sweep=mine", "data.train_size=40", f"out={tmp_path}/runs")
    nothing = dict.fromkeys(("train_error", "val_error", "test_error", "test_loss"))
    names = {"name": cell.cell_name, "config_hash": cell.config_hash, "sweep": "mine", "train_size": 40}
    failed, done = make_record(**names, **nothing, status="failed"), make_record(**names, test_error=1 / 3)
    (tmp_path / "cell.pickle").write_bytes(pickle.dumps((cell, [failed.to_dict(), done.to_dict()])))
    environment = clean_environment(tmp_path)
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, check=True, timeout=120)
    write_record(done, cell.folder)
    return tmp_path / "runs"


def test_the_newest_attempt_is_the_row_and_its_record_the_same(logged: Path) -> None:
    place = Path(f"wandb-offline:{logged}")
    table = load(TableArguments(results=(place,)))
    [row] = json.loads(table.to_json(orient="records"))
    assert (row["status"], row["family"], row["train_size"], row["group"]) == ("finished", "cnn", 40, "mine")
    assert table["test_error"].item() == 1 / 3
    assert Path(row["provenance"]).parent == logged / "mine" / "wandb"
    [record] = json.loads(load(TableArguments(results=(logged,))).to_json(orient="records"))
    assert {key: row.get(key) for key in record if key != "provenance"} == {
        key: value for key, value in record.items() if key != "provenance"
    }
    assert len(load(TableArguments(results=(place, logged)))) == 1


def test_run_folders_are_found_by_their_names(tmp_path: Path) -> None:
    names = (  # the client's names; -1 is a second attempt within a second
        ("run-20260101_000000-a-b", "a-b"),
        ("offline-run-20260102_000000-a-b", "a-b"),
        ("offline-run-20260101_000000-c", "c"),
        ("offline-run-20260101_000000-c-1", "c"),
        ("offline-run-20260101_000000-c-2", "c-2"),
        ("latest-run", "c"),
    )
    for name, run_id in names:
        (tmp_path / "s" / "wandb" / name).mkdir(parents=True)
        (tmp_path / "s" / "wandb" / name / f"run-{run_id}.wandb").touch()
    found = [path.name for path in find_run_folders(tmp_path)]
    assert found == [names[4][0], names[3][0], names[1][0]]
    first = tmp_path / "s" / "wandb" / names[0][0]
    assert find_run_folders(first) == [first]


def test_a_folder_that_the_client_cannot_read_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "offline-run-20260101_000000-a"
    folder.mkdir()
    (folder / "run-a.wandb").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"the W&B client cannot read it .*name the folder of records beside it"):
        load(TableArguments(results=(Path(f"wandb-offline:{tmp_path}"),)))
