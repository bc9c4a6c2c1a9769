"""Cells are made in two ways, and both are one: without composing, and by OmegaConf alone."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.composer import Composer
from scaling.config import ConfigError
from scaling.study.command import read_command

CHOICES = {
    "model": ["resnet8", "vit_w48d3", "vit_mu", "bit_r50x1"],
    "data": ["strokes", "cifar10"],
    "wandb": ["offline", "disabled"],
    "seed": ["0", "3", "true", "1.0", "null", "x", "'3'"],
    "optim.lr": ["1e-3", "1", "0", "'0.1'", "nan", "x"],
    "optim.batch_size": ["32", "32.0", "0", "true"],
    "data.train_size": ["64", "'64'", "${optim.batch_size}", "64.5", "9"],
    "data.subset_seed": ["5", "${seed}", "-1"],
    "data.root": ["."],
    "data.locality": ["0", "1", "0.5", "2"],
    "data.permute_patch": ["2", "4", "3"],
    "data.name": ["a", "'a b'", "'a\\${b}'", "null", "???", "5"],
    "data.white": ["auto", "4095", "1.5"],
    "data.strokes.noise": ["0", "0.5", "x"],
    "data.strokes": ["{noise:0.1}", "3"],
    "model.patch_size": ["2", "4"],
    "model.width": ["16", "null"],
    "budget.rule": ["epochs", "steps"],
    "budget.epochs": ["3", "null"],
    "budget.steps": ["7", "'7'"],
    "trackers": ["[csv]", "csv", "[]"],
    "wandb.tags": ["[a,b]", "[]"],
    "precision": ["bf16", "fp32", "fp16"],
    "checkpoint_seconds": ["null", "3"],
    "sweep": ["mine", "a/b", "7"],
    "nothing": ["1"],
    "+data.fit": ["pad"],
    "data.erase": ["0.1"],
    "data.columns.path": ["file"],
}
REFUSED = (ConfigError, HydraException, OmegaConfBaseException)


def _made(make: Callable[[list[str]], object], words: list[str]) -> object:
    try:
        return dataclasses.astuple(make(words).cell)  # type: ignore[attr-defined]
    except REFUSED as error:
        return str(error)


def _both(composer: Composer, words: list[str]) -> tuple[str, str]:
    return repr(_made(composer.job, words)), repr(_made(composer.composed_job, words))


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_words_give_the_same_cells_and_the_same_refusals(count: int) -> None:
    draw, made = random.Random(7), 0
    composer, _ = read_command([])
    for _ in range(count):
        keys = draw.sample(sorted(CHOICES), draw.randint(1, 5))
        words = [f"{key}={draw.choice(CHOICES[key])}" for key in keys]
        ours, theirs = _both(composer, words)
        assert ours == theirs, words
        made += ours.startswith("(")
    assert 0.2 * count < made < 0.9 * count  # of both kinds


@pytest.mark.parametrize("name", ["quickstart", "strokes", "cifar10", "imagenet"])
@pytest.mark.parametrize("share", [0.02, pytest.param(1, marks=pytest.mark.slow)])
def test_sweep_files_give_the_same_cells(name: str, share: float) -> None:
    root = [] if name in ("quickstart", "strokes") else ["data.root=."]
    composer, words = read_command([f"sweeps={name}", *root])
    for job in random.Random(0).sample(words, max(2, int(share * len(words)))):
        ours, theirs = _both(composer, job)
        assert ours == theirs
        assert ours.startswith("(")


def test_a_recipe_gives_the_same_cells(tmp_path: Path) -> None:
    recipe = tmp_path / "lr.yaml"
    entry = "{model: resnet8, data: strokes, locality: 1.0, image_size: 18, value: 0.0123, at: 100, exponent: -0.5}"
    recipe.write_text(f"key: optim.lr\nentries:\n  - {entry}\n")
    composer, words = read_command(["-m", "model=resnet8", "seed=0,1", "data.train_size=64,400", f"recipe={recipe}"])
    for job in words:
        assert composer.job(job) == composer.composed_job(job)
        assert composer.job(job).added


@pytest.mark.parametrize("turned", [False, True])
def test_of_words_that_set_one_setting_the_last_one_counts(turned: bool) -> None:
    composer, _ = read_command([])
    words = ["data.strokes.noise=0.5", "data.strokes={noise:0.1}"]
    ours, theirs = _both(composer, words[::-1] if turned else words)
    assert ours == theirs
    assert composer.job(words[::-1] if turned else words).cell.data.strokes.noise == (0.5 if turned else 0.1)


def test_few_cells_are_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes 20,000 cells a matter of seconds: OmegaConf is asked for each set of group choices, not each cell."""
    composer, words = read_command(["-m", "model=resnet8,vit_mu", "seed=" + ",".join(map(str, range(30)))])
    asked: list[object] = []
    compose = composer.compose
    monkeypatch.setattr(composer, "compose", lambda words: asked.append(words) or compose(words))
    jobs = [composer.job(job) for job in words]
    assert len({job.cell.config_hash for job in jobs}) == 60
    assert len(asked) == 4  # for each model its config, and what it is without the command's words
