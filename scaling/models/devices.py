"""Which device a run takes, and how it computes there: one row per kind of device, chosen by measurement (LAB.md)."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How runs compute on one kind of device. Only `precision` changes what is computed; a run's own setting is the
    one that counts, and this one is what `precision=auto` becomes where nothing is measured."""

    precision: str
    channels_last: bool  # memory layout of convolutions
    plain_attention: tuple[str, ...]  # precisions in which two matmuls are faster than the fused kernel
    fused_optimizer: bool
    eval_batch: int  # images at once in evaluation


# Compiling is in no row: it takes longer than most cells of a sweep do; CUDA graphs are not built in. The CPU's row was
# measured; the other two are what is commonly found best there.
TABLE = {
    # A CPU's cache holds the activations of about a hundred small images; a thousand at once are half as fast.
    "cpu": Choices(precision="fp32", channels_last=True, plain_attention=("bf16",), fused_optimizer=True,
                   eval_batch=125),
    "cuda": Choices(precision="bf16", channels_last=True, plain_attention=(), fused_optimizer=True, eval_batch=2000),
    "mps": Choices(precision="fp32", channels_last=False, plain_attention=(), fused_optimizer=True, eval_batch=1000),
}  # fmt: skip


def find_device(name: str) -> torch.device:
    """The device that `name` means here; "auto" takes CUDA, then MPS, then the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_label(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def known_precision(device: torch.device) -> str | None:
    """What `precision=auto` means on a device, by the table's row and whether the hardware has instructions for bf16;
    None for a CPU that has them, where the model's own step has to tell (precision.py).

    A CPU with AVX-512 bf16 or AMX trains convolutions .7 to 2.4 times as fast in bf16; one without takes 6 to 9 times
    as long (measured).
    """
    if device.type == "cuda":
        return TABLE["cuda"].precision if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        has = [getattr(torch.cpu, f"_is_{what}_supported", lambda: False)() for what in ("avx512_bf16", "amx_tile")]
        return None if any(has) else "fp32"
    return TABLE[device.type].precision


def plain_attention(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether attention by two matmuls is the faster one."""
    row = TABLE.get(device.type)  # none for the meta device
    return row is not None and ("bf16" if dtype == torch.bfloat16 else "fp32") in row.plain_attention


def keep_freed_memory() -> None:
    """Lets glibc keep what tensors free, up to a GiB, instead of giving it back and clearing it anew at every step:
    page faults were a tenth of ResNet-8's time. Elsewhere it does nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            trim_threshold, mmap_threshold = -1, -3  # malloc.h
            libc.mallopt(mmap_threshold, 32 << 20)  # the highest that is taken
            libc.mallopt(trim_threshold, 1 << 30)
