"""An installed wheel runs from another directory, with its config files inside."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_wheel_trains_from_another_directory(tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "elsewhere"
    work.mkdir()
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    # -P keeps the checkout out; the editable install's path file would otherwise come first.
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", *words], cwd=work, env=environment, check=True, capture_output=True, text=True
        ).stdout

    where = run("scaling.train", "--help") and subprocess.run(
        [sys.executable, "-c", "import scaling; print(scaling.__file__)"],
        cwd=work, env=environment, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert str(site) in where
    small = ["data.image_size=8", "data.permute_patch=4", "data.train_size=20", "data.test_size=20", "budget.steps=8"]
    out = run("scaling.train", "model=vit_w48d3", *small, "device=cpu", "wandb=disabled")
    assert "1 cells finished" in out
    assert list(work.glob("runs/single/*/record.json"))
    assert "crossover.json" in run("analysis.report", "--help")
    (work / "mine.yaml").write_text("hydra: {mode: MULTIRUN, sweeper: {cells: [{model: [resnet8], seed: [0, 1]}]}}\n")
    assert "2 cells finished" in run("scaling.console", "train", "sweeps=./mine.yaml", *small, "wandb=disabled")
    assert len(list(work.glob("runs/mine/*/record.json"))) == 2
    assert (site / "bin" / "vit-scaling").is_file()
    templates = {file.name for file in (ROOT / "analysis" / "report" / "templates").iterdir()}
    assert {file.name for file in (site / "analysis" / "report" / "templates").iterdir()} == templates
