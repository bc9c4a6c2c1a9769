"""One way of training one model in a process of its own, for `benchmarks/train.py`, which sets the ways side by side:
an empty line when it is ready, then for every line on stdin a measurement, one line of JSON.

echo | python benchmarks/variant.py way=ours model=resnet8 root=DIR [device=cpu] [batch=128] [seconds=5] [cores=1]

`way` is usual, timm or ours; model=none measures the loader alone. On Linux the process and its workers share `cores`.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WARM_UP = 2  # steps
Measure = Callable[[], dict[str, Any]]


def processor_seconds() -> float:
    """Processor time of this process and of its children that live (on Linux; elsewhere its own)."""
    total, tick = time.process_time(), os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    for listing in Path("/proc/self/task").glob("*/children") if sys.platform == "linux" else ():
        for child in listing.read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / tick
    return total


def _timed(
    step: Callable[[], int], *, seconds: float, wait: Callable[[], None], warm_up: int = WARM_UP
) -> dict[str, float]:
    """Images, wall and processor seconds of at least three steps; `step` returns its images, `wait` ends what runs."""
    for _ in range(warm_up):
        step()
    wait()
    images, start, before = 0, time.perf_counter(), processor_seconds()
    for done in itertools.count(1):
        images += step()
        if done >= 3 and time.perf_counter() - start >= seconds:
            break
    wait()
    return dict(images=images, wall=time.perf_counter() - start, processor=processor_seconds() - before)


def _wait(device: str) -> Callable[[], None]:
    import torch

    return torch.cuda.synchronize if device.startswith("cuda") else lambda: None


def usual(values: dict[str, str]) -> Measure:
    """(a) and (b): the usual script, with its own model or timm's."""
    import torch
    import torch.nn.functional as F
    from usual import timm_model, usual_loader, usual_model

    device, batch = values["device"], int(values["batch"])
    loader = usual_loader(values["root"], batch_size=batch, workers=int(values["workers"]), pin=device != "cpu")
    batches: Iterator[Any] = itertools.chain.from_iterable(itertools.repeat(loader))
    ready = 2 * int(values["workers"])  # batches that the workers have read while the other ways took their turns
    timed = functools.partial(
        _timed, seconds=float(values["seconds"]), wait=_wait(device), warm_up=max(WARM_UP, ready)
    )  # fmt: skip
    if values["model"] == "none":

        def load() -> int:
            images, labels = next(batches)
            images.to(device), labels.to(device)
            return len(images)

        return functools.partial(timed, load)
    classes = len(loader.dataset.classes)  # type: ignore[attr-defined]
    make = timm_model if values["way"] == "timm" else usual_model
    model = make(values["model"], classes).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    running = 0.0

    def step() -> int:
        nonlocal running
        images, labels = next(batches)
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        running += loss.item()
        return len(images)

    return functools.partial(timed, step)


def ours(values: dict[str, str]) -> Measure:
    """(c): this project's data, model and training loop, composed as the command line composes them."""
    import torch
    from hydra import compose, initialize_config_dir

    from scaling.compose.parse import parse
    from scaling.compose.paths import CONF
    from scaling.data.batches.augment import make_augment
    from scaling.data.splits import load_splits
    from scaling.models.build import train_flops_per_example
    from scaling.models.devices import find_device, keep_freed_memory
    from scaling.training.started import build
    from scaling.training.trainer import TrainingSettings, index_batches, train, uniform_batches

    keep_freed_memory()
    model_name = "resnet8" if values["model"] == "none" else values["model"]
    words = [
        f"model={model_name}", "data=folder", f"data.root='{values['root']}'", "data.permute_patch=4",
        f"data.train_size={values['images']}", f"device={values['device']}", f"optim.batch_size={values['batch']}",
        f"precision={values['precision']}",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cell = parse(compose("config", words))
        auto = parse(compose("config", [*words[:-1], "precision=auto"])).precision
    device = find_device(cell.device)
    splits = load_splits(cell.data, device)
    augment = make_augment(cell.data, num_classes=cell.num_classes, fill=splits.mean)
    batch, seconds, wait = cell.optim.batch_size, float(values["seconds"]), _wait(device.type)
    if values["model"] == "none":
        draw = torch.Generator().manual_seed(0)
        steps = dict(steps=1_000_000, generator=draw)
        indices = index_batches(len(splits.train), batch_size=batch, device=splits.train.index_device, **steps)
        numbers = uniform_batches(batch, draws=augment.draws, device=device, **steps)
        drawn = zip(splits.train.batches(indices), numbers, strict=True)

        def load() -> int:
            (images, labels), uniform = next(drawn)
            return len(splits.inputs(augment(images, labels, uniform)[0]))

        return functools.partial(_timed, load, seconds=seconds, wait=wait)
    model = build(cell, channels=cell.data.channels, device=device)
    flops = train_flops_per_example(model, image_size=cell.data.image_size, channels=cell.data.channels)

    def run(steps: int) -> dict[str, float]:
        start, before = time.perf_counter(), processor_seconds()
        settings = TrainingSettings(optim=cell.optim, steps=steps, seed=0, precision=cell.precision, augment=augment)
        train(model, splits, settings, report=lambda point: None)
        wait()
        wall, processor = time.perf_counter() - start, processor_seconds() - before
        return dict(images=steps * batch, wall=wall, processor=processor)

    run(WARM_UP)
    rate = WARM_UP / run(WARM_UP)["wall"]
    told = {"flops_per_image": flops, "precision": cell.precision, "auto": auto}
    return lambda: run(max(3, round(rate * seconds))) | told


def main(arguments: list[str]) -> int:
    values = {"device": "cpu", "batch": "128", "seconds": "5", "cores": "1", "workers": "1", "images": "4000"}
    values |= {"precision": "auto"} | dict(word.split("=", 1) for word in arguments)
    if hasattr(os, "sched_setaffinity") and values["device"] == "cpu":
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-int(values["cores"]) :])
    sys.path[:0] = [str(Path(__file__).parent.parent)]
    import torch

    torch.set_num_threads(int(values["cores"]))
    measure = (ours if values["way"] == "ours" else usual)(values)
    print(flush=True)
    unit = 1 if sys.platform == "darwin" else 1024
    for _ in sys.stdin:
        found = measure()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        found["memory"] = peak if not values["device"].startswith("cuda") else torch.cuda.max_memory_allocated()
        print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
