"""Many small runs on one device: images/s of all of them together, for more and more at once, against one alone; and
what a grid of 144 runs on CIFAR-10 would take at these rates.

python benchmarks/packing.py [device=cpu] [at_once=1,2] [models=resnet8,vit_w64d4] [steps=60] [batch=128] [root=DIR]

The runs are cells of a real sweep in worker processes that share the device, all begun together and equally long: the
rate of all is the sum of the rates in their records. Start-up is not in them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import find_images, machine

SIZES = (312, 625, 1250, 2500, 5000, 10_000, 20_000, 40_000)
SEEDS = 3


def _rate(model: str, at_once: int, values: dict[str, str]) -> float:
    """Images/s of that many runs of a model together."""
    with tempfile.TemporaryDirectory() as out:
        words = [
            "-m", f"model={model}", "data=folder", f"data.root='{values['root']}'", "data.permute_patch=4",
            "data.train_size=10000", f"seed=range(0,{at_once})", "data.subset_seed=0", f"workers={at_once}",
            f"optim.batch_size={values['batch']}", f"budget.steps={values['steps']}", "budget.exponent=0",
            "precision=auto", f"device={values['device']}", "wandb=disabled", f"out={out}", "sweep=packed",
        ]  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "scaling.train", *words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"error: {done.stderr.strip().splitlines()[-1]}")
        records = [json.loads(path.read_text()) for path in Path(out).rglob("record.json")]
    return sum(record["images_per_second"] for record in records)


def _grid_images(batch: int) -> int:
    """Images that one model of the grid sees: 2,000 steps at 1,000 training images, growing with the square root."""
    return sum(SEEDS * batch * round(2000 * (size / 1000) ** 0.5) for size in SIZES)


def main(arguments: list[str]) -> int:
    values = {"device": "cpu", "at_once": "1,2", "models": "resnet8,vit_w64d4", "steps": "60", "batch": "128"}
    values |= {"root": ""} | dict(word.split("=", 1) for word in arguments if "=" in word)
    values["root"] = find_images(values["root"])
    counts = [int(word) for word in values["at_once"].split(",")]
    models = values["models"].split(",")
    print(machine(values["device"], 1))
    print(f"{'runs at once':<18}" + "".join(f"{count:>10}" for count in counts) + "   best over one alone")
    minutes = 0.0
    for model in models:
        rates = [_rate(model, count, values) for count in counts]
        minutes += _grid_images(int(values["batch"])) / max(rates) / 60
        print(
            f"{model:<18}" + "".join(f"{rate:10,.0f}" for rate in rates) + f"{max(rates) / rates[0]:10.2f}", flush=True
        )
    cells = len(models) * len(SIZES) * SEEDS
    of = f"{len(models)} models, {SIZES[0]} to {SIZES[-1]:,} images, {SEEDS} seeds"
    print(f"estimate for a grid of {cells} runs ({of}), training alone: {minutes:,.0f} min")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
