"""Every config file composes and parses; what cannot work is refused; a cell's identity is right."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

from scaling.compose.paths import CONF, SWEEPS, settings
from scaling.config import BudgetConfig, CellConfig, ConfigError, DataConfig, OptimConfig, WandbConfig
from scaling.config.model_config import ModelConfig
from scaling.models.build import build_model, train_flops_per_example
from scaling.models.weights import save_weights
from scaling.records.cell_fields import UNKNOWN, known_fields
from scaling.records.record import Record, write_record
from scaling.study.command import cells_of, read_command
from scaling.tracking.run import facts_of

GROUPS = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("data", "model", "wandb")}


@pytest.mark.parametrize("model", GROUPS["model"])
def test_every_model_composes_with_a_recipe_of_its_own(make_cell: Callable, model: str) -> None:
    name = {"timm": "resnet10t", "torchvision": "mobilenet_v2"}.get(model, model)
    by_name = [f"model.name={name}", "model.family=cnn"] if name != model else []
    cell = make_cell(f"model={model}", *by_name)
    assert cell.model.name == name
    assert cell.optim.lr > 0


@pytest.mark.parametrize("choice", [f"wandb={mode}" for mode in GROUPS["wandb"]] + ["data=strokes", "data=cifar10"])
def test_other_groups_compose(make_cell: Callable, choice: str) -> None:
    assert make_cell(choice).steps > 0


def test_optimisers_compose_for_any_model(make_cell: Callable) -> None:
    cell = make_cell("model=resnet8", "optim.name=sgd", "optim.lr=.1")
    assert (cell.optim.name, cell.optim.lr) == ("sgd", 0.1)


# Those that start from another sweep's weights have a test of their own.
FROM_NOTHING = [path for path in sorted(SWEEPS.glob("*.yaml")) if "init_from" not in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", FROM_NOTHING, ids=lambda path: path.stem)
def test_every_sweep_file_expands_to_cells_that_parse(
    path: Path, image_folder: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the command line composes them, a dozen of each; a folder stands in for the user's."""
    monkeypatch.setattr("scaling.models.devices.known_precision", lambda device: "fp32")  # nothing is measured
    file = OmegaConf.load(path)
    words = []
    if any("folder" in str(entry) for entry in OmegaConf.to_container(file.get("defaults", OmegaConf.create([])))):
        counts = {"train": {"a": 40, "b": 40}, "test": {"a": 2, "b": 2}}
        words = [f"data.root={image_folder(counts)}", "data.train_size=8"]
    composer, jobs = read_command([f"sweeps={path.stem}", *words])
    assert len(jobs) == len({tuple(sorted(job)) for job in jobs}) > 1
    cells = [composer.job(job).cell for job in jobs[:: max(1, len(jobs) // 12)]]
    assert {cell.sweep for cell in cells} == {path.stem}
    assert len({cell.config_hash for cell in cells}) == len(cells)


@pytest.mark.parametrize(
    ("sweep", "adapts"), [("transfer", {None, "probe", "full"}), ("pretraining", {"probe", "full"})]
)
def test_sweeps_that_start_from_another_ones_runs_find_them_below_the_same_out(
    sweep: str, adapts: set[str | None], tmp_path: Path
) -> None:
    """Weights as they are initialised stand in for trained ones."""
    out = tmp_path / "my runs"
    for cell in cells_of(["sweeps=pretrain_source", f"out='{out}'"]):
        fields = known_fields(cell, device="cpu", torch_version="2")
        measured = dict.fromkeys(("train_error", "val_error", "test_error", "test_loss", "train_seconds"), 0.5)
        write_record(Record(**fields | UNKNOWN | measured, status="finished"), cell.folder)
        model = build_model(cell.model, image_size=cell.data.image_size, channels=1, num_classes=cell.num_classes)
        save_weights(model.state_dict(), cell.folder / "weights.pt")
    cells = cells_of([f"sweeps={sweep}", f"out='{out}'"])
    assert {cell.adapt for cell in cells} == adapts
    assert [cell.start_problem for cell in cells if cell.start_problem] == []
    started = [cell for cell in cells if cell.start]
    assert {Path(cell.init_from or "").parent for cell in started if not cell.untrained} == {out / "pretrain_source"}
    assert {f"n{cell.pretrain_size}-" in str(cell.init_from) for cell in started if not cell.untrained} == {True}
    assert len({cell.config_hash for cell in cells}) == len(cells)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.train_size=9"], "below the number of classes"),
        (["model=vit_w48d3", "data.image_size=21"], r"does not divide data.image_size=21; \d+ or \d+ would do"),
        (["model=vit_w48d3", "data.locality=.5", "+model.patch_size=9"], "permute_patch"),
        (["data.locality=1.5"], r"outside \[0, 1\]"),
        (["data.locality=0", "data.permute_patch=7"], "does not divide"),
        (["model.depth=9"], "6n"),
        (["model=bit_r50x1", "model.depth=34"], "50, 101, 152"),
        (["model=bit_r50x1", "model.width=48"], "multiple of 32"),
        (["model=timm", "model.name=convnxt_tiny", "model.family=cnn"], "nearest: convnext_tiny"),
        (["model=torchvision", "model.name=resnet81", "model.family=cnn"], "nearest: resnet18"),
        (["model=torchvision", "model.name=alexnet", "model.family=cnn"], "does not take 18x18 images"),
        (["model=timm"], r"model\.name=\.\.\. has to be given, as in model=timm model\.name=convnext_tiny"),
        (["model=timm", "model.name=resnet10t"], r"model\.family=\.\.\. has to be given"),
        (["model=resnet8", "+model.source=keras"], "scaling, bit, torchvision, timm"),
        (["model=vit_s", "model.pool=max"], "cls, mean, map"),
        (["model=vit_s", "model.pos_embed=rotary"], "learned, sincos, none"),
        (["model=vit_s", "model.dropout=1"], "model.dropout"),
        (["model=vit_s", "model.width=390", "model.pos_embed=sincos"], "that 4 divides"),
        (["budget.rule=time"], "steps, epochs, flops"),
        (["budget.rule=epochs"], "needs budget.epochs="),
        (["budget.rule=flops", "budget.flops=0"], "budget.flops=0.0 is not positive"),
        (["budget.flops=1e12"], "no effect under budget.rule=steps"),
        (["precision=fp16"], "is not one of fp32, bf16, auto"),
        (["seed=-1"], "negative"),
        (["seed=first"], "seed=first is not a whole number"),
        (["precision=fp8"], "is not one of fp32, bf16"),
        (["wandb.mode=sometimes"], "wandb.mode"),
        (["sweep='a/b'"], "letters"),
        (["retry=yes"], "retry"),
        (["device=tpu"], "device"),
        (["optim.lr=0"], "optim.lr"),
        (["data=folder"], "data.root=DIR"),
        (["data=folder", "data.root=/nowhere/at/all"], "is not there"),
        (["data=cifar10", "data.train_size=40001"], "more than the 40000"),
        (["data.kind=movies"], "data.kind"),
        (["+data.colour=red"], "colour"),
        (["+speed=fast"], "speed"),
    ],
)
def test_bad_settings_are_refused_in_one_line(make_cell: Callable, overrides: list[str], message: str) -> None:
    overrides = [o.replace("+model.patch_size", "model.patch_size") for o in overrides]
    with pytest.raises(ConfigError, match=message) as refusal:
        make_cell(*overrides)
    assert "\n" not in str(refusal.value)


def test_an_unknown_key_is_hydras_error(make_cell: Callable) -> None:
    with pytest.raises(HydraException):
        make_cell("modle=resnet8")


BASE = ("model=vit_w48d3", "data.train_size=256")


@pytest.mark.parametrize(
    "change",
    [
        "seed=1", "data.train_size=512", "data.subset_seed=1", "data.locality=0", "data.strokes.noise=.3", "threads=2",
        "precision=bf16", "optim.lr=1e-5", "optim.warmup=.2", "model.depth=2", "model.pool=cls", "budget.factor=2",
        "data.augment=flip_crop", "model=resnet8", "model.pos_embed=sincos", "model.dropout=.1", "model.drop_path=.1",
    ],
)  # fmt: skip
def test_what_affects_the_result_changes_the_hash(make_cell: Callable, change: str) -> None:
    assert make_cell(*BASE, change).config_hash != make_cell(*BASE).config_hash


@pytest.mark.parametrize(
    "change",
    [
        "out=/tmp/elsewhere",
        "sweep=other",
        "wandb=disabled",
        "device=cpu",
        "workers=3",
        "retry=all",
        "data.permute_seed=7",
    ],
)
def test_what_does_not_affect_the_result_keeps_the_hash(make_cell: Callable, change: str) -> None:
    """`permute_seed` counts below locality 1 only: at 1 nothing is permuted."""
    assert make_cell(*BASE, change).config_hash == make_cell(*BASE).config_hash
    if change.startswith("data.permute_seed"):
        below = (*BASE, "data.locality=0")
        assert make_cell(*below, change).config_hash != make_cell(*below).config_hash


def test_the_hash_of_a_first_record_stays() -> None:
    """Settings that came later count only when they are used: what was run before is found again."""
    model = ModelConfig(
        name="vit_w64d2", family="vit", width=64, depth=2, patch_size=6, heads=4, pool="mean", pos_embed_std=0.5
    )
    cell = CellConfig(
        sweep="s", out="runs", seed=1, precision="fp32", threads=1, device="cpu", workers=1, retry=None, model=model,
        data=DataConfig(kind="strokes", name="strokes", image_size=18, channels=1), optim=OptimConfig(batch_size=128),
        budget=BudgetConfig(steps=600), wandb=WandbConfig(), fingerprint="strokes-1", num_classes=10,
    )  # fmt: skip
    assert cell.config_hash == "97b41004baaaf79a"  # computed by the version before those settings
    changed = dataclasses.replace(cell, model=dataclasses.replace(model, drop_path=0.1))
    assert changed.config_hash != cell.config_hash


def test_the_order_of_overrides_does_not_matter(make_cell: Callable) -> None:
    a = make_cell("seed=3", "model=resnet8", "data.train_size=64")
    b = make_cell("data.train_size=64", "seed=3", "model=resnet8")
    assert (a.config_hash, a.cell_name) == (b.config_hash, b.cell_name)


def test_names_are_legal_folders_and_wandb_names(make_cell: Callable, image_folder: Callable) -> None:
    root = image_folder({"train": {"a": 9, "b": 9}, "test": {"a": 2, "b": 2}}, name="çà, 'et' là=1")
    quoted = str(root).replace("'", "\\'")
    cell = make_cell("data=folder", f"data.root='{quoted}'", "data.image_size=8", "data.train_size=4", "model=resnet8")
    assert cell.data.name == "çà, 'et' là=1"
    assert set(cell.cell_name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def test_steps_follow_the_budget_rule() -> None:
    rule = BudgetConfig(steps=100, at=1000, exponent=0.5)
    assert [rule.steps_for(n) for n in (250, 1000, 4000)] == [50, 100, 200]
    assert BudgetConfig(steps=100, at=1000, exponent=0.5, factor=2).steps_for(4000) == 400
    assert BudgetConfig(steps=100, at=1000, exponent=1).steps_for(3000) == 300
    epochs = BudgetConfig(rule="epochs", epochs=8, factor=1.5)
    assert [epochs.steps_for(n, batch_size=64) for n in (64, 640)] == [12, 120]
    flops = BudgetConfig(rule="flops", flops=6e9, at=1000, exponent=1)
    assert [flops.steps_for(n, batch_size=10, flops_per_example=2e6) for n in (1000, 3000)] == [300, 900]


@pytest.mark.parametrize("size", [64, 256])
def test_equal_flops_are_equal_for_every_model(make_cell: Callable, size: int) -> None:
    """Iso-FLOP: steps times batch times the arithmetic of a step, counted on the real model, is the budget."""
    words = ("budget.rule=flops", "budget.flops=2e12", "budget.at=64", f"data.train_size={size}")
    for model in ("vit_w64d2", "resnet8_w8", "vit_w48d3"):
        cell = make_cell(*words, f"model={model}", "data.image_size=12", "data.permute_patch=4")
        built = build_model(cell.model, image_size=12, channels=1, num_classes=10)
        spent = cell.steps * cell.optim.batch_size * train_flops_per_example(built, image_size=12, channels=1)
        assert spent == pytest.approx(2e12 * (size / 64) ** 0.5, rel=0.01)


def test_a_budget_rule_is_no_part_of_the_identity_but_its_steps_are(make_cell: Callable) -> None:
    by_steps = make_cell("data.train_size=128", "budget.steps=40", "budget.exponent=0")
    by_epochs = make_cell("data.train_size=128", "budget.rule=epochs", "budget.epochs=20", "optim.batch_size=64")
    assert by_steps.steps == by_epochs.steps == 40
    assert by_steps.config_hash == by_epochs.config_hash


def test_precision_auto_becomes_what_the_record_repeats(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    for found in ("fp32", "bf16"):
        monkeypatch.setattr("scaling.models.devices.known_precision", lambda device, found=found: found)
        cell = make_cell("precision=auto")
        assert cell.precision == found
        assert cell.config_hash == make_cell(f"precision={found}").config_hash


VALUES = ["plain", "with space", "a'b", 'a"b', "a,b", "k=v", "[1]", "back\\slash", "end\\", "null", "1e3", "çà"]


@pytest.mark.parametrize("value", VALUES)
def test_overrides_for_the_record_survive_hydras_grammar(value: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from scaling.records.words import hydra_value

    assert OverridesParser.create().parse_override(f"key={hydra_value(value)}").value() == value


@pytest.mark.parametrize("value", [None, True, 3, -2, 0.25, 1e-5, [1, 2], ["a b", "c"]])
def test_other_values_survive_too(value: object) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from scaling.records.words import hydra_value

    assert OverridesParser.create().parse_override(f"key={hydra_value(value)}").value() == value


def test_rerun_overrides_compose_the_same_cell(make_cell: Callable) -> None:
    from hydra import compose, initialize_config_dir

    from scaling.compose.paths import rerun_overrides

    asked = ["model=vit_w64d4", "data.train_size=300", "optim.lr=0.002", "seed=4", "sweep=mine", "out=/tmp/x"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        choices = {"data": "strokes", "model": "vit_w64d4"}
        base = compose("config", [f"{k}={v}" for k, v in choices.items()])
        written = rerun_overrides(compose("config", asked), base, choices)
        again = compose("config", list(written))
        assert settings(again) == settings(compose("config", asked))
    assert "data.train_size=300" in written
    assert not any(word.startswith(("out=", "budget")) for word in written)
    assert make_cell(*written).config_hash == make_cell(*asked).config_hash


def _cell(*words: str) -> CellConfig:
    """The cell of a command, with the overrides that its record holds."""
    (cell,) = cells_of(words)
    return cell


def test_another_size_has_another_name_in_results_and_the_same_hash_as_ever() -> None:
    """Two models of one name would share a curve; the hash and the folder are those of before."""
    words = ("data.image_size=18", "data.train_size=100")
    wide = _cell("model=vit_w64d2", "model.width=96", *words)
    assert _cell("model=vit_w64d2", "model.dropout=0.1", *words).model_label == "vit_w64d2"  # a recipe, not a shape
    assert wide.model_label == "vit_w64d2-width96"
    assert wide.cell_name.startswith("vit_w64d2-strokes-")
    assert known_fields(wide, device="cpu", torch_version="0")["model"] == "vit_w64d2-width96"
    assert _cell("model=vit_w64d2", "model.width=96", "model.name=mine", *words).model_label == "mine"
    assert _cell("model=vit_w64d2", "model.patch_size=3", *words).model_label == "vit_w64d2-patch_size3"
    assert _cell("model=vit_w64d2", "data.permute_patch=3", *words).model_label == "vit_w64d2"


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"two models are called mine \(width 64 and 96\)"):
        cells_of(["-m", "model=vit_w64d2", "model.width=64,96", "model.name=mine"])


def test_the_record_says_which_budget_rule_it_followed() -> None:
    iso = _cell("budget.rule=epochs", "budget.epochs=3")
    assert known_fields(iso, device="cpu", torch_version="0")["budget_rule"] == "epochs"
    assert known_fields(_cell(), device="cpu", torch_version="0")["budget_rule"] == "steps"


def test_a_project_that_w_and_b_refuses_is_refused_before_the_start(make_cell: Callable) -> None:
    """It was told only by the first run, whose log was lost with exit status 0."""
    with pytest.raises(ConfigError, match=r"wandb.project=a/b is no name that W&B takes: / in it"):
        make_cell("wandb.project='a/b'")


def test_the_variables_of_w_and_b_are_heeded(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MODE", "disabled"), ("PROJECT", "theirs"), ("ENTITY", "us"), ("TAGS", "a, b")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    cell = make_cell("wandb.tags=[c]", "wandb.name=mine", "wandb.notes=why")
    assert (cell.wandb.mode, cell.wandb.project, cell.wandb.entity) == ("disabled", "theirs", "us")
    facts = facts_of(cell)
    assert {"a", "b", "c"} <= set(facts.tags)
    assert (facts.name, facts.notes) == ("mine", "why")
    assert make_cell("wandb=online").wandb.mode == "online"  # what is said aloud goes first
