"""What fine-tunes do otherwise than fresh models: layers and their rates, the statistics of batch norms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from scaling.compose.recipe import Entry, Recipe, recipe_words, write_recipe
from scaling.compose.study_config import StudyConfig
from scaling.config import CellConfig, ConfigError, OptimConfig
from scaling.models.libraries import named_model
from scaling.models.resnet import ResNet
from scaling.models.vit import ViT
from scaling.records.record import read_record
from scaling.study.command import read_command
from scaling.study.tuner import Tuner
from scaling.training.cell import run_cell
from scaling.training.fine_tuning import layer_scales, layers_of
from scaling.training.trainer import make_optimizer

WORDS = ("data.image_size=8", "data.permute_patch=4", "data.train_size=64", "data.test_size=100", "budget.steps=20",
         "budget.exponent=0", "device=cpu", "wandb=disabled", "workers=1")  # fmt: skip


def test_layers_count_from_the_images_to_the_head() -> None:
    vit = ViT(image_size=8, channels=1, num_classes=2, patch_size=4, width=8, depth=3, heads=1)
    layers = layers_of(vit)
    assert layers.keys() == dict(vit.named_parameters()).keys()
    assert {layers[name] for name in ("cls_token", "pos_embed", "patch_embed.proj.weight")} == {0}
    assert [layers[f"blocks.{i}.attn.qkv.weight"] for i in range(3)] == [1, 2, 3]
    assert {layers["norm.weight"], layers["head.bias"]} == {4}
    layers = layers_of(ResNet(channels=1, num_classes=2, depth=8, width=4))
    assert [layers[name] for name in ("conv1.weight", "bn1.bias", "layers.2.bn2.bias", "head.weight")] == [0, 0, 3, 4]


@pytest.mark.parametrize(
    ("name", "layers"),  # its paper's blocks, stem and head, and the three patch mergings of Swin
    [("resnet18", 8 + 2), ("vit_b_16", 12 + 2), ("swin_t", 12 + 3 + 2), ("convnext_tiny", 18 + 2)],
)
def test_blocks_of_torchvision_are_layers(name: str, layers: int) -> None:
    with torch.device("meta"):
        model = named_model("torchvision", name, image_size=64, channels=3, num_classes=4)
    found = layers_of(model)
    assert found.keys() == dict(model.named_parameters()).keys()
    assert len(set(found.values())) == layers
    heads = [name for name in found if name.startswith(("fc", "head", "classifier"))]
    assert {found[name] for name in heads} == {max(found.values())}


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18", "convnext_atto"])
def test_models_of_timm_have_the_scales_that_timm_gives_them(name: str) -> None:
    pytest.importorskip("timm")
    from timm.optim import param_groups_layer_decay

    with torch.device("meta"):
        model = named_model("timm", name, image_size=224, channels=3, num_classes=4)
    names = {id(p): name for name, p in model.named_parameters()}
    theirs = {
        names[id(p)]: g["lr_scale"] for g in param_groups_layer_decay(model, layer_decay=0.7) for p in g["params"]
    }
    assert layer_scales(model, OptimConfig(layer_decay=0.7)) == pytest.approx(theirs)


def test_lower_layers_get_lower_rates() -> None:
    """One step of plain gradient descent moves every layer by its scale times what it moves without decay."""
    moved = {}
    for decay in (1.0, 0.5):
        torch.manual_seed(0)
        model = ViT(image_size=8, channels=1, num_classes=2, patch_size=4, width=8, depth=2, heads=1, pool="mean")
        nn.init.normal_(model.head.weight)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        config = OptimConfig(name="sgd", beta1=0.5, weight_decay=0.0, layer_decay=decay)
        optimizer = make_optimizer(model, config)
        if decay == 1:
            assert len(optimizer.param_groups) == 2
        for group in optimizer.param_groups:
            group.update(lr=group["scale"], nesterov=False, momentum=0)
        model(torch.ones(1, 1, 8, 8) * torch.arange(8.0)).square().sum().backward()
        optimizer.step()
        moved[decay] = {name: (p.detach() - before[name]).norm().item() for name, p in model.named_parameters()}
    for name, scale in (("head.weight", 1.0), ("blocks.1.mlp.fc1.weight", 0.5), ("blocks.0.mlp.fc1.weight", 0.25),
                        ("patch_embed.proj.weight", 0.125)):  # fmt: skip
        assert moved[0.5][name] == pytest.approx(scale * moved[1.0][name], rel=1e-4)


def _statistics(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "weights.pt", weights_only=True)
    return {key: value for key, value in state.items() if "running" in key or "bn1.weight" in key}


def test_batch_norms_keep_or_go_on_with_their_statistics(make_cell: Callable, kept: Path) -> None:
    before = _statistics(kept)
    words = (*WORDS, "model=resnet8", f"init_from={kept}", f"out={kept.parents[1]}", "adapt=full", "keep=best")
    changed = {}
    for mode in ("train", "frozen"):
        cell = make_cell(*words, "keep=last", f"optim.batch_norm={mode}")
        record = run_cell(cell)
        assert record.status == "finished", record.error_text
        assert read_record(cell.folder / "record.json").batch_norm == mode
        assert record.layer_decay == 1.0
        after = _statistics(cell.folder)
        changed[mode] = {key.split(".")[-1] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"train": {"running_mean", "running_var", "weight"}, "frozen": {"weight"}}


def test_a_look_at_the_validation_set_does_not_thaw_them(make_cell: Callable, kept: Path) -> None:
    words = (*WORDS, "model=resnet8", f"init_from={kept}", f"out={kept.parents[1]}", "adapt=full", "keep=best")
    cell = make_cell(*words, "optim.batch_norm=frozen")
    assert run_cell(cell).status == "finished"
    best = torch.load(cell.folder / "best.pt", weights_only=True)
    before = _statistics(kept)
    assert all(torch.equal(before[key], best[key]) for key in before if "running" in key)


def test_what_has_no_batch_norm_or_no_start_says_nothing_of_them(make_cell: Callable, tmp_path: Path) -> None:
    source = make_cell(*WORDS, "model=vit_w48d3", f"out={tmp_path}", "keep=last", "sweep=vits")
    record = run_cell(source)
    assert (record.batch_norm, record.layer_decay) == (None, None)
    cell = make_cell(*WORDS, "model=vit_w48d3", f"out={tmp_path}", f"init_from={source.folder}", "adapt=full",
                     "optim.layer_decay=.75")  # fmt: skip
    record = run_cell(cell)
    assert record.status == "finished", record.error_text
    assert (record.batch_norm, record.layer_decay) == (None, 0.75)


def test_they_count_where_they_are_used(make_cell: Callable, kept: Path) -> None:
    words = (*WORDS, "model=resnet8", f"init_from={kept}", "adapt=full")
    cells: list[CellConfig] = [make_cell(*words, *more) for more in ((), ("optim.layer_decay=1",),
        ("optim.batch_norm=train",), ("optim.layer_decay=.8",), ("optim.batch_norm=frozen",))]  # fmt: skip
    assert len({cell.config_hash for cell in cells[:3]}) == 1
    assert len({cell.config_hash for cell in cells}) == 3
    for word in ("optim.layer_decay=.8", "optim.batch_norm=frozen"):
        with pytest.raises(ConfigError, match="is of fine-tunes: it needs weights to start from"):
            make_cell(*WORDS, "model=resnet8", word)
    with pytest.raises(ConfigError, match=r"optim.layer_decay=1.2 is not a share"):
        make_cell(*words, "optim.layer_decay=1.2")


def test_the_decay_is_tuned_for_fine_tunes_alone_and_for_both_families_alike(kept: Path, tmp_path: Path) -> None:
    composer, fresh = read_command(["-m", *WORDS, "model=resnet8", "sweep=tuned", "data.train_size=16,64"])
    _, tuned = read_command(["-m", *WORDS, "model=resnet8", "sweep=tuned", "data.train_size=16,64",
                             f"init_from={kept}", "adapt=probe,full"])  # fmt: skip
    jobs = [composer.job(job) for job in (*fresh, *tuned)]
    study = StudyConfig(tune="optim.layer_decay")
    tuner = Tuner(composer, jobs, study, lambda trials: None)
    assert {job.cell.adapt for job in tuner.templates.values()} == {"full"}
    search = tuner.searches([16])[0]
    with pytest.raises(ConfigError, match="it lies outside"):  # the settings' own limit closes that side of the grid
        tuner.job(search, 4.0, 0)
    with pytest.raises(ConfigError, match="it is of fine-tunes, and all cells start from scratch"):
        Tuner(composer, jobs[:2], study, lambda trials: None)
    entry = Entry(model="resnet8", data="strokes", locality=1.0, image_size=8, value=0.7, at=64, init="pretrained")
    recipe = Recipe(key="optim.layer_decay", entries=(entry,))
    path = write_recipe(recipe, tmp_path / "decay.yaml", headline="of fine-tunes")
    assert recipe_words([str(path)], jobs[0].cell, ()) == ()
    assert recipe_words([str(path)], jobs[-1].cell, ()) == ("optim.layer_decay=0.7",)
