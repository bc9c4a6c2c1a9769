"""The calibration: truths cross where they say, the count is right, and an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from analysis.arguments import run_command, with_defaults
from analysis.calibrate.command import CALIBRATION, USAGE, judge_sweep, make_cells, run
from analysis.calibrate.table import binomial_interval, covers, summarise_cells
from analysis.calibrate.truths import (
    NEVER,
    PLACES,
    TRUTHS,
    SimulatedCell,
    count_wrong,
    draw_test_set,
    for_model,
    parse_cell,
    simulate,
    true_curves,
)
from analysis.estimator.crossover.find_crossover import find_crossover

GRID = np.geomspace(500, 6.4e6, 4000)


@pytest.mark.parametrize("truth", TRUTHS)
def test_truths_cross_once_where_they_say_or_never(truth: str) -> None:
    for place in ("never",) if truth in NEVER else PLACES:
        vit, cnn = true_curves(truth, place)
        ahead = vit(GRID) > cnn(GRID)
        crossings = np.flatnonzero(ahead[1:] != ahead[:-1])
        assert ahead[0] == (truth != "level")  # the CNN is ahead at the smallest size
        if truth in NEVER:
            assert not len(crossings)
        else:
            assert GRID[crossings] == pytest.approx([PLACES[place]], rel=0.01)
        assert ((vit(GRID) > 0) & (vit(GRID) < 1) & (cnn(GRID) > 0) & (cnn(GRID) < 1)).all()


def test_simulated_errors_scatter_as_asked() -> None:
    """Spread between seeds plus binomial noise; a sweep is the same whenever it is drawn."""
    cell = SimulatedCell("power_floor", "inside", 0.05, "8x3")
    assert parse_cell(cell.name) == cell
    tables = [simulate(cell, seed=3, draw=d) for d in range(60)]
    assert tables[7].equals(simulate(cell, seed=3, draw=7))
    assert not tables[7].equals(simulate(cell, seed=4, draw=7))
    vit, _ = true_curves("power_floor", "inside")
    rows = [t[(t.family == "vit") & (t.train_size == 64_000)].test_error for t in tables]
    y = float(vit(np.array([64_000.0]))[0])
    expected = np.sqrt(0.05**2 + (1 - y) / (10_000 * y))
    assert np.log(np.concatenate(rows)).std() == pytest.approx(expected, rel=0.15)


def test_runs_of_a_sweep_are_tested_on_the_same_images() -> None:
    """Right and wrong of two runs at an error of a half are correlated by 2 / pi arcsin(share): of .50 between two
    models, of .57 within one. So are the errors that the drawing of the test images gives them."""
    rng, half = np.random.default_rng(0), np.array([0.5, 0.5])
    sets = (draw_test_set(10_000, rng) for _ in range(2_000))
    errors = np.array([[count_wrong(half, for_model(s, rng), rng) for _ in range(2)] for s in sets]) / 10_000
    correlation = np.corrcoef(errors.reshape(-1, 4).T)
    assert correlation[0, 1] == pytest.approx(2 / np.pi * np.arcsin(0.57), abs=0.05)
    assert correlation[:2, 2:].mean() == pytest.approx(1 / 3, abs=0.04)
    assert errors.std(axis=0) == pytest.approx(np.full((2, 2), 0.005), rel=0.05)  # sqrt(.25 / 10,000), shared or not


@pytest.mark.parametrize(("k", "n"), [(0, 8), (350, 400), (8, 8)])
def test_binomial_intervals_are_clopper_and_pearsons(k: int, n: int) -> None:
    want = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert binomial_interval(k, n) == pytest.approx((want.low, want.high))


def test_open_ends_cover_and_missing_intervals_do_not() -> None:
    assert covers([5_000.0, None], 8_000)
    assert covers([None, 9_000.0], 8_000)
    assert not covers([9_000.0, None], 8_000)
    assert not covers(None, 8_000)
    cell = SimulatedCell("power_floor", "inside", 0.02, "8x3")
    base = {"verdict": "observed", "direction": "vit_overtakes", "size": 8_800.0}
    rows = [base | {"interval": i} for i in ([4e3, 16e3], [4e3, None], None, [9e3, 16e3])]
    got = summarise_cells(cell, rows)
    assert (got["covered"], got["missing"], got["open_above"], got["found"]) == (2, 1, 1, 4)
    assert got["bias"] == pytest.approx(np.log10(1.1))


def test_it_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.jsonl"
    options = CALIBRATION | {"truths": ("parallel",), "noise": ("0.02",), "draws": 2, "workers": 1, "out": str(path)}
    assert run(options) == 0
    assert "| parallel | 0.02 | 2 |" in capsys.readouterr().out
    lines = path.read_text().split()
    path.write_text(path.read_text() + '{"cell": "par')  # killed while it wrote
    assert run(options | {"draws": 3}) == 0
    assert "| parallel | 0.02 | 3 |" in capsys.readouterr().out
    rows = [r for r in path.read_text().splitlines() if r.startswith("{") and r.endswith("}")]
    assert len(rows) == 3
    assert len(lines) < len(path.read_text().split())
    assert json.loads(rows[0])["draw"] == 0


def test_a_small_calibration() -> None:
    """12 sweeps a cell. P(binomial(12, .9) < 8) = .004, P(binomial(12, .05) > 2) = .02."""
    inside = SimulatedCell("saturating_blind", "inside", 0.05, "8x3")
    rows = judge_sweep([(inside, 0, d) for d in range(12)])
    assert sum(covers(r["interval"], 8_000) for r in rows) >= 8
    never = judge_sweep(
        [(SimulatedCell(truth, "never", 0.05, "8x3"), 0, d) for d in range(6) for truth in ("approach", "parallel")]
    )
    assert sum(r["verdict"] in ("observed", "extrapolated", "multiple") for r in never) <= 2


def test_sweeps_judged_together_are_as_find_crossover_says_of_each() -> None:
    cells = [SimulatedCell("power_floor", "inside", 0.05, "8x3"), SimulatedCell("saturating", "4x", 0.02, "8x3")]
    tasks = [(cell, 1, draw) for draw in range(2) for cell in cells]
    for (cell, seed, draw), row in zip(tasks, judge_sweep(tasks), strict=True):
        one = find_crossover(simulate(cell, seed=seed, draw=draw), audit=False, seed=seed).verdict
        assert (row["cell"], row["seed"], row["draw"]) == (cell.name, seed, draw)
        assert (row["verdict"], row["size"], row["interval"]) == (one.verdict, one.crossover_size, one.interval)
        assert row["p_crossing"] == one.p_crossing


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("truths=linear", "truths=linear: known are power"),
        ("noise=loud", "not a number"),
        ("draws=many", "not a whole number"),
        ("sweeps=3", "unknown key sweeps; known are truths"),
        ("noise=3", "between 0 and 1"),
    ],
)
def test_bad_input_is_one_line(argument: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run_command(USAGE, tuple(CALIBRATION), with_defaults(CALIBRATION, lambda o: len(make_cells(o))), [argument])
        == 2
    )
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
