"""Pickled cells in on stdin, their images a second on stdout: a few training steps of each model on made-up images.

Run by `scaling.study.price` in a process of its own, so that the command that prints the cost need not load torch.
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
from scaling.training.trainer import make_optimizer

SECONDS = 0.5  # of measuring a model
_FIRST = 8  # images of the step that shows whether a whole batch fits the time


def _one_step(cell: CellConfig, model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: int) -> float:
    """Seconds of one training step on a batch of noise; on a CPU its processor time, so that what else the machine is
    doing just now does not count."""
    device = next(model.parameters()).device
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    size = cell.data.image_size
    images = torch.rand((batch, cell.data.channels, size, size), device=device)
    labels = torch.arange(batch, device=device) % cell.num_classes
    start = clock()
    with torch.autocast(device.type, torch.bfloat16, enabled=cell.precision == "bf16"):
        logits = model(images)
    F.cross_entropy(logits.float(), labels).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (clock() - start) / (cell.threads if device.type == "cpu" else 1)


def measure(cell: CellConfig) -> float:
    """Images a second of the cell's training steps, within about a second for all but very large models."""
    torch.set_num_threads(cell.threads)
    device = find_device(cell.device)
    data = cell.data
    model = build_model(cell.model, image_size=data.image_size, channels=data.channels, num_classes=cell.num_classes)
    model = model.to(device).train()
    optimizer = make_optimizer(model, cell.optim)
    batch = min(_FIRST, cell.optim.batch_size)
    _one_step(cell, model, optimizer, batch)  # allocations and kernels chosen: not counted
    seconds = _one_step(cell, model, optimizer, batch)
    if seconds * cell.optim.batch_size / batch < SECONDS:
        batch = cell.optim.batch_size
        _one_step(cell, model, optimizer, batch)
        seconds = _one_step(cell, model, optimizer, batch)
    times, begun = [seconds], time.perf_counter()
    while time.perf_counter() - begun < SECONDS and len(times) < 30:
        times.append(_one_step(cell, model, optimizer, batch))
    return batch / statistics.median(times)


def main() -> None:
    rates: list[float | None] = []
    for cell in pickle.load(sys.stdin.buffer):
        try:
            rates.append(measure(cell))
        except Exception:  # the run itself will say what is wrong with this model
            rates.append(None)
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
