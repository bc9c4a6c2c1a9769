"""Shared by the tests: where real data may lie, a composed config, small image folders and a way to run commands."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from wandb_server import WandbServer

    from scaling.sweep.pool import Pool

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = Path(os.environ.get("SCALING_SHARED_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout; tests that want it are skipped where it is not."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA} (set SCALING_SHARED_DATA)")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded images go beside the test's other files, in this process and in those that it starts."""
    monkeypatch.setenv("SCALING_CACHE", str(tmp_path / "decoded"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))  # a user's own weights would change what a pilot does


def clean_environment(home: Path) -> dict[str, str]:
    """For processes that tests start: this checkout first, one thread, and no W&B settings or keys but the test's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(home)}


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m MODULE ARGUMENTS` in an empty folder, as a user would, with one thread."""

    def run(
        module: str,
        *arguments: str,
        cwd: Path = tmp_path,
        timeout: float = 240,
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        environment = clean_environment(tmp_path) | dict(variables or {})
        line = [sys.executable, "-m", module, *arguments]
        return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """One worker for all tests that run cells: it has loaded torch and W&B once."""
    from scaling.sweep.pool import Pool

    with Pool(1) as workers:
        yield workers


@pytest.fixture
def make_cell() -> Callable[..., object]:
    """Composes `conf/` with overrides and parses the result, as the command line does."""
    from hydra import compose, initialize_config_dir

    from scaling.compose.parse import parse
    from scaling.compose.paths import CONF
    from scaling.config import CellConfig

    def make(*overrides: str) -> CellConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return parse(compose("config", list(overrides)))

    return make


def _write_image_folder(root: Path, counts: dict[str, dict[str, int]], size: int = 8) -> Path:
    """PNG files of noise about a mean that depends on the class: root/split/class/NN.png."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, classes in counts.items():
        for label, (name, count) in enumerate(classes.items()):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                level = 255 * (label + 1) / (len(classes) + 1)
                pixels = np.clip(rng.normal(level, 30, (size, size, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i:03d}.png")
    return root


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of images: `image_folder({"train": {"cat": 20}, "test": {"cat": 5}})`."""
    made = 0

    def make(counts: dict[str, dict[str, int]], name: str | None = None) -> Path:
        nonlocal made
        made += 1
        return _write_image_folder(tmp_path / (name or f"images{made}"), counts)

    return make


@pytest.fixture
def server() -> Iterator[WandbServer]:
    """W&B's service on loopback, as much of it as the client needs."""
    from wandb_server import WandbServer

    with WandbServer() as running:
        yield running
    assert running.unknown == []


# Calls `track` for a cell without training it: what a cell's process does, without torch.
_TRACK = """
import json, pickle, sys
from scaling.tracking import track
cell = pickle.load(open("cell.pickle", "rb"))
point = dict(step=1, seen_examples=32, train_loss=0.5, lr=0.1, seconds=0.25)
for attempt in range(int(sys.argv[1])):
    status, text = ("failed", "boom") if attempt == 0 else ("finished", None)
    fill = sys.argv[2]
    with track(cell) as tracker:
        tracker.log(point)
        tracker.log(point | dict(step=2, seen_examples=64))
        if fill:
            open(fill, "wb").write(bytes(25 * 2**20))
        tracker.summarize(dict(status=status, lr=0.3, overrides=["a b"], error_text=text))
print(json.dumps(dict(wandb="wandb" in sys.modules, id=cell.config_hash)))
"""


@pytest.fixture
def kept(make_cell: Callable[..., Any], request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a small ResNet, with batch norms, that ran by its test module's WORDS and kept its weights."""
    from scaling.training.cell import run_cell

    cell = make_cell("model=resnet8", *request.module.WORDS, f"out={tmp_path}/runs", "keep=last", "sweep=small")
    assert run_cell(cell).status == "finished"
    return cell.folder


@pytest.fixture
def logged(tmp_path: Path, make_cell: Callable[..., object]) -> Callable[..., tuple[dict[str, Any], str]]:
    """Tracks a cell in a process of its own, once or several times over: what the process found, and its stderr."""

    def run(*words: str, attempts: int = 1, fill: Path | str = "", **variables: str) -> tuple[dict[str, Any], str]:
        (tmp_path / "cell.pickle").write_bytes(pickle.dumps(make_cell(*words)))
        environment = clean_environment(tmp_path) | variables
        line = [sys.executable, "-c", _TRACK, str(attempts), str(fill)]
        done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    return run
