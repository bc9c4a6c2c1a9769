"""Words that came with somebody's results set settings of a cell to plain values, and do nothing else."""

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from synthetic import make_record

from analysis.advise.train_commands import Cells, exact_command
from analysis.advise.train_commands import command as cells_command
from analysis.pilot.plan import from_dict
from analysis.rerun import main as rerun
from scaling.compose.command_words import read_command_line
from scaling.compose.foreign import check_sweep_file
from scaling.compose.own_sweeps import register_sweep
from scaling.compose.paths import SWEEPS
from scaling.compose.recipe import read_recipe
from scaling.compose.start_weights import inherit
from scaling.config import ConfigError
from scaling.inspect import main as inspect
from scaling.records.record import Record, write_record
from scaling.records.replay import ReplayError, replayed
from scaling.records.words import hydra_value
from scaling.study.command import cells_of

ROOT = Path(__file__).resolve().parents[2]
RUNS_CODE = "+hydra.callbacks.x._target_=pandas.read_pickle"
ATTACKS = (
    RUNS_CODE,
    "hydra.callbacks={x:{_target_:numpy.load}}",
    "++hydra.job.env_set.PATH=/tmp",
    "hydra.searchpath=[file:///tmp]",
    "hydra/launcher=joblib",
    "+model._target_=os.system",
    "model._target_=os.system",
    "~data.root",
    "+anything=1",
    "--config-dir=/tmp",
    "--config-dir",
    "optim.lr=${oc.env:HOME}",
    "sweep='${oc.env:HOME}'",
    "data.root='\\\\${oc.env:HOME}'",  # two backslashes: the lookup counts
    "data.root=${data.name}",
    "model=../../tmp/x",
    "data=/tmp/x",
    "optim.lr=choice(1,2)",
    "data={name:x}",
    "optim={name:x}",
    "wandb.entity=somebody",
    "wandb=online",
    "out=/tmp",
    "sweeps=quickstart",
    "data.root=/a,hydra.x=1",
)


def _record(*words: str) -> Record:
    return make_record(overrides=("data=strokes", "model=resnet8", *words))


@pytest.mark.parametrize("word", ATTACKS)
def test_no_command_replays_such_a_word(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """init_from=, inspect, rerun, and the commands that advise and report print."""
    monkeypatch.chdir(tmp_path)
    run = write_record(_record(word), tmp_path / "run").parent
    (run / "weights.pt").write_bytes(b"x")
    with pytest.raises(ReplayError):
        replayed([word])
    with pytest.raises(ConfigError, match="only settings of a cell") as refusal:
        inherit([f"init_from={run}"])
    assert "\n" not in str(refusal.value)
    assert inspect([f"run={run}"]) == 2
    assert rerun([f"results={run}"]) == 2
    for line in capsys.readouterr().err.splitlines():
        assert line.startswith("error: ")
        assert "only settings of a cell" in line
    row = _record(word).to_dict()
    assert exact_command(row, {}) is None
    assert cells_command(row | {"overrides": shlex.join(row["overrides"])}, Cells("resnet8", (10,), (0,))) is None


def test_the_words_of_every_result_that_lies_here_are_taken(tmp_path: Path) -> None:
    count = 0
    for path in (ROOT / "results" / "cifar10_small" / "results.csv", ROOT / "tests" / "data" / "quickstart.csv"):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                words = shlex.split(row["overrides"])
                assert replayed(words) == words
                count += 1
    assert count > 200


def test_a_cells_own_words_are_replayed(image_folder: Callable[..., Path]) -> None:
    root = image_folder({"train": {"a": 20, "b": 20}, "test": {"a": 5, "b": 5}}, "it's ${odd}, [here]")
    words = ("data=folder", f"data.root={hydra_value(str(root))}", "data.train_size=4", "model=vit_mu", "data.fit=pad")
    more = ("data.white='1.0'", "sweep='böhnchen-1'", f"data.cache={root.parent}/cache", "optim.lr=1e-3")
    (cell,) = cells_of([*words, *more])
    kept = replayed(cell.overrides)
    assert [word for word in cell.overrides if word not in kept] == [
        f"data.cache={hydra_value(str(root.parent / 'cache'))}"
    ]
    (again,) = cells_of(kept)
    assert (again.config_hash, again.data.root) == (cell.config_hash, str(root))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("a$\\{}'\"[](),:=~ é\n"), max_size=12))
def test_a_text_is_quoted_so_that_hydra_reads_it_back(text: str) -> None:
    value = OverridesParser.create().parse_override(f"key={hydra_value(text)}").value()
    config = OmegaConf.create({"key": None})
    OmegaConf.update(config, "key", value)
    assert OmegaConf.to_container(config, resolve=True) == {"key": text}


@pytest.mark.parametrize(
    "text",
    [
        "hydra: {callbacks: {x: {_target_: pandas.read_pickle}}}",
        "hydra: {launcher: {setup: [touch /tmp/x]}}",
        "hydra: {searchpath: [file:///tmp]}",
        "hydra: {job: {env_set: {PATH: /tmp}}}",
        "hydra: {sweeper: {cells: [{hydra.callbacks.x._target_: [numpy.load]}]}}",
        "hydra: {sweeper: {cells: [{+new: [1]}]}}",
        "hydra: {sweeper: {cells: [{seed: [0], model._target_: [x]}]}}",
        "hydra: {sweeper: {_target_: os.system}}",
        "hydra: {sweeper: {params: {~data: 1}}}",
        "hydra: {sweeper: {cells: [{data.root: ['${oc.env:HOME}']}]}}",
        "sweep: ${oc.env:HOME}",
        "data: {root: '${oc.decode:${oc.env:HOME}}'}",
        "model: {_target_: os.system}",
        "defaults: [/hydra/callbacks: x]",
        "defaults: [override /data: ../../x]",
    ],
)
def test_a_sweep_file_that_does_more_than_set_settings_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        register_sweep(str(path))
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_packaged_sweep_files_would_pass() -> None:
    for path in SWEEPS.glob("*.yaml"):
        check_sweep_file(OmegaConf.to_container(OmegaConf.load(path)), str(path))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["hydra.job.x", "+optim.new", "out", "optim", "data.train_size", "optim.lr[31m"])
def test_a_recipe_sets_a_setting_of_optim_or_model(key: str, tmp_path: Path) -> None:
    path = tmp_path / "lr.yaml"
    entry = {"model": "m", "data": "d", "locality": 1, "image_size": 8, "value": 1, "at": 1}
    path.write_text(json.dumps({"key": key, "entries": [entry]}))
    with pytest.raises(ConfigError, match="not a recipe") as refusal:
        read_recipe(str(path))
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "changes", [{"augment": "flip hydra.x=1"}, {"sizes": ["1]}],x"]}, {"image_size": "8,x=1"}, {"steps": None}]
)
def test_a_pilots_plan_holds_numbers(changes: dict[str, Any]) -> None:
    plan = dict(image_size=16, pair=0, augment="none", steps=10, sizes=[1, 2], seeds=1, seconds=1.0)
    assert from_dict(plan).sizes == (1, 2)
    with pytest.raises((ValueError, TypeError)):
        from_dict(plan | changes)


@pytest.mark.parametrize("word", ["wandb.notes=${oc.env:KEY}", "sweep='x${oc.env:KEY}'", "seed=${oc.decode:'1'}",
                                  "data.root=[${oc.env:KEY}]", "data.name=${${oc.env:KEY}}"])  # fmt: skip
def test_a_word_is_not_looked_up_in_the_environment(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sesame")
    with pytest.raises(ConfigError, match="not looked up") as refusal:
        read_command_line([word])
    assert "sesame" not in str(refusal.value)


def test_nor_is_a_file_of_settings(make_cell: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("KEY", "sesame")
    with pytest.raises(ConfigError, match="not looked up") as refusal:
        make_cell("data.name='${oc.env:KEY}'")
    assert "sesame" not in str(refusal.value)
    assert make_cell("data.permute_seed=${seed}", "seed=3").data.permute_seed == 3


def test_rows_of_a_table_are_held_against_the_same_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As W&B's rows are, which come by the same road."""
    row = _record(RUNS_CODE).to_dict()
    pd.DataFrame([row | {"overrides": shlex.join(row["overrides"])}]).to_csv(tmp_path / "results.csv", index=False)
    assert rerun([f"results={tmp_path / 'results.csv'}"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "hydra.callbacks" in shown.err
