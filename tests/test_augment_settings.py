"""Augmentation from the settings to the loss: identity, refusals, a model's own recipe."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch.utils._python_dispatch import TorchDispatchMode

from scaling.compose.parse import parse
from scaling.compose.paths import CONF
from scaling.data.batches.augment import make_augment
from scaling.data.splits import load_splits
from scaling.training.trainer import CurvePoint, TrainingSettings, train

SMALL = ("data.image_size=8", "data.permute_patch=4", "data.train_size=40", "data.test_size=20", "model=resnet8")


def test_settings_reach_the_batch_and_soft_targets_the_loss(make_cell: Callable) -> None:
    """Through config, identity and trainer; what is off leaves the hash of results from before as it was."""
    plain = make_cell(*SMALL)
    cell = make_cell(*SMALL, "data.mixup=0.4", "data.auto_augment=trivial", "data.cutout=0.25", "data.augment=crop")
    assert plain.config_hash == make_cell(*SMALL, "data.mixup=0", "data.auto_augment=none").config_hash
    assert plain.config_hash != cell.config_hash
    splits = load_splits(cell.data, torch.device("cpu"))
    policy = make_augment(cell.data, num_classes=10, fill=splits.mean)
    assert (policy.window, policy.auto, policy.mixup, policy.cutout) == ("crop", "trivial", 0.4, 0.25)
    torch.manual_seed(0)
    model, points = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)), list[CurvePoint]()
    settings = TrainingSettings(optim=cell.optim, steps=30, seed=0, precision="fp32", augment=policy)
    train(model, splits, settings, report=points.append)
    assert points[-1].train_loss < points[0].train_loss


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.augment=blur", "augment=blur is not one of none, flip, crop, flip_crop, resized_crop"),
        ("data.auto_augment=auto", "auto_augment=auto is not one of none, trivial, rand"),
        ("data.erase=2", "erase=2.0 is not a share"),
        ("data.mixup=-1", "mixup=-1.0 is negative"),
        ("data.rand_magnitude=31", "rand_magnitude=31 lies outside"),
        ("data.crop_area=0", "crop_area=0.0 is not a share"),
    ],
)
def test_settings_that_cannot_work_are_refused(make_cell: Callable, word: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_cell("data.train_size=40", word)


@pytest.mark.parametrize("words", [(), ("data.mixup=0.9",)])
def test_a_models_recipe_may_choose(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A model's file sets data's augmentation, as it sets the optimiser; the command line has the last word."""
    conf = tmp_path / "conf"
    shutil.copytree(CONF, conf)
    recipe = (conf / "model" / "resnet8.yaml").read_text() + "data:\n  mixup: 0.3\n  auto_augment: trivial\n"
    (conf / "model" / "mine.yaml").write_text(recipe)
    with initialize_config_dir(str(conf), version_base="1.3"):
        data = parse(compose("config", ["model=mine", "data.train_size=40", *words])).data
    assert (data.mixup, data.auto_augment) == (0.9 if words else 0.3, "trivial")


class Waiting(TorchDispatchMode):
    """Counts what a host waits for on a GPU: numbers that it reads, and tensors that it sends."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.name().split("::")[1].split(".")[0]
        masks = [i for i in (args[1] if name in ("index", "index_put", "index_put_") else ()) if i is not None]
        masked = any(mask.dtype == torch.bool for mask in masks)
        read = name in ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "_unique2", "bincount")
        sent = name == "lift_fresh" or (name == "_to_copy" and args[0].device != (kwargs or {}).get("device"))
        self.count += masked or read or (sent and bool((kwargs or {}).get("device") or name == "lift_fresh"))
        return function(*args, **(kwargs or {}))


MIXED = ("data.mixup=0.4", "data.cutmix=1", "data.erase=0.3", "data.cutout=0.25")


@pytest.mark.parametrize("auto", ["trivial", "rand"])
@pytest.mark.parametrize("window", ["flip_crop", "resized_crop"])
def test_augmentation_never_waits_for_the_device(make_cell: Callable, window: str, auto: str) -> None:
    """On the device that holds no numbers, where reading one is an error; what is sent there, is sent once."""
    cell = make_cell(*SMALL, *MIXED, f"data.augment={window}", f"data.auto_augment={auto}")
    policy = make_augment(cell.data, num_classes=10, fill=torch.zeros((1, 1, 1, 1), device="meta"))
    images = torch.zeros((16, 1, 8, 8), dtype=torch.uint8, device="meta")
    labels, uniform = torch.zeros(16, dtype=torch.long, device="meta"), torch.zeros((policy.draws, 16), device="meta")
    policy(images, labels, uniform)
    with Waiting() as waiting:
        out, target = policy(images, labels, uniform)
    assert (out.shape, target.shape) == ((16, 1, 8, 8), (16, 10))
    assert waiting.count == 0


def test_no_step_waits_for_the_device_but_where_a_number_is_due(make_cell: Callable) -> None:
    """100 steps read as many numbers from the device as the curve has points."""
    cell = make_cell(*SMALL, *MIXED, "optim.grad_clip=1", "data.locality=0.5")
    splits = load_splits(cell.data, torch.device("cpu"))
    policy = make_augment(cell.data, num_classes=10, fill=splits.mean)
    model, points = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)), list[CurvePoint]()
    policy(torch.zeros((4, 1, 8, 8), dtype=torch.uint8), torch.arange(4), torch.zeros(policy.draws, 4))  # tables sent
    with Waiting() as waiting:
        settings = TrainingSettings(optim=cell.optim, steps=100, seed=0, precision="fp32", augment=policy)
        train(model, splits, settings, report=points.append)
    assert waiting.count == len(points) == 50
