"""One cell, described by frozen dataclasses, and its identity: the hash of everything that affects its result,
and the name that holds it. Free of torch; `scaling.compose.parse` fills these in.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scaling.config.budget_config import BudgetConfig, OptimConfig
from scaling.config.columns import Columns
from scaling.config.model_config import ARCHITECTURE, ModelConfig
from scaling.config.setting import declare, hashed
from scaling.config.strokes_config import StrokesConfig
from scaling.config.weights_config import RESIZES, StartFacts, WeightsConfig


class ConfigError(ValueError):
    """A setting that cannot work; the message says in one line which, and what would."""


FORWARD = 1 / 3  # of a training step's arithmetic: what an image costs that is only looked at
AUGMENTATIONS = ("none", "flip", "crop", "flip_crop", "resized_crop")
LEAKS = ("drop", "keep", "refuse")  # what becomes of training images that are held-out ones, too
FITS = ("crop", "pad", "stretch")  # how a picture that is not square becomes so


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    kind: str  # strokes, folder, or a published set of scaling/data/sources/published.py
    name: str | None = None  # what the results call it; a folder's own name unless given
    root: str | None = declare(None, result=False)
    image_size: int = declare(32, above=0)
    channels: int = declare(3, choices=(1, 3))
    train_size: int = 1024
    # so many training images of every class, in place of train_size
    per_class: int | None = declare(None, above=0, later=True)
    subset_seed: int = declare(0, at_least=0)
    val_share: float = declare(0.2, above=0, below=1)  # of the training pool, never trained on
    test_size: int = 4000  # images drawn for the test set (strokes)
    locality: float = declare(1.0, at_least=0, at_most=1)
    permute_patch: int = 4
    permute_seed: int = 0
    # which window of an image: none, flip, crop, flip_crop, resized_crop
    augment: str = declare("none", choices=AUGMENTATIONS)
    # smallest share of the area that resized_crop takes
    crop_area: float = declare(0.08, above=0, at_most=1, later=True)
    auto_augment: str = declare("none", choices=("none", "trivial", "rand"), later=True)  # trivial or rand
    rand_layers: int = declare(2, above=0, later=True)
    rand_magnitude: int = declare(9, at_least=0, at_most=30, later=True)  # of 30
    erase: float = declare(0.0, at_least=0, at_most=1, later=True)  # share of the images that lose a random rectangle
    # side of the square that every image loses, as a share of its own
    cutout: float = declare(0.0, at_least=0, at_most=1, later=True)
    mixup: float = declare(0.0, at_least=0, later=True)  # alpha of the Beta distribution of shares; 0 is off
    cutmix: float = declare(0.0, at_least=0, later=True)
    strokes: StrokesConfig = field(default_factory=StrokesConfig)
    test_share: float = declare(0.2, above=0, below=1, later=True)  # of the training pool, where there is no test set
    skip_unreadable: bool = declare(False, later=True)  # leave damaged files out instead of refusing them
    fit: str = declare("crop", choices=FITS, later=True)  # or pad, stretch: how a picture that is not square becomes so
    # a number: what is white in pictures with more than 8 bits; auto: the largest value found
    white: str = declare("auto", later=True)
    # by what inputs are normalised: weights (what they expect that the run starts from), subset (the training images);
    # auto: weights where that is known
    normalize: str = declare("auto", choices=("auto", "weights", "subset"), later=True)
    # filter and centre crop when pictures are resized; None: as the weights expect, else bilinear and all of it
    resize: str | None = declare(None, choices=RESIZES, later=True)
    crop_share: float | None = declare(None, above=0, at_most=1, later=True)
    input_mean: tuple[float, ...] | None = declare(None, later=True)  # of the weights; filled in by `parse`
    input_std: tuple[float, ...] | None = declare(None, later=True)
    # From here on nothing affects a result.
    # true: worker processes bring the images; false: they live on the device; auto: if they fit
    stream: str = declare("auto", choices=("auto", "true", "false"), result=False)
    # worker processes of a run that streams; null: as many as cores, 8 at most
    loaders: int | None = declare(None, at_least=0, result=False)
    # folder of decoded images; null: SCALING_CACHE, else the user's cache folder
    cache: str | None = declare(None, result=False)
    cache_gb: float = declare(32.0, at_least=0, result=False)  # sets that are larger when decoded stay in their files
    # How the files are read: what follows from it is in the fingerprint, or in `data_seen`.
    # or classes: every folder in root is a class, even one that is called train
    layout: str = declare("auto", choices=("auto", "classes"), result=False)
    columns: Columns = field(default_factory=Columns, metadata={"result": False})  # of a table or Parquet file
    # exact copies of held-out images in training: drop, keep or refuse
    leaks: str = declare("drop", choices=LEAKS, result=False)
    # parent, or a CSV file: images that stay on one side of every split
    group: str | None = declare(None, result=False)
    # folders of this project's output, which are no data; filled in by `parse`
    own: tuple[str, ...] = declare((), result=False)

    def identity(self) -> dict[str, Any]:
        """What affects a result. Settings that came later count where they differ from their defaults, so that
        results from before keep their hash."""
        values, drawn = hashed(self), self.kind == "strokes"
        del values["val_share" if drawn else "name"]
        # The same images in another container are the same data.
        if self.kind in ("table", "parquet", "npz", "hub", "webdataset"):
            values["kind"] = "folder"
        if drawn:
            values["strokes"] = hashed(self.strokes)
        else:
            del values["strokes"], values["test_size"]
        if self.locality == 1:  # then nothing is permuted, by whatever seed and patch
            del values["permute_patch"], values["permute_seed"]
        return values


@dataclass(frozen=True, kw_only=True)
class WandbConfig:
    mode: str = declare("offline", choices=("offline", "online", "disabled"))  # or online, disabled
    project: str = "vit-scaling"
    entity: str | None = None
    init_timeout: float = declare(10.0, above=0, at_most=3600)  # seconds that the service has to take a run
    # and the rest of its data at its end; then they wait for `wandb sync`
    finish_timeout: float = declare(10.0, above=0, at_most=3600)
    tags: tuple[str, ...] = ()  # beside those that every run gets
    notes: str | None = None
    name: str | None = None  # shown in place of the cell's own


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    loss: str = declare("ridge", choices=("ridge", "logistic"), later=True)  # logistic: softmax regression


@dataclass(frozen=True, kw_only=True)
class CellConfig:
    """One run, completely described. `out`, `sweep`, `wandb`, `trackers`, `device`, `keep`, `workers`, `retry`,
    `fail_fast`, `checkpoint_seconds` and `purpose` do not affect its result (the device is recorded), everything else
    does."""

    sweep: str
    out: str = declare(result=False)
    seed: int = declare(at_least=0)
    precision: str = declare(choices=("fp32", "bf16", "auto"))
    threads: int = declare(above=0)
    device: str = declare(result=False)
    workers: int | None = declare(above=0, result=False)
    retry: str | None = declare(choices=("failed", "diverged", "all"), result=False)
    data: DataConfig
    model: ModelConfig
    optim: OptimConfig
    budget: BudgetConfig
    wandb: WandbConfig
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    # last: the final weights, in the cell's folder; best: those of the lowest validation error
    keep: str = declare("none", choices=("none", "last", "best"), result=False)
    fail_fast: bool = declare(False, result=False)
    # trust: also records that were changed after they were written
    records: str = declare("check", choices=("check", "trust"), result=False)
    # between two checkpoints of a run; None: no checkpoints
    checkpoint_seconds: float | None = declare(120.0, at_least=0, result=False)
    trackers: tuple[str, ...] = declare((), result=False)  # csv, tensorboard: beside W&B
    # or tune: a tuner's trial, which does not say what a sweep was meant to hold
    purpose: str = declare("sweep", choices=("sweep", "tune"), result=False)
    init_from: str | None = None
    pretrained: str | None = None
    # which run, where init_from is a sweep's folder: the one on so many images; 0: the model as it is initialised
    pretrain_size: int | None = declare(None, at_least=0)
    # of a start: full (all weights are trained, from a head of zeros) or probe (a linear model on frozen features);
    # None: all weights are trained, and so is a head that fits
    adapt: str | None = declare(None, choices=("full", "probe"))
    weights: WeightsConfig = field(default_factory=WeightsConfig)  # those of conf/weights/; they set `pretrained`
    start_facts: StartFacts = field(default_factory=StartFacts, metadata={"result": False})  # filled in by `parse`
    start_problem: str = ""  # why its source has no weights; such a cell is not run. Filled in by `parse`
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
        if self.weights.name != "none":  # of one model there may be several
            return self.weights.name
        keys = [word.split("=", 1)[0] for word in self.overrides]
        if "model.name" in keys or self.model.source in ("torchvision", "timm"):
            return self.model.name
        usual = self.model.patch_size == self.data.permute_patch
        changed = [key for key in ARCHITECTURE if f"model.{key}" in keys and not (key == "patch_size" and usual)]
        return "-".join([self.model.name, *(f"{key}{getattr(self.model, key)}" for key in changed)])

    @property
    def steps(self) -> int:
        if self.adaptation == "probe":
            return 0
        size, batch = self.data.train_size, self.optim.batch_size
        return self.budget.steps_for(size, batch_size=batch, flops_per_example=self.flops_per_example)

    @property
    def seen_examples(self) -> int:
        """Images that training passes, repeats included; a probe looks at each once."""
        return self.data.train_size if self.adaptation == "probe" else self.steps * self.optim.batch_size

    @property
    def adaptation(self) -> Literal["full", "probe"] | None:
        """What is fitted where the run starts from weights; None from scratch."""
        if self.start is None:
            return None
        return "probe" if self.adapt == "probe" else "full"

    @property
    def untrained(self) -> bool:
        """Whether its start is the model as it is initialised: what a source of no images would be."""
        return self.pretrain_size == 0

    @property
    def start(self) -> str | None:
        """The run, checkpoint or published name that the weights come from; None for a fresh initialisation."""
        return self.init_from or self.pretrained

    @functools.cached_property
    def config_hash(self) -> str:
        """16 hex digits over everything that affects the result."""
        identity: dict[str, Any] = {
            "data": self.data.identity() | {"fingerprint": self.fingerprint} | dict(self.data_seen),
            "model": self.model.identity(),
            "optim": hashed(self.optim),
            "steps": self.steps,
            "seed": self.seed,
            "precision": self.precision,
            "threads": self.threads,
        }
        if self.start_fingerprint:
            identity["start"] = self.start_fingerprint
        if self.adapt:
            identity["adapt"] = self.adapt
        if self.adaptation == "probe":  # which no optimiser fits
            del identity["optim"], identity["steps"]
            identity["probe"] = hashed(self.probe)
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    @functools.cached_property
    def cell_name(self) -> str:
        """Readable, legal as a folder and a W&B name, and unique through the hash."""
        data = self.data
        words = f"{self.model.name}-{data.name}-loc{data.locality:g}-n{data.train_size}"
        words += f"-s{self.seed}-{'probe' if self.adaptation == 'probe' else f'lr{self.optim.lr:g}'}"
        return f"{re.sub(r'[^0-9A-Za-z._-]', '_', words)}-{self.config_hash[:8]}"

    @property
    def folder(self) -> Path:
        return Path(self.out) / self.sweep / self.cell_name
