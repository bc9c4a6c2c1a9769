"""Training-step speed of our ViT, CIFAR ResNet and BiT against models of the same size in timm, in the same process.

python benchmarks/models.py [device=cpu] [threads=1] [rounds=7] [only=ViT] [precision=fp32,bf16]     minutes on a core

Each line is a ratio, ours over theirs in images/s (above 1: ours is faster): pairs of one step each, in turns, whose
ratios' median is printed with its middle half, since other work on the machine changes from second to second. On a CPU
seconds are those of its processor. bf16 is measured by default where the device has instructions for it.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import timm
import torch
import torch.nn.functional as F
from machine import find, machine
from torch import nn
from usual import timm_model

from scaling.models.bit import BiT
from scaling.models.build import num_params
from scaling.models.devices import TABLE, known_precision
from scaling.models.libraries import named_model
from scaling.models.resnet import ResNet
from scaling.models.vit import SIZES, ViT


def _vit(size: str, image_size: int, patch_size: int) -> tuple[nn.Module, nn.Module]:
    ours = ViT(image_size=image_size, channels=3, num_classes=10, patch_size=patch_size, **SIZES[size])
    shape = SIZES[size]
    theirs = timm.models.VisionTransformer(
        img_size=image_size, patch_size=patch_size, num_classes=10,
        embed_dim=shape["width"], depth=shape["depth"], num_heads=shape["heads"],
    )  # fmt: skip
    return ours, theirs


def _cifar_resnet(depth: int) -> tuple[nn.Module, nn.Module]:
    return ResNet(channels=3, num_classes=10, depth=depth), timm_model(f"resnet{depth}", 10)


def _resnet18() -> tuple[nn.Module, nn.Module]:
    """Ours is torchvision's."""
    ours = named_model("torchvision", "resnet18", image_size=64, channels=3, num_classes=10)
    return ours, timm.create_model("resnet18", num_classes=10)


def _resnet18_small() -> tuple[nn.Module, nn.Module]:
    """The same with a stem for small images, in both."""
    ours = named_model("torchvision", "resnet18_small", image_size=32, channels=3, num_classes=10)
    return ours, timm_model("resnet18_small", 10)


def _bit() -> tuple[nn.Module, nn.Module]:
    return BiT(channels=3, num_classes=10, depth=50, width=64), timm.create_model("resnetv2_50x1_bit", num_classes=10)


def _stepper(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, bf16: bool) -> Callable[[], float]:
    """One training step with AdamW: forward, backward, update. Returns its seconds."""
    clock = time.perf_counter if images.device.type == "cuda" else time.process_time
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    model.train()

    def step() -> float:
        start = clock()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            logits = model(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if images.device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - start

    return step


def compare(
    pair: tuple[nn.Module, nn.Module], *, image_size: int, batch: int, bf16: bool, rounds: int, device: str
) -> str:
    """The line for one pair of models."""
    images = torch.randn(batch, 3, image_size, image_size, device=device)
    labels = torch.arange(batch, device=device) % 10
    for model in pair:
        model.to(device)
    if TABLE[images.device.type].channels_last and not isinstance(pair[0], BiT):
        pair[0].to(memory_format=torch.channels_last)  # as a run of ours is trained
    ours, theirs = (_stepper(model, images, labels, bf16) for model in pair)
    for _ in range(3):
        ours()
        theirs()
    times = [(ours(), theirs()) if i % 2 else tuple(reversed((theirs(), ours()))) for i in range(rounds)]
    ratios = sorted(theirs_took / ours_took for ours_took, theirs_took in times)
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    speeds = [batch / statistics.median(took[i] for took in times) for i in (0, 1)]
    counts = " / ".join(f"{num_params(model) / 1e6:.2f} M" for model in pair)
    return f"{statistics.median(ratios):5.2f} ({low:.2f}-{high:.2f})  {speeds[0]:8.0f} {speeds[1]:8.0f}  {counts}"


def main(arguments: list[str]) -> int:
    values = {"device": "cpu", "threads": "1", "rounds": "7", "only": "", "precision": ""}
    values |= dict(word.split("=", 1) for word in arguments if "=" in word)
    device, threads, rounds = find(values["device"]), int(values["threads"]), int(values["rounds"])
    fast_bf16 = known_precision(torch.device(device)) != "fp32"
    precisions = (values["precision"] or ("fp32,bf16" if fast_bf16 else "fp32")).split(",")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    large = device.startswith("cuda")
    print(f"{machine(device, threads)}, timm {timm.__version__}")
    print(f"{'training step, ours over timm':<34} ratio (half)       images/s ours, theirs  parameters")
    pairs: list[tuple[str, tuple[nn.Module, nn.Module], int, int]] = [
        ("ViT-Ti/4 at 32", _vit("ti", 32, 4), 32, 1024 if large else 16),
        ("ViT-Ti/8 at 32", _vit("ti", 32, 8), 32, 1024 if large else 32),
        ("ViT-Ti/16 at 224", _vit("ti", 224, 16), 224, 128 if large else 2),
        ("ResNet-20 at 32", _cifar_resnet(20), 32, 2048 if large else 64),
        ("ResNet-18 small at 32", _resnet18_small(), 32, 1024 if large else 32),
        ("ResNet-18 at 64", _resnet18(), 64, 1024 if large else 32),
        ("BiT-R50x1 at 64", _bit(), 64, 256 if large else 2),
    ]
    for name, pair, image_size, batch in pairs:
        if values["only"] not in name:
            continue
        for precision in precisions:
            label = f"{name}, batch {batch}, {precision}"
            bf16 = precision == "bf16"
            line = compare(pair, image_size=image_size, batch=batch, bf16=bf16, rounds=rounds, device=device)
            print(f"{label:<34} {line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
