"""How a run trains: its optimiser, and how long it takes at each n. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.config.setting import declare


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    name: str = declare("adamw", choices=("adamw", "sgd"))
    lr: float = declare(1e-3, above=0)
    weight_decay: float = 0.05
    beta1: float = 0.9  # the momentum of sgd
    beta2: float = 0.99
    warmup: float = declare(0.1, at_least=0, below=1)  # share of the steps
    batch_size: int = declare(64, above=0)
    label_smoothing: float = 0.0
    grad_clip: float = 1.0  # 0 switches it off
    # Of fine-tunes: every layer's rate is so much lower than that of the layer above it
    layer_decay: float = declare(1.0, above=0, at_most=1, later=True)
    # train: batch norms normalise by the batch, and their statistics go on; frozen: by the statistics of the weights
    batch_norm: str = declare("train", choices=("train", "frozen"), later=True)


FINE_TUNING = {"layer_decay": 1.0, "batch_norm": "train"}  # settings without a meaning from scratch, at their defaults


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """How long a run on n images trains: one rule, the same for every model. `factor` multiplies each of them.

    steps: steps * (n / at) ** exponent optimiser steps; exponent 0 gives every n the same steps.
    epochs: every image is seen `epochs` times (iso-epoch).
    flops: flops * (n / at) ** exponent of arithmetic, forward and backward, whatever the model (iso-FLOP at each n).
    """

    rule: str = declare("steps", choices=("steps", "epochs", "flops"))
    steps: int = declare(600, above=0)
    at: int = declare(1024, above=0)
    exponent: float = 0.5
    factor: float = declare(1.0, above=0)
    epochs: float | None = declare(None, above=0)
    flops: float | None = declare(None, above=0)

    def steps_for(self, train_size: int, *, batch_size: int = 1, flops_per_example: float | None = None) -> int:
        """Optimiser steps, at least one; the last two are what epochs and FLOPs are counted in."""
        growth = (train_size / self.at) ** self.exponent
        if self.rule == "epochs":
            assert self.epochs is not None
            steps = self.epochs * train_size / batch_size
        elif self.rule == "flops":
            assert self.flops is not None
            assert flops_per_example is not None
            steps = self.flops * growth / (flops_per_example * batch_size)
        else:
            steps = self.steps * growth
        return max(1, round(self.factor * steps))
