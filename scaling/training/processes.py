"""One run on several devices: `torchrun --nproc-per-node=K -m scaling.train ...` trains one cell in K processes.

Every process draws the same global batches and takes its part of each; gradients are averaged and batch norms see the
whole batch, so that the run is the one of a single device up to rounding. The first process writes the record.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import tempfile
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from scaling.config import CellConfig, ConfigError


@dataclass(frozen=True)
class World:
    """The processes of one run, and which of them this is."""

    rank: int
    size: int

    def part(self, batch: torch.Tensor) -> torch.Tensor:
        """This process's share of a global batch, which `size` divides."""
        share = len(batch) // self.size
        return batch[self.rank * share : (self.rank + 1) * share]

    def total(self, numbers: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place."""
        dist.all_reduce(numbers)
        return numbers

    def from_first(self, value: Any) -> Any:
        """What the first process has."""
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as it is to be called in training: its batch norms span the processes, gradients are averaged.

        Raises:
            ValueError: a kind of batch norm that cannot be made to.
        """
        for name, module in model.named_modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = GlobalBatchNorm
            elif isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, GlobalBatchNorm):
                raise ValueError(f"{name} is a {type(module).__name__}, which does not span processes; run it on one")
        return DistributedDataParallel(model)


class _Total(torch.autograd.Function):
    """The sum over all processes. Each process's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, numbers: torch.Tensor) -> torch.Tensor:
        total = numbers.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm(nn.BatchNorm2d):
    """Batch norm over the images of all processes (torch's own needs a GPU). Each has as many."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        size, values = dist.get_world_size(), x.float()
        mean = _Total.apply(values.mean(dim=(0, 2, 3))) / size
        centred = values - mean[:, None, None]
        var = _Total.apply(centred.square().mean(dim=(0, 2, 3))) / size
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        with torch.no_grad():
            count = size * x.numel() // x.shape[1]
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (count / max(1, count - 1)), self.momentum)
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
        scale = self.weight * (var + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def world() -> World | None:
    """The processes of this run; None where it is one alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    return World(dist.get_rank(), dist.get_world_size())


def run_together(cell: CellConfig) -> tuple[str, bool]:
    """Runs a cell in all processes that torchrun started: (its status, whether it was so before).

    Raises:
        ConfigError: the processes cannot share its batches, or its folder cannot be used.
        KeyboardInterrupt: it was asked to stop, and has.
    """
    from scaling.models.devices import find_device
    from scaling.training.checkpoint import Stopped, stop_request

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    batch = cell.optim.batch_size
    if batch % size:
        raise ConfigError(f"optim.batch_size={batch} is not a multiple of {size}, the number of processes")
    if find_device(cell.device).type == "cuda":
        cell = dataclasses.replace(cell, device=f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
        torch.cuda.set_device(cell.device)
    if rank == 0:
        stop_request.install()
    else:
        signal.signal(
            signal.SIGTERM, signal.SIG_IGN
        )  # the first process ends the run between two steps, with a checkpoint
    dist.init_process_group("nccl" if cell.device.startswith("cuda") else "gloo")
    try:
        if rank == 0:
            return _run_first(cell, World(rank, size))
        return _run_beside(cell, World(rank, size)), False
    except Stopped as error:
        raise KeyboardInterrupt from error
    finally:
        dist.destroy_process_group()


def _run_first(cell: CellConfig, processes: World) -> tuple[str, bool]:
    """Decides whether the cell is due, tells the others, and runs it: the one process that leaves anything on disk."""
    from scaling.records.cell_folder import is_due, lacks_weights, recorded_status
    from scaling.records.lock import Busy, cell_lock
    from scaling.sweep.run_cells import make_ready
    from scaling.training.cell import run_cell

    due = False
    try:
        with cell_lock(cell.folder):
            before = recorded_status(cell)
            if not (is_due(before, cell.retry) or lacks_weights(cell, before)):
                return str(before), True
            make_ready([cell])
            due = processes.from_first(True)
            return run_cell(cell).status, False
    except Busy as error:
        raise ConfigError(f"{cell.folder}: another process is at this run") from error
    finally:
        if not due:
            processes.from_first(False)


def _run_beside(cell: CellConfig, processes: World) -> str:
    """Computes its part of the run, if the first process says that there is one; what it writes is thrown away."""
    from scaling.training.cell import run_cell

    if not processes.from_first(None):
        return "finished"
    with tempfile.TemporaryDirectory(prefix="scaling-") as elsewhere:
        wandb = dataclasses.replace(cell.wandb, mode="disabled")
        alone = dataclasses.replace(cell, out=elsewhere, wandb=wandb, trackers=(), checkpoint_seconds=None)
        return run_cell(alone).status
