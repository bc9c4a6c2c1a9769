"""`adapt=`: probes and fine-tunes as cells of a sweep, what they record, what counts as which cell, what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.compose.recipe import Entry, Recipe, recipe_words, write_recipe
from scaling.compose.study_config import StudyConfig
from scaling.config import CellConfig, ConfigError
from scaling.data.splits import load_splits
from scaling.data.subsets.nested_order import first_of_each, nested_order
from scaling.records.record import Record, read_record
from scaling.records.wrong_images import read_wrong_images
from scaling.study.command import cells_of, read_command
from scaling.study.price import price
from scaling.study.tuner import Tuner
from scaling.training.cell import run_cell
from scaling.training.features import last_linear
from scaling.training.fine_tuning import zero_head
from scaling.training.started import build

CPU = torch.device("cpu")
WORDS = ("data.image_size=8", "data.permute_patch=4", "data.train_size=64", "data.test_size=100", "budget.steps=60",
         "budget.exponent=0", "device=cpu", "wandb=disabled", "workers=1")  # fmt: skip


def _ran(cell: CellConfig) -> Record:
    record = run_cell(cell)
    assert record.status == "finished", record.error_text
    assert read_record(cell.folder / "record.json") == record
    return record


def test_a_probe_is_one_record_with_everything_that_belongs_to_it(
    make_cell: Callable, kept: Path, tmp_path: Path
) -> None:
    words = (*WORDS, "model=resnet8", f"out={tmp_path}/runs", f"init_from={kept}", "adapt=probe")
    cell = make_cell(*words)
    record = _ran(cell)
    assert (record.adapt, record.feature_dim, record.steps, record.seen_examples) == ("probe", 64, 0, 64)
    assert record.strengths == (1e-4, 1e3, 15)
    assert record.strength is not None
    assert 1e-4 <= record.strength <= 1e3
    assert record.start_fingerprint == cell.start_fingerprint != ""
    assert 0 < record.test_loss < np.log(10)  # type: ignore[operator]  # better than guessing
    wrong = read_wrong_images(cell.folder / "wrong.npz")[""]
    assert (wrong.test.mean(), wrong.val.mean()) == (record.test_error, record.val_error)
    assert len(wrong.val) == record.val_examples
    full = make_cell(*words[:-1])
    assert record.num_params == _ran(full).num_params
    assert read_record(full.folder / "record.json").adapt == "full"
    other = make_cell(*words, f"init_from={kept}/weights.pt")  # the same weights by another road
    assert other.config_hash == cell.config_hash
    logistic = make_cell(*words, "probe.loss=logistic")
    assert logistic.config_hash != cell.config_hash
    assert _ran(logistic).feature_dim == 64


def test_what_counts_as_which_cell(make_cell: Callable, kept: Path) -> None:
    words = (*WORDS, "model=resnet8", f"init_from={kept}")
    plain, full, probe = make_cell(*words), make_cell(*words, "adapt=full"), make_cell(*words, "adapt=probe")
    assert len({plain.config_hash, full.config_hash, probe.config_hash}) == 3
    faster = make_cell(*words, "adapt=probe", "optim.lr=1e-5", "budget.steps=7")
    assert faster.config_hash == probe.config_hash  # no optimiser fits a probe
    assert make_cell(*words, "adapt=full", "optim.lr=1e-5").config_hash != full.config_hash
    assert (
        make_cell(*WORDS, "model=resnet8", "probe.loss=logistic").config_hash
        == make_cell(*WORDS, "model=resnet8").config_hash
    )
    assert "-probe-" in probe.cell_name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("adapt=probe",), "adapt=probe needs weights to start from"),
        (("adapt=full",), "adapt=full needs weights to start from"),
        (("adapt=some",), "adapt=some is not one of full, probe"),
        (("probe.loss=hinge",), r"probe.loss=hinge is not one of ridge, logistic"),
    ],
)
def test_what_cannot_be_is_refused(make_cell: Callable, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_cell(*WORDS, "model=resnet8", *words)


def test_a_probe_keeps_no_weights_and_has_no_seed_of_its_own(
    make_cell: Callable, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*WORDS, "model=resnet8", f"init_from={kept}", "adapt=probe")
    with pytest.raises(ConfigError, match="a probe trains no weights"):
        make_cell(*words, "keep=last")
    with pytest.raises(ConfigError, match="several seeds are one probe"):
        cells_of(["-m", *words, "seed=0,1", "data.subset_seed=0"])
    assert len(cells_of(["-m", *words, "seed=0,1"])) == 2


def test_full_starts_from_a_head_of_zeros_and_from_the_weights_behind_it(make_cell: Callable, kept: Path) -> None:
    for words in (("model=resnet8",), ("model=timm", "model.name=resnet10t", "model.family=cnn")):
        started = (f"init_from={kept}", "adapt=full") if "model=resnet8" in words else ()
        cell = dataclasses.replace(make_cell(*WORDS, *words, "data.channels=1", *started), adapt="full")
        splits = load_splits(cell.data, CPU)
        model = build(cell, channels=1, device=CPU)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        zero_head(model, splits)
        images, _ = next(splits.test.in_order(5))
        head = last_linear(model.eval(), splits.inputs(images))
        changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
        names = {
            f"{name}.{part}" for name, module in model.named_modules() if module is head for part in ("weight", "bias")
        }
        assert changed <= names
        assert not any(value.any() for value in head.parameters())
        with torch.no_grad():
            assert not model(splits.inputs(images)).any()


def test_a_recipe_tuned_from_scratch_is_not_a_fine_tunes(make_cell: Callable, kept: Path, tmp_path: Path) -> None:
    cell = make_cell(*WORDS, "model=resnet8")
    tuned = make_cell(*WORDS, "model=resnet8", f"init_from={kept}", "adapt=full")
    probe = make_cell(*WORDS, "model=resnet8", f"init_from={kept}", "adapt=probe")
    entry = Entry(model="resnet8", data="strokes", locality=1.0, image_size=8, value=0.3, at=64)
    path = write_recipe(Recipe(key="optim.lr", entries=(entry,)), tmp_path / "lr.yaml", headline="of scratch")
    assert recipe_words([str(path)], cell, ()) == ("optim.lr=0.3",)
    with pytest.raises(ConfigError, match=r"no optim\.lr for resnet8 fine-tuned"):
        recipe_words([str(path)], tuned, ())
    assert recipe_words([str(path)], probe, ()) == ()
    both = Recipe(key="optim.lr", entries=(entry, dataclasses.replace(entry, init="pretrained", value=0.02)))
    path = write_recipe(both, tmp_path / "both.yaml", headline="of both")
    assert recipe_words([str(path)], cell, ()) == ("optim.lr=0.3",)
    assert recipe_words([str(path)], tuned, ()) == ("optim.lr=0.02",)


def test_tuning_looks_for_the_rates_of_fresh_models_and_of_fine_tunes_apart(kept: Path) -> None:
    words = ["-m", *WORDS, "model=resnet8", "sweep=tuned", "data.train_size=16,64"]
    started = [f"init_from={kept}", "adapt=probe,full"]
    composer, fresh = read_command(words)
    _, tuned = read_command([*words, *started])
    study = StudyConfig(tune="optim.lr")
    jobs = [composer.job(job) for job in (*fresh, *tuned)]
    assert len(jobs) == 6
    tuner = Tuner(composer, jobs, study, lambda trials: None)
    assert sorted(init for _, _, init in tuner.templates) == ["pretrained", "scratch"]
    assert {job.cell.adapt for job in tuner.templates.values()} == {None, "full"}
    assert len({len(search.grid()) for search in tuner.searches([16, 64])}) == 1  # the same number of trials
    # Rates that the fine-tunes state themselves are no reason to leave them out where the fresh models state none.
    _, stated = read_command([*words, *started, "optim.lr=.01"])
    both = [composer.job(job) for job in (*fresh, *stated)]
    tuner = Tuner(composer, both, study, lambda trials: None)
    assert sorted(init for _, _, init in tuner.templates) == ["pretrained", "scratch"]
    with pytest.raises(ConfigError, match="all cells are probes"):
        Tuner(composer, [job for job in jobs if job.cell.adapt == "probe"], study, lambda trials: None)


def test_probes_of_a_chain_are_priced_by_its_largest_size(
    make_cell: Callable, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*WORDS, "model=resnet8", f"init_from={kept}", f"out={kept.parents[1]}")
    cells = [make_cell(*words, "adapt=probe", f"data.train_size={n}") for n in (16, 32, 64)]
    whole, largest = price(cells), price(cells[2:])
    assert whole.seconds == pytest.approx(largest.seconds)
    full = price([make_cell(*words, "adapt=full")])
    assert largest.seconds is not None
    assert full.seconds is not None
    record = read_record(kept / "record.json")
    each = record.train_seconds / record.seen_examples / 3  # type: ignore[operator]
    assert largest.seconds == pytest.approx(each * (64 + 16 + 100))
    assert full.seconds == pytest.approx(record.train_seconds + each * (64 + 16 + 100))  # type: ignore[operator]


def test_so_many_of_each_class(make_cell: Callable, image_folder: Callable) -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 6])
    order = nested_order(labels, [str(i) for i in range(len(labels))], seed=3)
    before: set[int] = set()
    for count in (1, 2, 5):
        rows = order[first_of_each(labels[order], count)]
        assert np.bincount(labels[rows]).tolist() == [count] * 3
        assert before < set(rows.tolist())
        before = set(rows.tolist())
    with pytest.raises(ValueError, match=r"data.per_class=7: a class has only 6 images"):
        first_of_each(labels, 7)
    cell = make_cell(*WORDS, "model=resnet8", "data.per_class=3")
    assert cell.data.train_size == 30
    splits = load_splits(cell.data, CPU)
    assert torch.bincount(splits.train.labels).tolist() == [3] * 10
    root = image_folder({"train": {"a": 40, "b": 12}, "test": {"a": 4, "b": 4}})
    words = [word for word in WORDS if not word.startswith("data.test_size")]
    cell = make_cell(*words, "model=resnet8", "data=folder", f"data.root={root}", "data.per_class=5")
    splits = load_splits(cell.data, CPU)
    assert torch.bincount(splits.train.labels).tolist() == [5, 5]
