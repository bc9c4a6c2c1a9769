"""A W&B project as a source of results: the real client's public API against a small service on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import clean_environment
from synthetic import make_record
from wandb_server import ENTITY, WandbServer

from scaling.records.record import Record, write_record

SCRIPT = """
import sys
from analysis.arguments import InputError, parse_table
from analysis.estimator.rows.table import load
try:
    table = load(parse_table(dict(word.split("=", 1) for word in sys.argv[1:])))
except InputError as error:
    sys.exit(f"error: {error}")
print(table.to_json(orient="records"))
"""


@pytest.fixture
def loaded(server: WandbServer, tmp_path: Path) -> Callable[..., tuple[list[dict[str, Any]], str]]:
    """The rows of a command line in a process of its own (the client keeps its address for life), and its stderr."""

    def run(*words: str) -> tuple[list[dict[str, Any]], str]:
        environment = clean_environment(tmp_path) | server.environment()
        line = [sys.executable, "-c", SCRIPT, *words]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        return (json.loads(done.stdout) if done.returncode == 0 else []), done.stderr

    return run


def add_run(server: WandbServer, record: Record, *, group: str, **changes: Any) -> None:
    """A run of ours as it would have arrived."""
    values = record.to_dict()
    config = {"config_hash": record.config_hash, "seed": record.seed, "sweep": record.sweep}
    config |= {"data": {"name": record.data, "train_size": record.train_size, "locality": record.locality}}
    config |= {"model": {"name": record.model, "family": record.family}}
    server.on_UpsertBucket(
        {"project": "p", "name": record.config_hash, "groupName": group, "jobType": "train", "tags": ["a"]}
        | {"config": json.dumps({key: {"value": value} for key, value in config.items()})}
    )
    summary = {key: value for key, value in values.items() if value is not None} | {"_step": 4, "_runtime": 3.5}
    server.runs["p", record.config_hash] |= {"summary": summary, "state": "finished", "history": [{}]} | changes


def record(i: int, **changes: Any) -> Record:
    family = ("vit", "cnn")[i % 2]
    return make_record(name=f"r{i}", config_hash=f"h{i:03d}", family=family, model=family, seed=i, **changes)


def test_a_group_of_runs_is_the_records_it_came_from(server: WandbServer, loaded: Callable, tmp_path: Path) -> None:
    for i in range(5):
        add_run(server, record(i), group="mine")
        write_record(record(i), tmp_path / "runs" / f"r{i}")
    add_run(server, record(7), group="other")
    add_run(server, record(8), group="mine", job_type="analysis")
    add_run(server, record(9), group="mine", state="running")
    add_run(server, record(10), group="mine", state="crashed", summary={"_step": 1})
    rows, errors = loaded(f"results=wandb:{ENTITY}/p", "filters.group=mine")
    assert "1 runs have not ended" in errors
    assert {row["name"] for row in rows} == {"r0", "r1", "r2", "r3", "r4", "h010"}
    assert {row["provenance"] for row in rows} == {f"wandb:{ENTITY}/p/{row['run_id']}" for row in rows}
    assert all(row["wandb_url"] == f"{server.url}/{ENTITY}/p/runs/{row['run_id']}" for row in rows)
    [crashed] = [row for row in rows if row["run_id"] == "h010"]
    assert (crashed["status"], crashed["error_text"]) == ("failed", "W&B has it as crashed")
    assert (crashed["family"], crashed["train_size"], crashed["seed"]) == ("vit", 128, 10)
    # With the records themselves beside it nothing counts twice, and the numbers are theirs to the last bit.
    both, _ = loaded(f"results=[wandb:{ENTITY}/p,runs]", "filters.sweep=s", "filters.status=finished")
    assert len(both) == 6  # the five, and the run of the other group


def test_pages_are_kept_and_only_news_is_fetched(server: WandbServer, loaded: Callable) -> None:
    for i in range(120):
        add_run(server, record(i), group="mine", heartbeat=1e9)
    first, _ = loaded(f"results=wandb:{ENTITY}/p")
    assert len(first) == 120
    assert server.requests.count("Runs") == 1 + 3  # the list, and three pages of fifty
    server.requests.clear()
    server.runs["p", "h005"] |= {"heartbeat": 2e9, "summary": record(5, test_error=0.5).to_dict()}
    news, _ = loaded(f"results=wandb:{ENTITY}/p")
    assert [row["test_error"] for row in news if row["name"] == "r5"] == [0.5]
    others = [{row["name"]: row["test_error"] for row in rows if row["name"] != "r5"} for rows in (first, news)]
    assert others[0] == others[1]
    assert len(others[0]) == 119
    assert server.requests.count("Runs") == 1 + 1  # the list, and the one run that is not as it was


@pytest.mark.slow  # the client waits its time limit out
def test_a_reading_cut_short_goes_on_where_it_was(server: WandbServer, loaded: Callable) -> None:
    for i in range(120):
        add_run(server, record(i), group="mine", heartbeat=1e9)
    server.dies_when = lambda s: s.requests.count("Runs") == 3
    rows, errors = loaded(f"results=wandb:{ENTITY}/p")
    assert rows == []
    assert len(errors.splitlines()) == 1
    assert f"error: wandb:{ENTITY}/p" in errors
    server.start()
    server.requests.clear()
    rows, _ = loaded(f"results=wandb:{ENTITY}/p")
    assert len(rows) == 120
    assert server.requests.count("Runs") == 1 + 1  # the two pages before the end were kept


def test_somebody_elses_runs_are_mapped(server: WandbServer, loaded: Callable) -> None:
    for i, arch in enumerate(("vit", "resnet")):
        config = json.dumps({"arch": {"value": arch}, "data": {"value": {"n": 100}}})
        server.on_UpsertBucket({"project": "q", "name": f"x{i}", "displayName": f"run {i}", "config": config})
        server.runs["q", f"x{i}"] |= {"summary": {"top1": 75.0 + i, "_step": 3}, "state": "finished"}
    rows, errors = loaded(
        f"results=wandb:{ENTITY}/q", "columns.model=config.arch", "columns.train_size=config.data.n",
        "columns.accuracy_percent=top1", "metric=accuracy_percent", "family.vit=vit", "family.cnn=resnet",
    )  # fmt: skip
    assert errors == ""
    assert {(row["family"], row["train_size"], row["test_error"]) for row in rows} == {
        ("vit", 100, 0.25),
        ("cnn", 100, 0.24),
    }


@pytest.mark.slow
def test_a_project_that_is_not_there_is_one_line(loaded: Callable) -> None:
    rows, errors = loaded(f"results=wandb:{ENTITY}/nothing")
    assert rows == []
    assert errors == f"error: wandb:{ENTITY}/nothing: Could not find project nothing\n"
