"""The analysis as a W&B run: table, summary, figures, panel and artifacts arrive, with their lineage."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import clean_environment
from PIL import Image
from synthetic import as_table, make_record
from wandb_server import ENTITY, WandbServer

from analysis.estimator.rows.table import write_csv
from analysis.publish import curve_rows, main, summarize

KEY = {"data": "strokes", "locality": 0.5, "image_size": 16}
GROUP: dict[str, Any] = {
    "key": KEY, "metric": "test_error", "axis": "train_size", "verdict": "observed", "direction": "vit_overtakes",
    "crossover_size": 640.0, "interval": [500.0, None], "p_crossing": 0.97, "fit_range": [128, 4096], "n_runs": 4,
}  # fmt: skip
POINTS = [{"size": 128.0, "log_error": -1.0, "standard_error": 0.1, "runs": 2}]
CURVE = [
    {"size": 128.0, "median": 0.37, "interval": [0.3, 0.4]},
    {"size": 256.0, "median": 0.3, "interval": [0.2, 0.4]},
]
FORMS = [{"name": "power law", "parameters": {"alpha": 0.5}, "weight": 1.0}]
MODEL = {"model": "resnet8", "family": "cnn", "forms": FORMS, "lack_of_fit": 0.4, "points": POINTS, "curve": CURVE}
FITS = {"schema": 1, "level": 0.9, "groups": [{"key": KEY, "models": [MODEL]}]}
CROSSOVER = {"schema": 1, "level": 0.9, "headline": 0, "groups": [GROUP]}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    folder = tmp_path / "a report"
    (folder / "figures").mkdir(parents=True)
    records = [make_record(name=f"r{i}", config_hash=f"h{i}", sweep="mine", seed=i) for i in range(4)]
    write_csv(as_table(records), folder / "results.csv")
    (folder / "crossover.json").write_text(json.dumps(CROSSOVER))
    (folder / "fits.json").write_text(json.dumps(FITS))
    Image.new("L", (8, 8)).save(folder / "figures" / "curves-0.png")
    return folder


@pytest.fixture
def publish(tmp_path: Path, server: WandbServer) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(module: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(tmp_path) | server.environment()
        line = [sys.executable, "-m", module, *words]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return run


def assert_arrived(server: WandbServer, report: Path) -> dict[str, Any]:
    [run] = [run for run in server.runs.values() if run["display_name"] == "analysis of mine"]
    assert (run["job_type"], run["group"], run["state"]) == ("analysis", "mine", "finished")
    assert run["config"]["trained_by"]["value"] == {
        "group": "mine",
        "sweeps": ["mine"],
        "runs": ["h0", "h1", "h2", "h3"],
    }
    summary = run["summary"]
    assert (summary["verdict"], summary["crossover_size"]) == ("observed", 640)
    assert summary["crossover"]["strokes locality=0.5 image_size=16"]["interval"] == [500, None]
    assert summary["fits"]["strokes locality=0.5 image_size=16"]["resnet8"]["lack_of_fit"] == 0.4
    [table] = [json.loads(server.files[path]) for path in server.files if "/media/table/results" in path]
    assert [row[table["columns"].index("name")] for row in table["data"]] == ["r0", "r1", "r2", "r3"]
    pictures = [content for path, content in server.files.items() if "/media/images/figures/curves-0" in path]
    assert pictures == [(report / "figures" / "curves-0.png").read_bytes()]
    [artifact] = [a for a in server.artifacts.values() if a["name"] == "crossover-mine"]
    assert (artifact["state"], artifact["output_of"]) == ("COMMITTED", [run["id"]])
    for name in ("results.csv", "crossover.json", "fits.json"):
        assert server.files[f"/put/artifact/{artifact['id']}/{name}"] == (report / name).read_bytes()
    return run


def test_online_with_lineage_and_a_panel(server: WandbServer, report: Path, publish: Callable) -> None:
    for i in range(3):  # of four training runs, three are in the project
        server.on_UpsertBucket({"project": "vit-scaling", "name": f"h{i}", "groupName": "mine"})
    done = publish("analysis.publish", f"report={report}", "wandb=online")
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"W&B: 1 of 4 training runs are not in {ENTITY}/vit-scaling\n"
    run = assert_arrived(server, report)
    assert done.stdout == f"{server.url}/{ENTITY}/vit-scaling/runs/{run['id']}\n"
    [records] = [a for a in server.artifacts.values() if a["name"] == "records-mine"]
    assert {"h0", "h1", "h2"} < set(records["output_of"])
    assert records["used_by"] == [run["id"]]
    [chart] = server.charts
    assert '"type": "log"' in chart["spec"]
    assert chart["chartName"] in json.dumps(run["config"]["_wandb"])  # the panel is set up in the run's own settings


@pytest.mark.slow
def test_offline_and_synced_later(server: WandbServer, report: Path, publish: Callable) -> None:
    done = publish("analysis.publish", f"report={report}")
    assert done.returncode == 0, done.stderr
    assert (done.stderr, server.requests) == ("", [])
    hint, place = done.stdout.splitlines()
    assert hint == f"W&B: `wandb sync '{place}'` uploads the run"
    assert publish("wandb", "sync", place).returncode == 0
    assert_arrived(server, report)


@pytest.mark.slow
def test_a_panel_that_is_there_is_used_again(server: WandbServer, report: Path, publish: Callable) -> None:
    server.charts.append({"chartName": "vit_scaling_curves_v1"})
    assert publish("analysis.publish", f"report={report}", "wandb=online").returncode == 0
    run = assert_arrived(server, report)
    assert f"{ENTITY}/vit_scaling_curves_v1" in json.dumps(run["config"]["_wandb"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "report= is missing"),
        (("report=nowhere",), "nowhere: no results.csv, crossover.json, fits.json; analysis.report"),
        (("report=nowhere", "wandb=disabled"), "wandb=disabled is neither offline nor online"),
        (("report=nowhere", "colour=red"), "unknown key colour"),
        (("quickly",), "'quickly' is not of the form key=value"),
    ],
)
def test_bad_arguments(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from analysis.publish import main

    assert main(words) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {message}")
    assert (out, err.count("\n")) == ("", 1)


def test_numbers_of_summary_and_plot() -> None:
    summary = summarize(CROSSOVER, FITS)
    assert (summary["verdict"], summary["interval"], summary["n_runs"]) == ("observed", [500.0, None], 4)
    rows = curve_rows(FITS)
    assert rows[0][:5] == ["strokes locality=0.5 image_size=16", "resnet8", "cnn", "runs", 128.0]
    assert rows[0][5] == pytest.approx(0.36788, abs=1e-5)  # 1/e
    assert rows[2] == ["strokes locality=0.5 image_size=16", "resnet8", "cnn", "fit", 256.0, 0.3, 0.2, 0.4]


@pytest.mark.parametrize("word", ["project=a/b", "wandb.project=a:b"])
def test_a_project_that_w_and_b_refuses_is_refused_before_anything_starts(tmp_path, capsys, word: str) -> None:
    for name in ("results.csv", "crossover.json", "fits.json"):
        (tmp_path / name).write_text("seed\n0\n" if name == "results.csv" else "{}")
    assert main([f"report={tmp_path}", word]) == 2
    assert "is no name that W&B takes" in capsys.readouterr().err
