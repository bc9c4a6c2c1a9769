"""The processes of one run, and tensors over them: parts, sums, and batch norms that see the whole batch.

Every process draws the same global batches and takes its part of each; gradients are averaged and batch norms see the
whole batch, so that the run is the one of a single device up to rounding. Who starts them: `scaling.sweep.torchrun`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


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
