"""Images/s of data loading alone and of training end to end: (a) the usual script, (b) timm's model in that script,
(c) ours, side by side on one machine.

python benchmarks/train.py [only=loader,resnet8,...] [device=cpu] [cores=1] [repeats=3] [seconds=4] [root=DIR]

Every way has a process of its own, they take turns, and medians of the repeats are printed; ratios are of neighbours in
time. Ours is there in both precisions where the machine has both; the star is at what `precision=auto` takes. "by
proc." is the ratio by the time that the processors worked, which other work on a CPU changes little. Share: of the
machine's fastest matmul in the same precision, on a CPU by processor time. Memory: the process's peak, on a GPU that
of its tensors. Without root= the images are CIFAR-10 from SCALING_SHARED_DATA, or made here.
"""

from __future__ import annotations

import functools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import find, find_images, machine, matmul_peak

sys.path.insert(0, str(Path(__file__).parent.parent))

from scaling.models.devices import known_precision

BATCH = {"none": 128, "resnet8": 128, "resnet20": 128, "resnet18_small": 32, "vit_w64d4": 128, "vit_ti": 32}
GPU_BATCH = 512


class Way:
    """A process of `variant.py` that is ready to measure."""

    def __init__(self, way: str, model: str, options: dict[str, str]) -> None:
        self.words = [f"way={way}", f"model={model}", *(f"{key}={value}" for key, value in options.items())]
        line = [sys.executable, str(Path(__file__).with_name("variant.py")), *self.words]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self._answer()  # ready: the next way may start

    def _answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines()
            raise SystemExit(f"error: {' '.join(self.words)}: {said[-1] if said else 'it was killed'}")
        return line

    def measure(self) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self._answer())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def available(device: str) -> tuple[str, ...]:
    """The precisions between which a run of ours has the choice; `auto` where it has none."""
    return ("fp32", "bf16") if known_precision(torch.device(device)) != "fp32" else ("auto",)


def _rate(found: dict[str, Any], key: str) -> float:
    return found["images"] / found[key]


def compare(model: str, options: dict[str, str], *, repeats: int, peak: Callable[[str], float]) -> list[str]:
    """The lines of one model: for each way images/s, the ratio to the usual script by both clocks, share and memory."""
    precisions = ("auto",) if model == "none" else available(options["device"])
    ours = {f"ours {precision}": precision for precision in precisions}
    ways = ["usual", *(["timm"] if model != "none" else []), *ours]
    started: dict[str, Way] = {}
    try:
        for way in ways:
            started[way] = Way(way.split()[0], model, options | {"precision": ours.get(way, "fp32")})
        rounds = [{way: started[way].measure() for way in ways} for _ in range(repeats)]
    finally:
        for process in started.values():
            process.end()
    flops, lines = rounds[0][ways[-1]].get("flops_per_image"), []
    for way in ways:
        runs = [found[way] for found in rounds]
        rates = [_rate(run, "wall") for run in runs]
        ratios = [
            statistics.median(_rate(found[way], key) / _rate(found["usual"], key) for found in rounds)
            for key in ("wall", "processor")
        ]
        precision = runs[0].get("precision", "fp32")
        chosen = "*" if len(ours) > 1 and runs[0].get("auto") == precision else " "
        worked = rates if options["device"].startswith("cuda") else [_rate(run, "processor") for run in runs]
        share = f"{flops * statistics.median(worked) / peak(precision):6.1%}" if flops else "      "
        memory = statistics.median(run["memory"] for run in runs) / 2**20
        spread = f"({min(rates):,.0f}-{max(rates):,.0f})"
        lines.append(
            f"{'loader alone' if model == 'none' else model:<16}{way.split()[0]:<7}{precision}{chosen}"
            f"{statistics.median(rates):9,.0f} "
            f"{spread:<17}{ratios[0]:7.2f} {ratios[1]:9.2f}   {share} {memory:8,.0f} MB"
        )
    return lines


def main(arguments: list[str]) -> int:
    values = {"device": "cpu", "cores": "1", "repeats": "3", "seconds": "4", "root": "", "images": "4000"}
    values |= {"only": "loader,resnet8,resnet20,resnet18_small,vit_w64d4,vit_ti"}
    values |= {"batch": "", "workers": ""} | dict(word.split("=", 1) for word in arguments if "=" in word)
    device, cores = find(values["device"]), int(values["cores"])
    root = find_images(values["root"])
    torch.set_num_threads(cores)
    print(f"{machine(device, cores)}\nimages: {Path(root).name}")

    @functools.cache
    def peak(precision: str) -> float:
        found = matmul_peak(device, precision)
        print(f"fastest matmul in {precision}: {found / 1e9:,.1f} GFLOP/s")
        return found

    peak("fp32")
    print(f"{'':<28}{'images/s':>9} {'(lowest-highest)':<17}{'ratio':>7} {'by proc.':>9}    share   memory")
    for name in values["only"].split(","):
        model = "none" if name == "loader" else name
        batch = values["batch"] or str(GPU_BATCH if device.startswith("cuda") else BATCH[model])
        options = {key: values[key] for key in ("device", "cores", "seconds", "images")} | {"root": root}
        options |= {"batch": batch, "workers": values["workers"] or str(8 if device.startswith("cuda") else cores)}
        for line in compare(model, options, repeats=int(values["repeats"]), peak=peak):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
