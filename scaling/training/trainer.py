"""Trains one model on one subset with a fixed number of steps, and evaluates it: no choice is made in here."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from scaling.models.devices import TABLE
from scaling.training.checkpoint import capture, restore
from scaling.training.fine_tuning import layer_scales, training_mode
from scaling.training.processes import world

if TYPE_CHECKING:
    from scaling.config import OptimConfig
    from scaling.data.batches.augment import Augment
    from scaling.data.splits import ImageSet, Splits
    from scaling.training.checkpoint import Checkpoints

_NOT_DECAYED = ("cls_token", "pos_embed", "attn_pool.latent")
_HOPELESS = 20  # times the loss of guessing: at the edges of learning-rate grids sound runs reach 1.2 times
_AHEAD = 128  # steps whose random numbers are drawn on the CPU and sent to the device at once


class Diverged(RuntimeError):
    """The loss is no longer a finite number, or far above that of guessing."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The run at one moment: mean training loss (nats) since the last point, at the learning rate then."""

    step: int
    seen_examples: int
    train_loss: float
    lr: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What decides a run once its model and images are given."""

    optim: OptimConfig
    steps: int
    seed: int  # of the order of the images and of their augmentation
    precision: str  # fp32 or bf16
    augment: Augment


def index_batches(
    count: int, *, batch_size: int, steps: int, generator: torch.Generator, device: torch.device
) -> Iterator[torch.Tensor]:
    """Index batches of one endless stream of shuffled epochs: always full, so that seen = steps x batch size."""
    stream = torch.empty(0, dtype=torch.long)
    for first in range(0, steps, _AHEAD):
        ahead = min(_AHEAD, steps - first)
        parts, have = [stream], len(stream)
        while have < ahead * batch_size:
            parts.append(torch.randperm(count, generator=generator))
            have += count
        stream = torch.cat(parts)
        yield from stream[: ahead * batch_size].view(ahead, batch_size).to(device)
        stream = stream[ahead * batch_size :]


def uniform_batches(
    batch_size: int, *, draws: int, steps: int, generator: torch.Generator, device: torch.device
) -> Iterator[torch.Tensor]:
    """Uniform numbers for each batch, (draws, batch): what augmentation needs."""
    for first in range(0, steps, _AHEAD):
        yield from torch.rand((min(_AHEAD, steps - first), draws, batch_size), generator=generator).to(device)


def lr_at(step: int, *, steps: int, warmup: float, lr: float) -> float:
    """Linear warm-up over the share `warmup` of the steps, then a cosine to zero."""
    warmup_steps = warmup * steps
    if step < warmup_steps:
        return lr * (step + 1) / (warmup_steps + 1)
    return lr * 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1.0, steps - warmup_steps)))


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Weight decay on matrices and kernels only: not on norms, biases, learned tokens and position embeddings. With
    `layer_decay` each layer has groups of its own, whose rates are `scale` times the run's."""
    scales = layer_scales(model, config) if config.layer_decay < 1 else {}
    by_kind: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for name, p in model.named_parameters():
        decayed = p.ndim >= 2 and name not in _NOT_DECAYED
        by_kind.setdefault((scales.get(name, 1.0), decayed), []).append(p)
    groups = [
        {"params": params, "weight_decay": config.weight_decay if decayed else 0.0, "scale": scale}
        for (scale, decayed), params in by_kind.items()
    ]
    fused = TABLE[next(model.parameters()).device.type].fused_optimizer
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=fused)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.beta1, nesterov=True, fused=fused)


def train(
    model: nn.Module,
    splits: Splits,
    settings: TrainingSettings,
    *,
    report: Callable[[CurvePoint], None],
    checkpoints: Checkpoints | None = None,
) -> float:
    """Trains in place and returns the seconds that it took, those before an interruption included.

    `report` gets about 50 points of the training curve; the loss leaves the device only then. With `checkpoints` the
    run goes on where the newest one ends: the batches before it are drawn again and passed over, so that data order
    and augmentation need no state of their own.

    Raises:
        Diverged: the mean loss of an interval is not finite, or above 20 times that of guessing.
        Stopped: the process was asked to stop, and `checkpoints` was given.
    """
    config, steps, seed, augment = settings.optim, settings.steps, settings.seed, settings.augment
    device, processes = splits.train.labels.device, world()
    forward = processes.wrap(model) if processes else model
    order = torch.Generator().manual_seed(seed)
    draws = torch.Generator().manual_seed(seed + 1_000_003)
    optimizer = make_optimizer(model, config)
    smoothing, parameters = config.label_smoothing, list(model.parameters())
    count, batch_size = len(splits.train), config.batch_size
    indices = index_batches(
        count, batch_size=batch_size, steps=steps, generator=order, device=splits.train.index_device
    )
    numbers = uniform_batches(batch_size, draws=augment.draws, steps=steps, generator=draws, device=device)
    every = max(1, steps // 50)
    loss_sum, since, first, before = torch.zeros((), device=device), 0, 0, 0.0
    saved = checkpoints.load() if checkpoints else None
    if processes:
        saved = processes.from_first(saved)
    if saved:
        restore(saved, model, optimizer, device)
        loss_sum += saved["loss_sum"].to(device)
        since, first, before = saved["since"], saved["step"], saved["seconds"]
    training_mode(model, config)
    start = time.perf_counter() - before
    batches = splits.train.batches(itertools.islice(indices, first, None))
    drawn = zip(batches, itertools.islice(numbers, first, None), strict=True)
    for step, ((images, labels), uniform) in enumerate(drawn, first):
        images, target = augment(images, labels, uniform)  # the target may be shares of classes
        if processes:
            images, target = processes.part(images), processes.part(target)
            # Dropout drops something else in every part of a batch, and the same again in a run that goes on from
            # the first process's checkpoint.
            torch.manual_seed((seed * 7919 + processes.rank) * 1_000_003 + step)
        lr = lr_at(step, steps=steps, warmup=config.warmup, lr=config.lr)
        for group in optimizer.param_groups:
            group["lr"] = lr * group.get("scale", 1.0)  # not in checkpoints from before it
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            logits = forward(splits.inputs(images))
        loss = F.cross_entropy(logits.float(), target, label_smoothing=smoothing)
        loss.backward()
        if config.grad_clip:
            nn.utils.clip_grad_norm_(parameters, config.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss_sum += loss.detach()
        since += 1
        if since == every or step == steps - 1:
            mean = (processes.total(loss_sum) / processes.size if processes else loss_sum).item() / since
            if not mean <= _HOPELESS * math.log(logits.shape[1]):  # NaN, too
                raise Diverged(f"training loss is {mean:g} at step {step + 1} of {steps} (lr {config.lr})")
            seen, seconds = (step + 1) * config.batch_size, time.perf_counter() - start
            report(CurvePoint(step=step + 1, seen_examples=seen, train_loss=mean, lr=lr, seconds=seconds))
            loss_sum.zero_()
            since = 0
        if checkpoints and step < steps - 1 and checkpoints.due():
            seconds = time.perf_counter() - start
            progress = dict(step=step + 1, loss_sum=loss_sum, since=since, seconds=seconds)
            checkpoints.save(capture(model, optimizer, device, **progress))
    return time.perf_counter() - start


class Measured(NamedTuple):
    """Of a set of images: error and balanced error in [0, 1], mean cross-entropy in nats, and the images it got wrong.

    The balanced error is the mean over classes of each class's error: where classes are unequal, the rare ones count.
    """

    error: float
    loss: float
    balanced_error: float
    wrong: np.ndarray  # bool (images,), in their order


@torch.inference_mode()
def evaluate(model: nn.Module, splits: Splits, images: ImageSet, *, precision: str) -> Measured:
    """Measures a model on all images, without augmentation."""
    model.eval()
    device, processes = images.labels.device, world()
    loss = torch.zeros((), device=device)
    wrong = torch.zeros(len(images), device=device)
    size = TABLE[device.type].eval_batch
    first, step = (processes.rank, processes.size) if processes else (0, 1)
    for number, (batch, target) in itertools.islice(enumerate(images.in_order(size)), first, None, step):
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(splits.inputs(batch))
        logits = logits.float()
        wrong[number * size : number * size + len(target)] = (logits.argmax(1) != target).float()
        loss += F.cross_entropy(logits, target, reduction="sum")
    if processes:
        totals = processes.total(torch.cat([wrong, loss[None]]))
        wrong, loss = totals[:-1], totals[-1]
    wrong, labels = wrong.cpu(), images.labels.cpu()
    counts = torch.bincount(labels)
    there = counts > 0
    balanced = (torch.bincount(labels, weights=wrong.double())[there] / counts[there]).mean().item()
    return Measured(int(wrong.count_nonzero()) / len(images), loss.item() / len(images), balanced, wrong.bool().numpy())
