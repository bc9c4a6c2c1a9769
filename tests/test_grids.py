"""A sweep file's grids: products, zips, exclusions and the command line's word, against cells written out by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaling.compose.grids import Grid, GridError, expand, narrow, read_block


def read(key: str, value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def cells(*blocks: dict[str, Any], **asked: list[str]) -> list[str]:
    grids = [grid for block in blocks for grid in read_block(block, read)]
    return [" ".join(job) for job in expand(narrow(grids, asked))]


def test_each_grid_is_crossed_and_repeats_are_dropped() -> None:
    found = cells({"model": ["a", "b"], "seed": [0, 1]}, {"model": "a", "seed": [1]})
    assert found == ["model=a seed=0", "model=a seed=1", "model=b seed=0", "model=b seed=1"]


def test_zipped_values_go_together() -> None:
    found = cells({"n": [1, 2], "zip": {"size": [16, 32], "patch": [4, 8]}})
    assert found == ["n=1 size=16 patch=4", "n=2 size=16 patch=4", "n=1 size=32 patch=8", "n=2 size=32 patch=8"]


def test_a_list_in_a_zip_is_crossed_so_that_every_model_has_a_grid_of_its_own() -> None:
    found = cells({"zip": {"model": ["a", "b"], "lr": [[0.1, 0.2, 0.4], [1, 2]]}})
    assert found == ["model=a lr=0.1", "model=a lr=0.2", "model=a lr=0.4", "model=b lr=1", "model=b lr=2"]


def test_two_zips_of_one_grid_are_crossed_with_each_other() -> None:
    found = cells({"zip": [{"a": [1, 2], "b": [3, 4]}, {"c": [5, 6]}]})
    assert found == ["a=1 b=3 c=5", "a=1 b=3 c=6", "a=2 b=4 c=5", "a=2 b=4 c=6"]


def test_an_exclusion_takes_the_cells_that_have_all_of_it() -> None:
    block = {"model": ["a", "b"], "n": [1, 2, 3], "exclude": [{"model": "b", "n": [1, 3]}, {"n": 2}]}
    assert cells(block) == ["model=a n=1", "model=a n=3"]


def test_an_exclusion_holds_when_the_command_line_narrows() -> None:
    block = {"model": ["a", "b"], "n": [1, 2], "exclude": {"model": "b", "n": 1}}
    assert cells(block, n=["1"]) == ["model=a n=1"]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"zip": {"a": [1, 2], "b": [1]}}, "a has 2, b has 1"),
        ({"zip": {"a": [1, 2], "b": 3}}, "b has no list"),
        ({"a": [1], "zip": {"a": [1]}}, "a: named twice"),
        ({"a": [1, 2], "exclude": {"a": 3}}, "matches no cell"),
        ({"a": [1, 2], "exclude": {"b": 1}}, "matches no cell"),
        ({"a": []}, "empty list"),
        ({"a": [1], "exclude": [1]}, "exclude: must be a mapping"),
        ([1], "must map keys to values"),
    ],
)
def test_a_file_that_cannot_be_expanded_says_why(block: Any, message: str) -> None:
    with pytest.raises(GridError, match=message):
        read_block(block, read)


GRIDS = [Grid({"model": ["a", "b"], "n": ["1", "2"]}), Grid({"model": ["a"], "n": ["2"], "lr": [".1", ".2"]})]


def test_values_of_the_grids_select_cells() -> None:
    assert expand(narrow(GRIDS, {"model": ["b"]})) == [["model=b", "n=1"], ["model=b", "n=2"]]
    assert len(expand(narrow(GRIDS, {"n": ["2"]}))) == 4


def test_new_values_replace_a_key_in_every_grid() -> None:
    jobs = expand(narrow(GRIDS, {"n": ["8"]}))
    assert len(jobs) == 4
    assert all("n=8" in job for job in jobs)


def test_a_new_key_is_added_to_every_cell() -> None:
    assert all("wandb.mode=disabled" in job for job in expand(narrow(GRIDS, {"wandb.mode": ["disabled"]})))


SWEEP = """# @package _global_
sweep: mine
hydra:
  mode: MULTIRUN
  sweeper:
"""


@pytest.fixture
def sweep_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """The cells of a sweep file that lies in a folder of its own."""
    from scaling.study import command

    def make(sweeper: str, *words: str) -> list[Any]:
        (tmp_path / "sweeps").mkdir()
        (tmp_path / "sweeps" / "mine.yaml").write_text(SWEEP + sweeper)
        monkeypatch.chdir(tmp_path)
        return command.cells_of(["sweeps=mine", *words])

    return make


def test_a_sweep_file_with_a_zip_composes_to_cells(sweep_cells: Callable[..., list[Any]]) -> None:
    found = sweep_cells("""
    cells:
      - data.train_size: [64, 128]
        exclude: {model: resnet8, data.train_size: 128}
        zip: {model: [resnet8, vit_w48d3], optim.lr: [[0.03, 3e-1], 1e-3]}
""")
    assert [(c.model.name, c.data.train_size, c.optim.lr) for c in found] == [
        ("resnet8", 64, 0.03), ("resnet8", 64, 0.3), ("vit_w48d3", 64, 0.001), ("vit_w48d3", 128, 0.001),
    ]  # fmt: skip


def test_params_as_hydra_writes_them_are_one_grid(sweep_cells: Callable[..., list[Any]]) -> None:
    found = sweep_cells("    params: {model: 'resnet8,vit_w48d3', seed: '0,1'}\n")
    assert [(c.model.name, c.seed) for c in found] == [
        ("resnet8", 0), ("resnet8", 1), ("vit_w48d3", 0), ("vit_w48d3", 1),
    ]  # fmt: skip


def test_a_yaml_list_in_params_is_refused_with_the_way_to_write_it(sweep_cells: Callable[..., list[Any]]) -> None:
    with pytest.raises(Exception, match=r"write the text data\.train_size: 64,128 there, or a list under"):
        sweep_cells("    params: {data.train_size: [64, 128]}\n")


def test_an_argument_that_no_cell_has_is_refused(sweep_cells: Callable[..., list[Any]]) -> None:
    with pytest.raises(Exception, match="no cell of the sweep"):
        sweep_cells(
            "    cells: [{model: [resnet8], seed: [0]}, {model: [vit_w48d3], seed: [1]}]\n", "model=resnet8", "seed=1"
        )
