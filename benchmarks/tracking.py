"""What logging costs a cell, beyond its training: seconds for each way of tracking, in one process, offline.

python benchmarks/tracking.py [cells=20] [points=50]     a minute on one core, in a temporary folder

Each cell logs `points` points of a curve and a whole record, as training/cell.py does, and trains nothing. The ways
take turns; printed are the median over the cells with its middle half, and what the first cell costs once per process.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path

from hydra import compose, initialize_config_dir
from machine import machine

from scaling.compose.parse import parse
from scaling.compose.paths import CONF
from scaling.config import CellConfig
from scaling.records.record import COLUMNS
from scaling.tracking import track

WAYS = {
    "no tracker": ("wandb=disabled",),
    "W&B offline": ("wandb=offline",),
    "CSV": ("wandb=disabled", "trackers=[csv]"),
    "TensorBoard": ("wandb=disabled", "trackers=[tensorboard]"),
}


def _log(cell: CellConfig, points: int) -> float:
    summary = dict.fromkeys(COLUMNS, 0.5) | {"status": "finished", "name": cell.cell_name}
    start = time.perf_counter()
    with track(cell) as tracker:
        for i in range(points):
            tracker.log({"step": i, "seen_examples": 32 * i, "train_loss": 1 / (i + 1), "lr": 0.1, "seconds": 0.1 * i})
        tracker.summarize(summary)
    return time.perf_counter() - start


def main() -> None:
    options = dict(word.split("=", 1) for word in sys.argv[1:])
    count, points = int(options.get("cells", 20)), int(options.get("points", 50))
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(CONF), version_base="1.3"):
        cells = {way: parse(compose("config", [*words, f"out={folder}"])) for way, words in WAYS.items()}
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for seed in range(count + 1):
            for way, cell in cells.items():
                seconds[way].append(_log(dataclasses.replace(cell, seed=seed), points))
        size = sum(p.stat().st_size for p in Path(folder).glob("single/wandb/*/**/*") if p.is_file())
    print(f"{machine('cpu', 1)}; {count} cells, {points} points each")
    print(f"{'':<14}{'seconds a cell':>15}  {'middle half':<15} first of a process")
    for way, (first, *rest) in seconds.items():
        low, middle, high = statistics.quantiles(rest, n=4)
        print(f"{way:<14}{middle:>15.4f}  {low:.4f}-{high:.4f}   {first:.2f}")
    print(f"W&B's files: {size / (count + 1) / 1000:.0f} kB a cell")


if __name__ == "__main__":
    main()
