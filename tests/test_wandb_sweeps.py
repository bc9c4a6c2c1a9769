"""W&B's own sweeps: the files give an agent the cells of the Hydra sweep, and an agent's run is the cell's run."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import clean_environment
from wandb_server import ENTITY, WandbServer
from wandb_sweeps import grid

from scaling.compose.paths import SWEEPS

FILES = sorted((SWEEPS / "wandb").glob("*.yaml"))


def command_of(file: Path, job: dict[str, Any]) -> list[str]:
    """The command that the client's agent makes of a sweep file and one combination of its parameters."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    arguments = create_sweep_command_args({"args": {name: {"value": value} for name, value in job.items()}})
    words: list[str] = []
    for chunk in create_sweep_command(yaml.safe_load(file.read_text())["command"]):
        macro = chunk.startswith("${") and chunk.endswith("}")
        words += arguments.get(chunk[2:-1], [chunk]) if macro else [chunk]
    return words


def typed(words: list[str]) -> frozenset[tuple[str, Any]]:
    return frozenset((word.split("=", 1)[0], yaml.safe_load(word.split("=", 1)[1])) for word in words)


def test_the_quickstarts_files_are_the_cells_of_the_hydra_sweep() -> None:
    """Together they name each of the sweep's cells once, however YAML and the agent write the numbers."""
    blocks = yaml.safe_load((SWEEPS / "quickstart.yaml").read_text())["hydra"]["sweeper"]["cells"]
    hydra = [
        frozenset((key, yaml.safe_load(str(value))) for key, value in zip(block, values, strict=True))
        for block in blocks
        for values in itertools.product(*block.values())
    ]
    jobs = []
    for file in FILES:
        if file.stem.startswith("quickstart"):
            for job in grid(yaml.safe_load(file.read_text())):
                words = command_of(file, job)
                assert words[:4] == ["${env}", "${interpreter}", "-m", "scaling.train"]
                assert words[4:7] == ["sweeps=quickstart", "hydra.mode=RUN", "wandb=online"]
                jobs.append(typed(words[7:]))
    assert len(jobs) == len(set(jobs)) == len(hydra)
    assert set(jobs) == set(hydra)


@pytest.mark.slow
def test_the_quickstarts_cells_have_the_same_identity_by_both_roads() -> None:
    from scaling.study.command import cells_of

    hydra = {cell.config_hash for cell in cells_of(["sweeps=quickstart"])}
    for file in FILES:
        if file.stem.startswith("quickstart"):
            jobs = grid(yaml.safe_load(file.read_text()))
            for job in (jobs[0], jobs[-1]):
                [cell] = cells_of(command_of(file, job)[4:])
                assert cell.config_hash in hydra, job


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_starts_one_cell_that_composes(file: Path, make_cell: Callable) -> None:
    sweep = yaml.safe_load(file.read_text())
    assert sweep["metric"]["name"] == "val_error"  # chosen on validation, never on the test set
    for spec in sweep["parameters"].values():
        if "distribution" in spec:
            spec["value"] = spec["max"]
    words = command_of(file, grid(sweep)[-1])
    assert words[2:4] == ["-m", "scaling.train"]
    assert "wandb=online" in words
    cell = make_cell(*(word for word in words[4:] if not word.startswith("hydra.")))
    assert cell.wandb.mode == "online"
    assert cell.sweep == file.stem.split("_lr_")[0]


@pytest.mark.slow
def test_an_agent_runs_the_cells_once(tmp_path: Path, make_cell: Callable) -> None:
    """The real `wandb sweep` and `wandb agent`: two cells are two of its runs; a second sweep trains nothing."""
    sweep = yaml.safe_load((SWEEPS / "wandb" / "quickstart.yaml").read_text())
    less = ["budget.steps=20", "data.test_size=50", "device=cpu"]
    sweep["command"][-1:-1] = less
    (tmp_path / "less.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False))
    environment = clean_environment(tmp_path)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    with WandbServer() as server:
        server.wanted = lambda job: job["data.train_size"] == 512 and job["seed"] == 0 and job["data.locality"] == 1

        def wandb(*words: str) -> None:
            line = [sys.executable, "-m", "wandb", *words]
            subprocess.run(line, cwd=tmp_path, env=environment | server.environment(), check=True, timeout=300)

        for number in (1, 2):
            wandb("sweep", "less.yaml")
            wandb("agent", "--count", "2", f"{ENTITY}/vit-scaling/sw{number}")
            records = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/quickstart/*/record.json")}
            if number == 1:
                first = records
        assert records == first
        words = [*less, "sweeps=quickstart", "data.train_size=512", "seed=0", "data.locality=1"]
        cells = [make_cell(*words, f"model={model}") for model in ("vit_w64d2", "resnet8_w8")]
        assert {path.parent.name for path in records} == {cell.cell_name for cell in cells}
        assert server.unknown == []
        runs = list(server.runs.values())
        assert len(runs) == 4
        assert all(run["id"].startswith("agent") for run in runs)
        for cell in cells:
            of_cell = [run for run in runs if run["summary"]["config_hash"] == cell.config_hash]
            assert [run["sweep"] for run in of_cell] == ["sw1", "sw2"]
            assert of_cell[0]["summary"]["val_error"] == of_cell[1]["summary"]["val_error"]
            assert [len(run["history"]) > 0 for run in of_cell] == [True, False]
            assert "result of its record" in of_cell[1]["notes"]
            assert of_cell[0]["config"]["model"]["value"] == cell.model.name  # the agent's parameter keeps its name
            assert of_cell[0]["config"]["model_config"]["value"]["family"] == cell.model.family
