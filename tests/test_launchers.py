"""Every launcher keeps the same promises: finished cells are not launched, a crash costs one cell, a stop stops all."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from scaling.train import main as train_main

ROOT = Path(__file__).parent.parent
MARK = "SCALING_TEST_MARK"
SMALL = [
    "-m", "data.image_size=8", "data.permute_patch=4", "data.train_size=20", "data.test_size=50", "device=cpu",
    "wandb=disabled", "model=resnet8_w8",
]  # fmt: skip
NEEDS = {"joblib": "hydra_joblib_launcher", "submitit_local": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}
DEFAULT = {"joblib", "submitit_local"}  # the default run takes those without tests elsewhere that start quickly


def _launcher(name: str) -> object:
    needed = NEEDS.get(name)
    missing = needed is not None and importlib.util.find_spec(f"hydra_plugins.{needed}") is None
    marks = [pytest.mark.skipif(missing, reason=f"hydra/launcher={name} is not installed")]
    return pytest.param(name, marks=marks + [pytest.mark.slow] * (name not in DEFAULT), id=name)


LAUNCHERS = [_launcher(name) for name in ("pool", "basic", "joblib", "submitit_local", "ray")]


def _words(name: str) -> list[str]:
    return {
        "pool": ["workers=2"], "basic": ["hydra/launcher=basic"],
        "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        "submitit_local": ["hydra/launcher=submitit_local", "workers=2"],
        "ray": ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"],
    }[name]  # fmt: skip


def _environment(tmp_path: Path) -> dict[str, str]:
    """A seed of 13 ends its process as a segmentation fault would, wherever that process was started."""
    site = tmp_path / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'scaling.training.trainer':\n"
        "            import os, torch\n"
        "            usual = torch.manual_seed\n"
        "            torch.manual_seed = lambda seed: os._exit(42) if seed == 13 else usual(seed)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "HYDRA_"))}
    path = os.pathsep.join([str(site), str(ROOT)])
    return kept | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", MARK: str(tmp_path), "RAY_DEDUP_LOGS": "0"}


def _train(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "scaling.train", *SMALL, *words]
    environment = _environment(tmp_path)
    return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_crash_costs_one_cell_and_the_finished_ones_are_not_launched_again(name: str, tmp_path: Path) -> None:
    words = [*_words(name), "budget.steps=14", "seed=0,13,1", "sweep=mine"]
    first = _train(tmp_path, *words)
    assert first.returncode == 1, first.stderr
    assert "2 cells finished (0 before), 1 failed: runs/mine" in first.stdout, first.stderr
    assert "cost: 3 cells to run" in first.stderr
    records = {path: json.loads(path.read_text()) for path in (tmp_path / "runs" / "mine").glob("*/record.json")}
    assert {(r["seed"], r["status"]) for r in records.values()} == {(0, "finished"), (1, "finished"), (13, "failed")}
    assert "42" in next(r["error_text"] for r in records.values() if r["seed"] == 13)
    stamps = {path: path.stat().st_mtime_ns for path in records}
    again = _train(tmp_path, *words)
    assert again.returncode == 1
    assert "2 cells finished (2 before), 1 failed" in again.stdout, again.stderr
    assert "retry=failed" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in records} == stamps


OPTUNA = pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None,
    reason="hydra/sweeper=optuna is not installed",
)
SEARCH = ("hydra/sweeper=optuna", "hydra.sweeper.sampler.seed=1", "optim.lr=tag(log,interval(1e-3,1e-1))", "sweep=mine")


@OPTUNA
@pytest.mark.parametrize("name", ["pool", *(pytest.param(n, marks=pytest.mark.slow) for n in ("basic", "joblib"))])
def test_a_search_minimises_the_validation_error(name: str, tmp_path: Path) -> None:
    done = _train(tmp_path, *_words(name), *SEARCH, "hydra.sweeper.n_trials=2", "budget.steps=4")
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "mine").glob("*/record.json")]
    best = min(records, key=lambda r: r["val_error"])
    found = yaml.safe_load((tmp_path / "runs" / "mine" / "optimization_results.yaml").read_text())
    assert len(records) == 2
    assert found["best_value"] == best["val_error"]
    assert found["best_params"]["optim.lr"] in [r["lr"] for r in records if r["val_error"] == best["val_error"]]


@OPTUNA
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("hydra.sweeper.direction=maximize",), "validation error alone"),
        (("tune=lr",), "give one of them"),
        (("sweeps=quickstart",), "only hydra/sweeper=cells takes"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_it_starts(words, message, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train"])
    assert train_main([*SMALL, *SEARCH, *words]) == 2
    assert message in capfd.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def _alive(tmp_path: Path) -> dict[int, str]:
    """Processes, whoever their parents are now, that the test's command began."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"{MARK}={tmp_path}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80]
        except OSError:
            continue
    return found


def _alive_after(seconds: float, tmp_path: Path, *, but: str | None = None) -> dict[int, str]:
    """What is alive at last, but for processes of such a name; waits `seconds` at most for all to end."""
    deadline = time.monotonic() + seconds
    while True:
        found = {pid: line for pid, line in _alive(tmp_path).items() if but is None or but not in line}
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc for the processes that are left")
@pytest.mark.parametrize("name", [launcher for launcher in LAUNCHERS if launcher.id != "pool"])  # pool: test_sweep
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_a_stopped_command_leaves_no_process(name: str, number: signal.Signals, tmp_path: Path) -> None:
    words = [*_words(name), "budget.steps=400000", "seed=0,1", "sweep=long"]
    parent = subprocess.Popen(
        [sys.executable, "-m", "scaling.train", *SMALL, *words], cwd=tmp_path, env=_environment(tmp_path),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wanted, deadline = 1 if name == "basic" else 2, time.monotonic() + 240
        while len(list(tmp_path.glob("runs/long/*/.lock"))) < wanted and time.monotonic() < deadline:
            assert parent.poll() is None
            time.sleep(0.2)
        assert len(list(tmp_path.glob("runs/long/*/.lock"))) >= wanted  # cells are at work
        os.kill(parent.pid, number)
        assert parent.wait(60) == (130 if number == signal.SIGTERM else -signal.SIGKILL)
        assert _alive_after(60, tmp_path, but="Agent" if name == "ray" else None) == {}
        # Two helpers of Ray's tell its control service of the end, which is dead by then, and give up after a minute.
        assert _alive_after(120, tmp_path) == {}
    finally:
        for pid in _alive(tmp_path):
            os.kill(pid, signal.SIGKILL)
    assert not list(tmp_path.rglob("record.json"))
    assert not list(tmp_path.rglob(".record-*.tmp"))
