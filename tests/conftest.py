"""Shared by the tests: where real data may lie, a composed config, small image folders and a way to run commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from scaling.pool import Pool

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
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
        environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
        environment |= variables or {}
        line = [sys.executable, "-m", module, *arguments]
        return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """One worker for all tests that run cells: it has loaded torch and W&B once."""
    from scaling.pool import Pool

    with Pool(1) as workers:
        yield workers


@pytest.fixture
def make_cell() -> Callable[..., object]:
    """Composes `conf/` with overrides and parses the result, as the command line does."""
    from hydra import compose, initialize_config_dir

    from scaling.compose import CONF
    from scaling.config import CellConfig
    from scaling.parse import parse

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
