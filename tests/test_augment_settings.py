"""Augmentation from the settings to the loss: identity, refusals, a model's own recipe."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from scaling.compose import CONF
from scaling.data.augment import make_augment
from scaling.data.splits import load_splits
from scaling.parse import parse
from scaling.trainer import CurvePoint, train


def test_settings_reach_the_batch_and_soft_targets_the_loss(make_cell: Callable) -> None:
    """Through config, identity and trainer; what is off leaves the hash of results from before as it was."""
    small = ("data.image_size=8", "data.permute_patch=4", "data.train_size=40", "data.test_size=20", "model=resnet8")
    plain = make_cell(*small)
    cell = make_cell(*small, "data.mixup=0.4", "data.auto_augment=trivial", "data.cutout=0.25", "data.augment=crop")
    assert plain.config_hash == make_cell(*small, "data.mixup=0", "data.auto_augment=none").config_hash
    assert plain.config_hash != cell.config_hash
    splits = load_splits(cell.data, torch.device("cpu"))
    policy = make_augment(cell.data, num_classes=10, fill=splits.mean)
    assert (policy.window, policy.auto, policy.mixup, policy.cutout) == ("crop", "trivial", 0.4, 0.25)
    torch.manual_seed(0)
    model, points = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)), list[CurvePoint]()
    train(model, splits, cell.optim, steps=30, seed=0, precision="fp32", augment=policy, report=points.append)
    assert points[-1].train_loss < points[0].train_loss


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.augment=blur", "augment=blur is not one of none, flip, crop, flip_crop, resized_crop"),
        ("data.auto_augment=auto", "auto_augment=auto is not one of none, trivial, rand"),
        ("data.erase=2", "erase=2.0 is not a share"),
        ("data.mixup=-1", "mixup=-1.0 is negative"),
        ("data.rand_magnitude=31", "rand_magnitude=31 lies outside 0 to 30"),
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
