"""Pickled cells in on stdin, their images a second on stdout: a few training steps of each model on made-up images, one
model after the other or (`in-turns`) all in turns.

Run by `scaling.study.price` and `scaling.models.precision` in a process of its own, so that a command need not load
torch, nor hold what large models take.
"""

from __future__ import annotations

import json
import pickle
import statistics
import sys
import time

import torch
import torch.nn.functional as F

from scaling.config import CellConfig
from scaling.models.build import build_model
from scaling.models.devices import find_device
from scaling.training.started import as_trained
from scaling.training.trainer import make_optimizer

SECONDS = 0.5  # of measuring a model, or several in turns
_FIRST = 8  # images of the step that shows whether a whole batch fits the time


class _Steps:
    """A cell's model, optimiser and made-up images."""

    def __init__(self, cell: CellConfig) -> None:
        torch.set_num_threads(cell.threads)
        self.cell, data, self.device = cell, cell.data, find_device(cell.device)
        shape = dict(image_size=data.image_size, channels=data.channels, num_classes=cell.num_classes)
        self.model = as_trained(build_model(cell.model, **shape).to(self.device), cell).train()
        self.optimizer = make_optimizer(self.model, cell.optim)

    def seconds(self, batch: int) -> float:
        """Of one training step on a batch of noise; on a CPU its processor time, so that what else the machine is
        doing just now does not count."""
        clock = time.process_time if self.device.type == "cpu" else time.perf_counter
        size = self.cell.data.image_size
        images = torch.rand((batch, self.cell.data.channels, size, size), device=self.device)
        labels = torch.arange(batch, device=self.device) % self.cell.num_classes
        start = clock()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.cell.precision == "bf16"):
            logits = self.model(images)
        F.cross_entropy(logits.float(), labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return (clock() - start) / (self.cell.threads if self.device.type == "cpu" else 1)


def measure(*cells: CellConfig) -> list[float]:
    """Images a second of the training steps of cells with one batch size, which take turns: within about a second each
    for all but very large models."""
    whole = cells[0].optim.batch_size
    steps = [_Steps(cell) for cell in cells]
    batch = min(_FIRST, whole)
    for own in steps:
        own.seconds(batch)  # allocations and kernels chosen: not counted
    first = [own.seconds(batch) for own in steps]
    if max(first) * whole / batch < SECONDS and batch < whole:
        batch = whole
        for own in steps:
            own.seconds(batch)
        first = [own.seconds(batch) for own in steps]
    rounds, begun = [first], time.perf_counter()
    while time.perf_counter() - begun < SECONDS and len(rounds) < 30:
        rounds.append([own.seconds(batch) for own in steps])
    return [batch / statistics.median(times) for times in zip(*rounds, strict=True)]


def main() -> None:
    cells = pickle.load(sys.stdin.buffer)
    if sys.argv[1:] == ["in-turns"]:
        print(json.dumps(measure(*cells)))
        return
    rates: list[float | None] = []
    for cell in cells:
        try:
            rates += measure(cell)
        except Exception:  # the run itself will say what is wrong with this model
            rates.append(None)
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
