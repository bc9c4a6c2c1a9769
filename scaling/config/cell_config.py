"""One cell, described by frozen dataclasses, and its identity: the hash of everything that affects its result,
and the name that holds it. Free of torch; `scaling.compose.parse` fills these in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaling.config.columns import Columns
from scaling.config.model_config import ARCHITECTURE, ModelConfig
from scaling.config.strokes_config import StrokesConfig


class ConfigError(ValueError):
    """A setting that cannot work; the message says in one line which, and what would."""


_MORE_AUGMENT = ("crop_area", "auto_augment", "rand_layers", "rand_magnitude", "erase", "cutout", "mixup", "cutmix")
# Settings of DataConfig that the first records did not have.
LATER = ("test_share", "skip_unreadable", "fit", "white", *_MORE_AUGMENT)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    kind: str  # strokes, folder, or a published set of scaling/data/sources/published.py
    name: str | None = None  # what the results call it; a folder's own name unless given
    root: str | None = None
    image_size: int = 32
    channels: int = 3
    train_size: int = 1024
    subset_seed: int = 0
    val_share: float = 0.2  # of the training pool, never trained on
    test_size: int = 4000  # images drawn for the test set (strokes)
    locality: float = 1.0
    permute_patch: int = 4
    permute_seed: int = 0
    augment: str = "none"  # which window of an image: none, flip, crop, flip_crop, resized_crop
    crop_area: float = 0.08  # smallest share of the area that resized_crop takes
    auto_augment: str = "none"  # trivial or rand
    rand_layers: int = 2
    rand_magnitude: int = 9  # of 30
    erase: float = 0.0  # share of the images that lose a random rectangle
    cutout: float = 0.0  # side of the square that every image loses, as a share of its own
    mixup: float = 0.0  # alpha of the Beta distribution of shares; 0 is off
    cutmix: float = 0.0
    strokes: StrokesConfig = field(default_factory=StrokesConfig)
    test_share: float = 0.2  # of the training pool, where there is no test set
    skip_unreadable: bool = False  # leave damaged files out instead of refusing them
    fit: str = "crop"  # or pad, stretch: how a picture that is not square becomes so
    white: str = "auto"  # a number: what is white in pictures with more than 8 bits; auto: the largest value found
    # From here on nothing affects a result.
    stream: str = "auto"  # true: worker processes bring the images; false: they live on the device; auto: if they fit
    loaders: int | None = None  # worker processes of a run that streams; null: as many as cores, 8 at most
    cache: str | None = None  # folder of decoded images; null: SCALING_CACHE, else the user's cache folder
    cache_gb: float = 32.0  # sets that are larger when decoded stay in their files
    # How the files are read: what follows from it is in the fingerprint, or in `data_seen`.
    layout: str = "auto"  # or classes: every folder in root is a class, even one that is called train
    columns: Columns = field(default_factory=Columns)  # of a table or Parquet file
    leaks: str = "drop"  # exact copies of held-out images in training: drop, keep or refuse
    group: str | None = None  # parent, or a CSV file: images that stay on one side of every split
    own: tuple[str, ...] = ()  # folders of this project's output, which are no data; filled in by `parse`

    def identity(self) -> dict[str, Any]:
        """What affects a result. Settings that came later count where they differ from their defaults, so that
        results from before keep their hash."""
        values = dataclasses.asdict(self)
        drawn = self.kind == "strokes"
        unseen = ("root", "stream", "loaders", "cache", "cache_gb", "layout", "columns", "leaks", "group", "own")
        for key in (*unseen, "val_share" if drawn else "name"):
            del values[key]
        if self.kind in ("table", "parquet", "npz"):  # the same images in another container are the same data
            values["kind"] = "folder"
        if not drawn:
            del values["strokes"], values["test_size"]
        if self.locality == 1:  # then nothing is permuted, by whatever seed and patch
            del values["permute_patch"], values["permute_seed"]
        for key in LATER:
            if values[key] == getattr(DataConfig, key):
                del values[key]
        return values


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    name: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.05
    beta1: float = 0.9  # the momentum of sgd
    beta2: float = 0.99
    warmup: float = 0.1  # share of the steps
    batch_size: int = 128
    label_smoothing: float = 0.0
    grad_clip: float = 1.0  # 0 switches it off


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """How long a run on n images trains: one rule, the same for every model. `factor` multiplies each of them.

    steps: steps * (n / at) ** exponent optimiser steps; exponent 0 gives every n the same steps.
    epochs: every image is seen `epochs` times (iso-epoch).
    flops: flops * (n / at) ** exponent of arithmetic, forward and backward, whatever the model (iso-FLOP at each n).
    """

    rule: str = "steps"
    steps: int = 600
    at: int = 1024
    exponent: float = 0.5
    factor: float = 1.0
    epochs: float | None = None
    flops: float | None = None

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


@dataclass(frozen=True, kw_only=True)
class WandbConfig:
    mode: str = "offline"  # or online, disabled
    project: str = "vit-scaling"
    entity: str | None = None
    init_timeout: float = 10.0  # seconds that the service has to take a run
    finish_timeout: float = 10.0  # and the rest of its data at its end; then they wait for `wandb sync`
    tags: tuple[str, ...] = ()  # beside those that every run gets
    notes: str | None = None
    name: str | None = None  # shown in place of the cell's own


@dataclass(frozen=True, kw_only=True)
class CellConfig:
    """One run, completely described. `out`, `sweep`, `wandb`, `trackers`, `device`, `keep`, `workers`, `retry`,
    `fail_fast`, `checkpoint_seconds` and `purpose` do not affect its result (the device is recorded), everything else
    does."""

    sweep: str
    out: str
    seed: int
    precision: str
    threads: int
    device: str
    workers: int | None
    retry: str | None
    data: DataConfig
    model: ModelConfig
    optim: OptimConfig
    budget: BudgetConfig
    wandb: WandbConfig
    keep: str = "none"  # last: the final weights, in the cell's folder; best: those of the lowest validation error
    fail_fast: bool = False
    checkpoint_seconds: float | None = 120.0  # between two checkpoints of a run; None: no checkpoints
    trackers: tuple[str, ...] = ()  # csv, tensorboard: beside W&B
    purpose: str = "sweep"  # or tune: a tuner's trial, which does not say what a sweep was meant to hold
    init_from: str | None = None
    pretrained: str | None = None
    start_fingerprint: str = ""  # of the weights that the run starts from; filled in by `parse`
    fingerprint: str = ""  # of the data; filled in by `parse`
    data_seen: tuple[tuple[str, Any], ...] = ()  # what only decoded pixels show and affects a result; by `parse`, too
    num_classes: int = 0
    flops_per_example: float | None = None  # of a training step; filled in by `parse` where the budget counts in it
    overrides: tuple[str, ...] = ()

    @property
    def model_label(self) -> str:
        """What results call the model: its name, and what was changed of its config file without a name of its own, so
        that two models never share a curve. A patch size counts where it is not the data's."""
        keys = [word.split("=", 1)[0] for word in self.overrides]
        if "model.name" in keys or self.model.source in ("torchvision", "timm"):
            return self.model.name
        usual = self.model.patch_size == self.data.permute_patch
        changed = [key for key in ARCHITECTURE if f"model.{key}" in keys and not (key == "patch_size" and usual)]
        return "-".join([self.model.name, *(f"{key}{getattr(self.model, key)}" for key in changed)])

    @property
    def steps(self) -> int:
        size, batch = self.data.train_size, self.optim.batch_size
        return self.budget.steps_for(size, batch_size=batch, flops_per_example=self.flops_per_example)

    @property
    def start(self) -> str | None:
        """The run, checkpoint or published name that the weights come from; None for a fresh initialisation."""
        return self.init_from or self.pretrained

    @property
    def config_hash(self) -> str:
        """16 hex digits over everything that affects the result."""
        identity = {
            "data": self.data.identity() | {"fingerprint": self.fingerprint} | dict(self.data_seen),
            "model": self.model.identity(),
            "optim": dataclasses.asdict(self.optim),
            "steps": self.steps,
            "seed": self.seed,
            "precision": self.precision,
            "threads": self.threads,
        }
        if self.start_fingerprint:
            identity["start"] = self.start_fingerprint
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def cell_name(self) -> str:
        """Readable, legal as a folder and a W&B name, and unique through the hash."""
        data = self.data
        words = f"{self.model.name}-{data.name}-loc{data.locality:g}-n{data.train_size}"
        words += f"-s{self.seed}-lr{self.optim.lr:g}"
        return f"{re.sub(r'[^0-9A-Za-z._-]', '_', words)}-{self.config_hash[:8]}"

    @property
    def folder(self) -> Path:
        return Path(self.out) / self.sweep / self.cell_name
