"""A design's decisions: what a run would tell, what is run first, when it ends, and what it recalls."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import kills
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.arguments import InputError
from analysis.benchmark.design import COMPARED, candidates_of, play, power_cost, simulated_space
from analysis.calibrate.truths import SimulatedCell
from analysis.design.belief import Belief, expected_entropy
from analysis.design.designer import DesignQuestion, next_run
from analysis.design.driver import Driver
from analysis.design.gain import after_all, bits_left, chance_of_a_claim, gains_of, narrowing
from analysis.design.history import history_of
from analysis.design.plan_file import Plan
from analysis.design.space import Candidate, Space, Target, first_sizes, opening
from analysis.estimator.audit.of_runs import cells_complete
from analysis.estimator.rows.selection import select
from analysis.figures.design_cost import plot_cost
from scaling.records.design_plan import DESIGN, LARGEST, read_plan
from scaling.study.command import cells_of

SIZES = (500, 1000, 2000, 4000, 8000, 16000)


def candidate(family: str, size: float, seed: int = 0, *, grid: bool = False, question: str = "q") -> Candidate:
    name = f"{question}-{family}-{size:g}-{seed}-{grid}"
    return Candidate(name, question, family, family, float(size), seed, size**0.5, grid=grid)


def space(seeds: int = 2, question: str = "q") -> Space:
    cells = [candidate(f, n, s, question=question) for f in ("vit", "cnn") for n in SIZES for s in range(seeds)]
    grids = [
        candidate(f, n, s, grid=True, question=question) for f in ("vit", "cnn") for n in (500, 8000) for s in (7, 8)
    ]
    return Space((*cells, *grids))


def belief(spread: float = 0.2) -> Belief:
    """A lead that goes from +.4 to -.4 over six sizes, known to `spread`, and a run group beside every size."""
    keys = np.array(SIZES, dtype=float)
    far = np.abs(np.subtract.outer(np.log(keys), np.log(keys)))
    lead = spread**2 * np.exp(-far)
    both = np.block([[lead, lead], [lead, lead]])  # what runs measure is the lead itself
    groups = {("vit", n): 6 + i for i, n in enumerate(keys)}
    mean = np.concatenate([np.linspace(0.4, -0.4, 6)] * 2)
    return Belief(keys, np.full(6, 1 / 6), mean, both, groups, dict.fromkeys(groups, 0.05**2))


def test_the_quickstarts_grid_has_the_cells_that_its_design_chooses_from() -> None:
    grid, own = cells_of(["sweeps=quickstart_grid"]), cells_of(["sweeps=quickstart"])
    assert {c.config_hash for c in grid} == {c.config_hash for c in own}
    assert {c.sweep for c in grid} == {"quickstart_grid"}


def test_what_a_run_would_tell_is_what_drawn_results_tell() -> None:
    """The expected entropy in closed form against results that are drawn and conditioned on one by one."""
    known, group = belief(), ("vit", 2000.0)
    rng, i = np.random.default_rng(1), known.groups[group]
    k = len(known.keys)
    column, noise = known.covariance[:k, i], known.noise[group]
    total = known.covariance[i, i] + noise
    moved = known.mean[:k] + np.outer(rng.standard_normal(40_000) * math.sqrt(total), column / total)
    later = np.diag(known.covariance)[:k] - column**2 / total
    p = np.array(
        [[0.5 * math.erfc(-v / math.sqrt(2 * s)) for v, s in zip(row, later, strict=True)] for row in moved[:4000]]
    )
    p = p.clip(1e-12, 1 - 1e-12)
    drawn = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)).mean(axis=0)
    mean, now = known.lead()
    np.testing.assert_allclose(expected_entropy(mean, now, later), drawn, atol=0.02)
    assert bits_left(known, known.after(known.covariance, group)) < bits_left(known, known.covariance)


def test_several_runs_are_one_run_with_less_noise_and_order_does_not_matter() -> None:
    known = belief()
    a, b = ("vit", 1000.0), ("vit", 8000.0)
    twice = known.after(known.after(known.covariance, a), a)
    np.testing.assert_allclose(twice, known.after(known.covariance, a, 2), atol=1e-12)
    np.testing.assert_allclose(
        known.after(known.after(known.covariance, a), b), known.after(known.after(known.covariance, b), a), atol=1e-12
    )
    # Against the textbook: precision of independent measurements adds.
    i = known.groups[a]
    exact = 1 / (1 / known.covariance[i, i] + 2 / known.noise[a])
    assert twice[i, i] == pytest.approx(exact)


def test_a_run_near_the_crossing_tells_more_than_one_far_from_it() -> None:
    known = belief()
    options = [candidate("vit", n) for n in (500, 2000, 4000, 16000)]
    gains = {c.candidate.size: c.gain for c in gains_of(known, known.covariance, options)}
    assert min(gains[2000], gains[4000]) > max(gains[500], gains[16000]) > 0


def test_more_runs_narrow_the_interval_by_the_root_of_the_variance() -> None:
    known = belief()
    rest = [candidate("vit", 2000, s) for s in range(3)]
    i = known.groups["vit", 2000.0]
    left = 1 / (1 / known.covariance[i, i] + 3 / known.noise["vit", 2000.0])
    assert narrowing(known, after_all(known, rest), 2000.0) == pytest.approx(math.sqrt(known.covariance[i, i] / left))


def test_hopeless_is_told_from_hopeful() -> None:
    level = dataclasses.replace(belief(0.02), mean=np.zeros(12))
    nothing = level.covariance
    assert chance_of_a_claim(dataclasses.replace(belief(0.5), mean=np.zeros(12)), belief(0.5).covariance, 16000) == 0
    assert chance_of_a_claim(level, nothing, 16000) == 1  # within 5% all along: equivalent
    rest = [candidate("vit", n, s) for n in SIZES for s in range(5)]
    wide = belief(0.5)
    assert chance_of_a_claim(wide, after_all(wide, rest), 16000) > 0.9


def test_the_opening_is_every_model_once_at_the_smallest_sizes_and_the_smallest_grid() -> None:
    found = opening(space())
    plain = {(c.family, c.size, c.seed) for c in found if not c.grid}
    assert plain == {(f, n, 0) for f in ("vit", "cnn") for n in SIZES[:4]}
    assert {(c.family, c.size) for c in found if c.grid} == {("vit", 500), ("cnn", 500)}
    assert [c.seconds for c in found] == sorted(c.seconds for c in found)
    close = [candidate("vit", n) for n in (100, 110, 120, 200, 300, 500, 800)]
    assert first_sizes(close) == [100, 200, 300, 500]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([candidate("vit", n) for n in SIZES], "no cnn"),
        ([candidate(f, n) for f in ("vit", "cnn") for n in SIZES[:4]], "at least 5 sizes"),
        ([candidate("vit", 500), candidate("vit", 500)], "one name"),
    ],
)
def test_a_space_that_cannot_be_designed_for_is_refused(cells: list[Candidate], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Space(tuple(cells))


@pytest.mark.parametrize("values", [{"width": 0.0}, {"p": 0.4, "at": 10}, {"p": 0.9}, {"cost": -1}])
def test_a_target_that_cannot_be_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="stop"):
        Target(**values)


def test_rates_tuned_far_below_are_tuned_again() -> None:
    question = DesignQuestion("q", space().candidates, Target(), COMPARED)
    ended = {c.name for c in opening(space())}
    near, far = candidate("vit", 8000, 1), candidate("vit", 16000)
    assert question.due(ended, (), near) == [near]  # 16 times the size with rates
    along = question.due(ended, (), far)
    assert along[0] == far
    assert {(c.family, c.size, c.grid) for c in along[1:]} == {("vit", 8000, True)}


INSIDE = SimulatedCell("power_floor", "inside", 0.05, "8x3")


def test_a_design_claims_what_the_grid_claims_for_a_part_of_its_cost() -> None:
    rows = simulated_space(dataclasses.replace(INSIDE, design="8x5"), seed=3, draw=0)
    first, again = (play(rows, power_cost, batch=6) for _ in range(2))
    assert first.design.verdict.verdict == first.grid.verdict.verdict == "observed"
    assert first.cost < 0.35
    assert (first.runs, first.cost, first.design.verdict) == (again.runs, again.cost, again.design.verdict)
    assert first.end == "settled"


def test_what_is_said_beyond_the_data_rests_on_runs_at_the_largest_size() -> None:
    rows = simulated_space(SimulatedCell("parallel", "never", 0.02, "8x3"), seed=0, draw=0)
    played = play(rows, power_cost, batch=8)
    used = played.design.selection.fitted
    if played.design.verdict.verdict == "cnn_ahead":
        assert set(used[used["train_size"] == used["train_size"].max()]["family"]) == {"vit", "cnn"}
        assert used["train_size"].max() == rows["train_size"].max()
    assert played.cost <= 1


def test_while_a_claim_is_being_confirmed_nothing_else_is_started() -> None:
    rows = simulated_space(SimulatedCell("parallel", "never", 0.02, "8x3"), seed=0, draw=0)
    question = DesignQuestion("q", Space(candidates_of(rows, power_cost)).candidates, Target(), COMPARED)
    known = rows[rows["train_size"] < 64000]
    _, crossover = question.look(known)
    assert crossover is not None
    verdict = dataclasses.replace(crossover.verdict, verdict="cnn_ahead")
    crossover = dataclasses.replace(crossover, verdict=verdict)
    ended, running = set(known["name"]), []
    for _ in range(2):
        choice = next_run(question, crossover, ended, running)
        assert choice is not None
        running.append(choice.candidate)
    assert {(c.family, c.size) for c in running} == {("vit", 64000.0), ("cnn", 64000.0)}
    assert next_run(question, crossover, ended, running) is None


def test_the_horizon_is_the_spaces() -> None:
    rows = simulated_space(INSIDE, seed=0, draw=0)
    question = DesignQuestion("q", Space(candidates_of(rows, power_cost)).candidates, Target(), COMPARED)
    _, crossover = question.look(rows[rows["train_size"] <= 8000])
    assert crossover is not None
    assert crossover.verdict.fit_range is not None
    assert crossover.verdict.fit_range[1] == rows["train_size"].max()


def drive(folder: Path, rows: pd.DataFrame, *, stop_after: int | None = None, said: list[str] | None = None) -> Driver:
    """One worker that uncovers rows; `stop_after` so many runs it is killed with a run under way."""
    plan = Plan(folder)
    plan.refresh()
    driver = Driver(
        plan.fixed(candidates_of(rows, power_cost)), Target(), plan, (said if said is not None else []).append
    )
    ended_file = folder / "ended"
    ended = ended_file.read_text().split() if ended_file.exists() else []
    count = 0
    while names := driver.more(rows[rows["name"].isin(ended)].reset_index(drop=True), (), 1, 0.0):
        for name in names:
            if stop_after is not None and count >= stop_after:
                return driver
            ended.append(name)
            ended_file.write_text(" ".join(ended))
            count += 1
    return driver


def test_a_design_that_is_killed_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    rows = simulated_space(dataclasses.replace(INSIDE, noise=0.02), seed=1, draw=0)
    rows = rows[(rows["train_size"] <= 16000) & (rows["seed"] < 2)].reset_index(drop=True)
    (whole := tmp_path / "whole").mkdir()
    (parts := tmp_path / "parts").mkdir()
    undisturbed = drive(whole, rows)
    for stop in (3, 8, 1):
        drive(parts, rows, stop_after=stop)
        with (parts / "plan.jsonl").open("a") as file:
            file.write('{"choose": ["cut')  # killed while it wrote
    resumed = drive(parts, rows)
    assert resumed.plan.chosen == undisturbed.plan.chosen
    assert {q: e.reason for q, e in resumed.ends.items()} == {q: e.reason for q, e in undisturbed.ends.items()}
    lines = [[e for e in read_plan(f / "plan.jsonl") if "choose" in e] for f in (whole, parts)]
    assert lines[0] == lines[1]


def test_the_plan_holds_costs_reasons_and_the_end(tmp_path: Path) -> None:
    rows = simulated_space(INSIDE, seed=3, draw=0)
    said: list[str] = []
    drive(tmp_path, rows[rows["train_size"] <= 32000].reset_index(drop=True), said=said)
    plan = read_plan(tmp_path / "plan.jsonl")
    assert plan[0]["cells"]["vit-500-0"] == {"question": "replay", "size": 500.0, "seconds": pytest.approx(1.118)}
    chosen = [e for e in plan if "gain" in e]
    assert all(e["gain"] >= 0 and e["seconds"] > 0 and e["line"] in said for e in chosen)
    assert plan[-1]["end"] in ("settled", "hopeless", "exhausted")
    assert plan[-1]["line"] in said[-1]


def test_a_budget_ends_the_design(tmp_path: Path) -> None:
    rows = simulated_space(INSIDE, seed=3, draw=0)
    plan = Plan(tmp_path)
    driver = Driver(plan.fixed(candidates_of(rows, power_cost)), Target(cost=10.0), plan, lambda line: None)
    first = driver.more(rows[:0], (), 99, 0.0)
    assert driver.more(rows[rows["name"].isin(first)].reset_index(drop=True), (), 1, elapsed=9.99) == []
    assert {e.reason for e in driver.ends.values()} == {"cost"}


def test_a_damaged_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.jsonl").write_text('nonsense\n{"plan": 1}\n')
    with pytest.raises(InputError, match="line 1"):
        Plan(tmp_path).refresh()


def test_the_audit_lets_a_design_be_unequal_and_still_finds_what_crashed() -> None:
    rows = simulated_space(INSIDE, seed=0, draw=0).assign(config_hash=lambda t: t["name"])
    some = rows[(rows["seed"] == 0) | (rows["model"] == "cnn")].reset_index(drop=True)
    assert cells_complete(select(some), "train_size").status == "failed"
    designed = some.assign(**{DESIGN: "adaptive", LARGEST: 64000.0})
    assert cells_complete(select(designed), "train_size").status == "passed"
    designed.loc[0, "status"] = "failed"
    found = cells_complete(select(designed), "train_size")
    assert found.status == "failed"
    assert "(failed)" in found.message


def test_a_sweep_runs_adaptively_and_says_so(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words = ["design=adaptive", "model=resnet8_w8,vit_w64d2", "data.train_size=20,40,60,80,120,160",
             "data.image_size=8", "data.permute_patch=4", "data.test_size=50", "budget.steps=2", "budget.exponent=0",
             "device=cpu", "wandb=disabled", "workers=1", "sweep=small", f"out={tmp_path}"]  # fmt: skip
    done = command("scaling.train", "-m", *words)
    assert done.returncode == 0, done.stderr
    assert "design: opening: every model once at the smallest sizes, 8 runs" in done.stderr
    plan = [json.loads(line) for line in (tmp_path / "small/plan.jsonl").read_text().splitlines()]
    assert "end" in plan[-1]
    again = command("scaling.train", "-m", *words)
    assert again.returncode == 0
    assert [json.loads(line) for line in (tmp_path / "small/plan.jsonl").open()] == plan


def test_a_report_says_what_the_design_knew_at_which_cost(tmp_path: Path) -> None:
    rows = simulated_space(INSIDE, seed=3, draw=0)
    rows = rows[rows["train_size"] <= 32000].reset_index(drop=True)
    drive(tmp_path, rows)
    plan = read_plan(tmp_path / "plan.jsonl")
    records = [str(tmp_path / name / "record.json") for name in rows["name"]]
    history = history_of(rows.assign(**{DESIGN: "adaptive", "provenance": records}))
    assert history is not None
    decisions = [e for e in plan if "bits" in e]
    assert [s.bits for s in history.steps] == [e["bits"] for e in decisions]
    whole = sum(c["seconds"] for c in plan[0]["cells"].values())
    assert history.steps[-1].share == pytest.approx(decisions[-1]["spent"] / whole)
    assert (history.cells, history.reason) == (len(rows), plan[-1]["end"])
    assert f"{history.runs} of {len(rows)} cells" in history.sentence
    assert plan[-1]["line"] in history.sentence
    ax = plot_cost(Figure().subplots(), history)
    closed = [s for s in history.steps if s.width is not None]
    assert len(ax.lines[0].get_xdata()) == len(closed) > 0
    assert list(ax.lines[0].get_ydata()) == [pytest.approx(10**s.width) for s in closed]
    assert history_of(rows) is None  # a grid's
    assert history_of(rows.assign(**{DESIGN: "adaptive", "provenance": "results.csv"})) is None  # no plan beside it


KILLED = """-m design=adaptive model=resnet8_w8,vit_w64d2 data.train_size=20,40,60,80,120,160 seed=0,1 data.image_size=8
data.permute_patch=4 data.test_size=200 budget.steps=120 budget.exponent=0 optim.batch_size=16 device=cpu
checkpoint_seconds=0.3 wandb=disabled sweep=killed""".split()


def decisions_in(folder: Path) -> list[dict]:  # type: ignore[type-arg]
    return [e for e in read_plan(folder / "killed/plan.jsonl") if "choose" in e or "end" in e]


@pytest.mark.slow
def test_twenty_kills_leave_the_design_and_the_records_of_one_that_nobody_touched(tmp_path: Path) -> None:
    words = [*KILLED, "workers=1"]
    began = time.monotonic()
    assert kills.start(tmp_path / "whole", words).wait() == 0
    length = time.monotonic() - began
    undisturbed, expected = decisions_in(tmp_path / "whole"), kills.results(tmp_path / "whole")
    assert len([e for e in undisturbed if "bits" in e]) > 1  # there was something to decide
    rng, done, sweeps = random.Random(0), 0, 0
    while done < 20:
        folder = tmp_path / f"killed{sweeps}"
        status: int | None = None
        while status != 0:
            process = kills.start(folder, words)
            try:
                status = process.wait(rng.uniform(0.1, 0.6) * length if done < 20 else None)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                done += 1
        assert decisions_in(folder) == undisturbed
        assert kills.results(folder) == expected
        sweeps += 1


@pytest.mark.slow
def test_two_commands_share_the_plan_and_the_runs(tmp_path: Path) -> None:
    both = [kills.start(tmp_path / "both", [*KILLED, "workers=1"]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    plan = decisions_in(tmp_path / "both")
    chosen = [name for e in plan for name in e.get("choose", ())]
    assert len(chosen) == len(set(chosen))
    assert sorted(chosen) == sorted(kills.results(tmp_path / "both"))
    assert len([e for e in plan if "end" in e]) == 1
