"""Many small runs on one device: images/s of all of them together, for more and more at once, against one alone; and
what a sweep of such runs would take at these rates.

python benchmarks/packing.py [device=cpu] [at_once=1,2] [models=resnet8,vit_w64d4] [seconds=6] [batch=128] [root=DIR]
                             [sweep=cifar10] [steps=N]

The runs are cells of a real sweep in worker processes that share the device, all begun together and equally long: the
rate of all is the sum of the rates in their records. Start-up is not in them, but printed. The steps are as many as one
run would take for `seconds` at the rate that a run had before with fewer beside it; `steps=` fixes them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from grid import estimate
from machine import find, find_images, machine

from scaling.records.files import cores

FIRST_STEPS = 20  # of the run that only shows how fast a model is


class Packed(NamedTuple):
    """Runs of one model at once: images/s of all together, and the seconds that the command took beside training."""

    rate: float
    overhead: float


def measure(model: str, at_once: int, steps: int, values: dict[str, str]) -> Packed:
    """That many equal runs of a model together, by a command of its own."""
    with tempfile.TemporaryDirectory() as out:
        words = [
            "-m", f"model={model}", "data=folder", f"data.root='{values['root']}'", "data.permute_patch=4",
            f"data.train_size={values['images']}", f"seed=range(0,{at_once})", "data.subset_seed=0",
            f"workers={at_once}", f"optim.batch_size={values['batch']}", f"budget.steps={steps}",
            "budget.exponent=0", "precision=auto", f"device={values['device']}", "wandb=disabled", f"out={out}",
            "sweep=packed", "checkpoint_seconds=null",
        ]  # fmt: skip
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "scaling.train", *words], capture_output=True, text=True)
        wall = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"error: {done.stderr.strip().splitlines()[-1]}")
        records = [json.loads(path.read_text()) for path in Path(out).rglob("record.json")]
    rate = sum(record["images_per_second"] for record in records)
    return Packed(rate, wall - max(record["train_seconds"] for record in records))


def measure_all(model: str, counts: list[int], values: dict[str, str]) -> dict[int, Packed]:
    """By runs at once. One measurement takes about `seconds`, and longer as far as packing gains nothing."""
    batch, seconds = int(values["batch"]), float(values["seconds"])
    steps = int(values["steps"] or 0)
    each = 0.0 if steps else measure(model, 1, FIRST_STEPS, values).rate  # images/s of one run among these
    found: dict[int, Packed] = {}
    for count in counts:
        found[count] = measure(model, count, steps or max(FIRST_STEPS, round(each * seconds / batch)), values)
        each = found[count].rate / count
    return found


def main(arguments: list[str]) -> int:
    values = {"device": "cpu", "at_once": f"1,{cores()}", "models": "resnet8,vit_w64d4", "steps": "", "batch": "128"}
    values |= {"seconds": "6", "images": "1000", "root": "", "sweep": "cifar10"}
    values |= dict(word.split("=", 1) for word in arguments if "=" in word)
    find(values["device"])
    values["root"] = find_images(values["root"])
    counts = sorted({int(word) for word in values["at_once"].split(",")} | {1})
    print(machine(values["device"], 1))
    print(f"{'runs at once':<18}" + "".join(f"{count:>10}" for count in counts) + "   best over one alone   start-up")
    rates: dict[str, dict[int, float]] = {}
    overhead = 0.0
    for model in values["models"].split(","):
        found = measure_all(model, counts, values)
        rates[model] = {count: packed.rate for count, packed in found.items()}
        best, last = max(rates[model].values()), found[counts[-1]].overhead
        overhead = max(overhead, last)
        numbers = "".join(f"{rate:10,.0f}" for rate in rates[model].values())
        print(f"{model:<18}{numbers}{best / rates[model][1]:22.2f}{last:9.0f} s", flush=True)
    print(estimate(values["sweep"], rates, overhead=overhead))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
