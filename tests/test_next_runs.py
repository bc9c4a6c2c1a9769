"""Runs proposed where no family can be named: they fix what failed, they settle what is close, and they can be run."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import as_table, make_record, make_sweep

from analysis import rerun
from analysis.advise.advice import advise
from analysis.advise.next_runs import chance_to_settle, next_runs
from analysis.advise.train_commands import Cells, command, results_out
from analysis.arguments import InputError, TableArguments
from analysis.estimator.crossover.find_crossover import find_crossover
from analysis.estimator.rows.selection import overrides_of
from analysis.estimator.rows.table import read_results, write_csv


def _close_curves(gap: float, seed: int = 0) -> list[dict[str, Any]]:
    """Two power laws apart by `gap` in log error, with 3% of noise on two seeds."""
    rng = np.random.default_rng(seed)
    rows = []
    for family, shift in (("vit", 0.0), ("cnn", gap)):
        for n in (128, 256, 512, 1024, 2048, 4096):
            for s in (0, 1):
                error = 2 * n**-0.35 * np.exp(shift + 0.03 * rng.standard_normal())
                rows.append(
                    dict(family=family, model=family, train_size=n, seed=s, test_error=error, train_seconds=n / 64)
                )
    return rows


def test_chance_to_settle_grows_with_runs_and_with_the_gap() -> None:
    close = advise(find_crossover(_close_curves(-0.01)), 4096)
    chances = [chance_to_settle(close, 4096, seeds) for seeds in (1, 4, 64, 1024)]
    assert chances == sorted(chances)
    assert chances[-1] > 0.95  # so many runs at that very size leave no doubt which curve is lower
    wide = advise(find_crossover(_close_curves(0.3)), 4096)
    assert chance_to_settle(wide, 4096, 1) > 0.95


def test_the_cheapest_runs_with_a_chance_are_proposed() -> None:
    advice = advise(find_crossover(_close_curves(-0.01)), 4096)
    assert advice.family is None
    plan = next_runs(advice)
    assert plan is not None
    assert plan.chance is not None
    assert plan.chance >= 0.5
    assert {c.model for c in plan.cells} == {"vit", "cnn"}
    assert all(min(c.seeds) == 2 for c in plan.cells)  # 0 and 1 are there
    assert plan.seconds == pytest.approx(sum(c.count * c.sizes[0] / 64 for c in plan.cells), rel=1e-6)
    assert plan.commands == ()  # rows without overrides cannot be run again
    assert next_runs(advise(find_crossover(_close_curves(0.3)), 4096)) is None


def test_no_runs_on_more_images_than_there_are() -> None:
    advice = advise(find_crossover(_close_curves(-0.01)), 20 * 4096)
    free = next_runs(advice)
    assert free is not None
    assert max(n for c in free.cells for n in c.sizes) > 4096
    bound = next_runs(advice, available=4096)
    assert bound is None or max(n for c in bound.cells for n in c.sizes) <= 4096
    table = as_table(make_sweep())
    few = table[~table["train_size"].isin((256, 1024))]
    fixed = next_runs(advise(find_crossover(few), 4096), available=600)
    assert fixed is not None
    assert all(n <= 600 for c in fixed.cells for n in c.sizes)


def test_runs_that_are_proposed_and_made_are_not_held_back_by_the_audit() -> None:
    rows = _close_curves(-0.01)
    plan = next_runs(advise(find_crossover(rows), 4096))
    assert plan is not None
    made = [
        dict(family=c.model, model=c.model, train_size=n, seed=seed, test_error=2 * n**-0.35, train_seconds=n / 64)
        for c in plan.cells
        for n in c.sizes
        for seed in c.seeds
    ]
    assert find_crossover(rows + made).failed_checks == ()
    half = rows + [r for r in made if r["model"] == "vit"]
    lopsided = find_crossover([r | {"config_hash": str(i)} for i, r in enumerate(half)])
    assert [c.code for c in lopsided.failed_checks] == ["cells_complete"]
    foreign = find_crossover(half)  # of which nobody knows what was planned
    assert {c.code: c.status for c in foreign.checks}["cells_complete"] == "unknown"


def test_failed_checks_get_the_runs_that_fix_them() -> None:
    table = as_table(make_sweep())
    edge = table[(table["family"] == "vit") | (table["lr"] <= 1e-2)]
    plan = next_runs(advise(find_crossover(edge), 4096))
    assert plan is not None
    assert {(c.model, c.sizes) for c in plan.cells} == {("resnet8", (512, 4096))}
    assert min(r for c in plan.cells for r in c.rates) > 1e-2
    few = table[table["train_size"] != 256]
    few = few[few["train_size"] != 1024]
    plan = next_runs(advise(find_crossover(few), 4096))
    assert plan is not None
    assert {c.model for c in plan.cells} == {"resnet8", "vit_small"}
    assert all(c.seeds == (0, 1) and 128 < c.sizes[0] < 4096 for c in plan.cells)
    one = table[(table["lr"] == 4e-3) | (table["family"] == "cnn")]
    plan = next_runs(advise(find_crossover(one), 4096))
    assert plan is not None
    [grid] = plan.cells
    assert (grid.model, len(grid.rates), grid.seeds) == ("vit_small", 4, (0,))
    lost = table[~((table["model"] == "resnet8") & (table["train_size"] == 2048) & (table["seed"] == 1))]
    plan = next_runs(advise(find_crossover(lost), 4096))
    assert plan is not None
    assert plan.cells == (Cells("resnet8", (2048,), (1,)),)


def test_commands_compose_to_the_cells_they_promise(
    make_cell: Callable[..., Any], image_folder: Callable[..., Path]
) -> None:
    root = image_folder({"train": {"a": 40, "b": 40}, "test": {"a": 5, "b": 5}}, "it's, my=images [1]")
    quoted = "'" + str(root).replace("'", "\\'") + "'"
    overrides = ("data=folder", "model=resnet8", f"data.root={quoted}", "data.train_size=16", "optim.lr=0.02", "seed=1")
    first = make_cell(*overrides)
    overrides += ("data.subset_seed=1", "sweep=mine")  # as in a record: what the seed brings along is resolved
    row = make_record(overrides=overrides, seed=1, subset_seed=1).to_dict()
    words = shlex.split(command(row, Cells("resnet8", (16,), (1,))) or "")
    assert words[:3] == ["python", "-m", "scaling.train"]
    assert make_cell(*words[3:]).config_hash == first.config_hash
    words = shlex.split(command(row, Cells("resnet8", (32,), (5,), (0.5,)), out="/a b/runs") or "")
    cell = make_cell(*words[3:])
    assert (cell.data.train_size, cell.seed, cell.data.subset_seed, cell.optim.lr) == (32, 5, 5, 0.5)
    assert (cell.out, cell.sweep, cell.data.root) == ("/a b/runs", "mine", str(root))
    assert " -m data" in (command(row, Cells("resnet8", (32, 64), (5,))) or "")


def test_a_row_is_run_again_from_the_command_line(
    make_cell: Callable[..., Any],
    image_folder: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = image_folder({"train": {"a": 40, "b": 40}, "test": {"a": 5, "b": 5}}, "it's, my=images [1]")
    overrides = ("data=folder", "model=resnet8", "data.root=elsewhere", "data.train_size=16", "optim.lr=0.02")
    rows = [make_record(name=f"cell-n{n}", overrides=(*overrides, f"seed={n}"), seed=n).to_dict() for n in (1, 2)]
    write_csv(pd.DataFrame([r | {"overrides": shlex.join(r["overrides"])} for r in rows]), tmp_path / "results.csv")
    asked = [f"results={tmp_path / 'results.csv'}", "name=cell-n2", f"data.root={root}", "out=/a b/again"]
    assert rerun.main(asked) == 0
    [line] = capsys.readouterr().out.splitlines()
    cell = make_cell(*shlex.split(line)[3:])
    assert (cell.seed, cell.optim.lr, cell.data.root, cell.out) == (2, 0.02, str(root), "/a b/again")
    for word in ("true", "False", "null", "NaN", "inf", "a,b", "it's", "x=y", "$HOME"):  # names of folders, not values
        assert rerun.main([*asked[:3], f"out={word}"]) == 0
        assert make_cell(*shlex.split(capsys.readouterr().out)[3:]).out == word
    assert rerun.main([*asked[:1], "name=other"]) == 2
    assert "no row whose name contains 'other'" in capsys.readouterr().err


def test_rows_of_several_sources_are_run_again_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What no curve may mix may well be in one table."""
    rows = []
    for size in (500, 4000):
        words = f"model=vit_w48d3 adapt=full init_from=runs/source pretrain_size={size} optim.lr=0.02"
        row = make_record(name=f"cell-source{size}", init_from=f"runs/source/vit-n{size}", pretrain_size=size)
        rows.append(row.to_dict() | {"overrides": words, "adapt": "full", "start_fingerprint": f"{size}"})
    write_csv(pd.DataFrame(rows), tmp_path / "results.csv")
    assert rerun.main([f"results={tmp_path / 'results.csv'}", "name=cell-source4000"]) == 0
    assert "pretrain_size=4000" in capsys.readouterr().out
    with pytest.raises(InputError, match="starts from weights of 2 pre-training sizes"):
        read_results(TableArguments(results=(tmp_path / "results.csv",)))


def test_rows_that_cannot_be_run_again() -> None:
    assert overrides_of({"overrides": float("nan")}) is None
    assert overrides_of({}) is None
    assert overrides_of({"overrides": "model=a 'data.root=/x y'"}) == ["model=a", "data.root=/x y"]
    assert command({}, Cells("a", (1,), (0,))) is None


def test_new_runs_go_beside_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert results_out((Path("runs/mine"),), "mine") is None
    assert results_out((Path("elsewhere/mine"),), "mine") == "elsewhere"
    assert results_out((Path("elsewhere"),), "mine") == "elsewhere"
    assert results_out((Path("table.csv"),), "mine") is None
