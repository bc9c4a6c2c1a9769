"""What a benchmark runs on: the machine's name, its measured matmul peak, and images to train on."""

from __future__ import annotations

import os
import platform
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import torch


def machine(device: str, threads: int) -> str:
    """One line that names the machine and the libraries."""
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
    else:
        name, flags = platform.processor() or platform.machine(), ""
        if os.path.exists("/proc/cpuinfo"):
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
            flags = next((line for line in lines if line.startswith("flags")), "")
        has = [word for word in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if f" {word} " in f"{flags} "]
        name += f" ({', '.join(has) or 'no AVX'}), {os.cpu_count()} cores, {threads} threads used"
    return f"{name}; torch {torch.__version__}"


def find(device: str) -> str:
    """The device, if there is one; else one line and exit status 2."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        print("error: no CUDA device here; `make bench` measures the CPU", file=sys.stderr)
        raise SystemExit(2)
    return device


def matmul_peak(device: str, precision: str, *, seconds: float = 2.0) -> float:
    """FLOP/s of a large matmul, the fastest of many: what training is a share of. On a CPU by processor time."""
    on_gpu = device.startswith("cuda")
    size, clock = (8192, time.perf_counter) if on_gpu else (1024, time.process_time)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end or best == 0.0:
        start = clock()
        a @ b
        if on_gpu:
            torch.cuda.synchronize()
        took = (clock() - start) / (1 if on_gpu else torch.get_num_threads())
        best = max(best, 2 * size**3 / took)
    return best


def _make_images(root: Path, *, classes: int = 10, count: int = 500) -> None:
    """JPEG files of blurred noise, 32x32: as large to decode as photographs of that size."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, images in (("train", count), ("test", 20)):
        for label in range(classes):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(images):
                small = rng.integers(256, size=(8, 8, 3), dtype=np.uint8)
                Image.fromarray(small).resize((32, 32), Image.Resampling.BICUBIC).save(folder / f"{i:04}.jpg")


def find_images(root: str | None) -> str:
    """A folder of 32x32 JPEG files: the one given, else CIFAR-10 from SCALING_SHARED_DATA, unpacked once, else made."""
    if root:
        return root
    cache = Path(os.environ.get("SCALING_CACHE", Path.home() / ".cache" / "vit-scaling"))
    archive = Path(os.environ.get("SCALING_SHARED_DATA", "nowhere")) / "cifar10-jpeg" / "cifar10-jpeg.tar.xz"
    made = cache / ("cifar10-jpeg" if archive.exists() else "made-jpeg")
    if not (made / "complete").exists():
        made.mkdir(parents=True, exist_ok=True)
        if archive.exists():
            with tarfile.open(archive) as file:
                file.extractall(made, filter="data")
        else:
            _make_images(made / "images")
        (made / "complete").touch()
    return str(next(path.parent for path in sorted(made.rglob("train")) if path.is_dir()))
