"""Stands in for `scaling.train` in the tests of the pilot: writes the records of the cells that it is asked for.

The ViT's error is 1.2 times the CNN's, both fall as n^-0.3, and the recipe's learning rate is the best one. FAKE_SLEEP
makes every cell that long, so that a sweep can be stopped in the middle.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

from scaling.records.record import FILE_NAME, Record, write_record

RATES = {"vit_w64d2": 6e-3, "resnet8_w8": 0.1, "vit_w64d4": 4e-3, "resnet8": 3e-2}


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    options = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    folder = Path(options["out"].strip("'")) / options["sweep"].strip("'")
    steps, exponent = float(options["budget.steps"]), float(options["budget.exponent"])
    for block in re.findall(r"\{(.*?)\}", options["hydra.sweeper.cells"]):
        grid = {key: values.split(",") for key, values in re.findall(r"([\w.]+):\[(.*?)\]", block)}
        for values in itertools.product(*grid.values()):
            cell = dict(zip(grid, values, strict=True))
            model, n, seed = cell["model"], int(cell["data.train_size"]), int(cell.get("seed", 0))
            lr = float(cell.get("optim.lr", RATES[model]))
            name = f"{model}-{n}-{seed}-{lr:g}-{cell.get('data.image_size', '')}"
            if (folder / name / FILE_NAME).exists():
                continue
            time.sleep(float(os.environ.get("FAKE_SLEEP", "0")))
            count = max(1, round(steps * (n / float(options.get("budget.at", n))) ** exponent))
            noise = random.Random(f"{model} {n} {seed}").gauss(0, 0.01)
            error = 2.0 * n**-0.3 * (1.2 if model.startswith("vit") else 1.0) * math.exp(noise)
            error = min(0.9, error * (1 + 0.3 * abs(math.log(lr / RATES[model]))))
            speed = float(os.environ.get("FAKE_SPEED", "2e5"))
            record = Record(
                name=name,
                sweep=options["sweep"].strip("'"),
                config_hash=name,
                width=None,
                depth=None,
                patch_size=None,
                num_params=19_218,
                locality=1.0,
                num_classes=2,
                train_flops=1e9 * count,
                val_examples=80,
                test_loss=error,
                device="cpu",
                precision="fp32",
                threads=1,
                torch_version="none",
                git_commit=None,
                status="finished",
                family="vit" if model.startswith("vit") else "cnn",
                model=model,
                data=options["data.name"].strip("'"),
                train_size=n,
                subset_seed=seed,
                seed=seed,
                lr=lr,
                steps=count,
                seen_examples=64 * count,
                image_size=int(cell.get("data.image_size", options.get("data.image_size", 32))),
                train_error=0.1 * error,
                val_error=error,
                test_error=error,
                test_examples=400,
                train_seconds=64 * count / speed,
                images_per_second=speed,
                overrides=("data=folder", f"model={model}", f"data.train_size={n}", f"seed={seed}", "sweep=s"),
            )
            write_record(record, folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
