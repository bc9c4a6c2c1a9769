"""What a cell costs beside its training: many trivial cells by the default launcher, W&B offline.

    python benchmarks/sweep.py [cells=60] [workers=2] [key=value ...]

Prints the seconds of wall time a cell over its training time, for one worker and for the whole sweep: once with the
start (composing the cells, loading torch in every worker), and once from the first record to the last.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIVIAL = """-m model=resnet8_w8 data.image_size=8 data.permute_patch=4 data.train_size=16 data.test_size=16
budget.steps=16 optim.batch_size=16 device=cpu threads=1 sweep=trivial""".split()


def main() -> int:
    asked = dict(word.split("=", 1) for word in sys.argv[1:])
    cells, workers = int(asked.pop("cells", 60)), int(asked.pop("workers", 2))
    words = [*TRIVIAL, f"seed={','.join(map(str, range(cells)))}", f"workers={workers}"]
    words += [f"{key}={value}" for key, value in asked.items()]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "scaling.train", *words, f"out={folder}"], capture_output=True)
        wall = time.monotonic() - begun
        if done.returncode:
            print(done.stderr.decode()[-2000:])
            return 1
        paths = sorted(Path(folder).glob("trivial/*/record.json"), key=lambda path: path.stat().st_mtime)
        training = sum(json.loads(path.read_text())["train_seconds"] for path in paths)
        between = paths[-1].stat().st_mtime - paths[0].stat().st_mtime
        runs = len(list(Path(folder).glob("trivial/wandb/offline-run-*")))
        assert len(paths) == cells, len(paths)
    print(f"{cells} cells, {workers} workers, {runs} W&B runs offline; {training / cells:.3f} s of training a cell")
    with_start = (wall - training / workers) / cells
    without = (between - training / workers * (cells - 1) / cells) / (cells - 1)
    for whose, share in (("the sweep's wall time", 1), ("a worker's time", workers)):
        print(
            f"over training, of {whose}: {with_start * share:.3f} s a cell, {without * share:.3f} s without the start"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
