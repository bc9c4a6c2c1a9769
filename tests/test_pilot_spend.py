"""What the pilot does with the time that its planned seeds leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import make_record

from analysis.arguments import TableArguments
from analysis.estimator.crossover.questions import find_crossovers
from analysis.pilot.plan import MAX_SEEDS, PAIRS, Design, MachineRates
from analysis.pilot.spend import Wanted, choose_runs, double_time, note_design
from analysis.pilot.sweep import records
from scaling.records.record import Record, write_record

SIZES = (100, 200, 400, 800, 1600)
DESIGN = Design(16, PAIRS[0], "none", 600, SIZES, 1, 60.0)
RATES = MachineRates({m: {16: 2000.0} for m in DESIGN.models}, dict.fromkeys(DESIGN.models, 0.01), 2, 3.0, 0.0)
Done = dict[Wanted, Record]


def made(folder: Path, wanted: list[Wanted]) -> Done:
    """Records of curves that cross near 800 images, three rates at the largest size."""
    done: Done = {}
    for model, n, seed in wanted:
        family = "vit" if model.startswith("vit") else "cnn"
        error = 0.2 * (n / 800) ** (-0.5 if family == "vit" else -0.3)
        for lr in (0.01,) if n < 1600 or seed else (0.01, 0.0025, 0.04):
            noise = np.exp(0.04 * np.random.default_rng([n, seed, len(model)]).standard_normal())
            name = f"{model}-{n}-{seed}-{lr:g}"
            worse = 1.0 if lr == 0.01 else 1.5
            record = make_record(
                name=name, config_hash=name, sweep="p", family=family, model=model, train_size=n, seed=seed,
                subset_seed=seed, lr=lr, val_error=round(error * worse, 4), val_examples=400, test_examples=2000,
                test_error=round(float(error * noise) * worse, 4), train_error=0.0, available_images=9000,
            )  # fmt: skip
            write_record(record, folder / name)
            if lr == 0.01:
                done[model, n, seed] = record
    return done


@pytest.fixture
def first_seed(tmp_path: Path) -> Done:
    return made(tmp_path, [(m, n, 0) for m in DESIGN.models for n in SIZES])


def test_what_is_left_goes_where_it_tells_most(first_seed: Done, tmp_path: Path) -> None:
    picked = choose_runs(tmp_path, DESIGN, RATES, first_seed, seconds=300.0, images=2000)
    assert picked == choose_runs(tmp_path, DESIGN, RATES, first_seed, seconds=300.0, images=2000)
    assert picked
    assert not set(picked) & set(first_seed)
    assert len(set(picked)) == len(picked)
    assert choose_runs(tmp_path, DESIGN, RATES, first_seed, seconds=1.0, images=2000) == []  # nothing fits


def test_unequal_seeds_of_the_pilots_choice_do_not_hold_its_verdict_back(first_seed: Done, tmp_path: Path) -> None:
    made(tmp_path, [("vit_w64d2", 800, 1)])

    def status() -> str:
        [crossover] = find_crossovers(TableArguments(results=(tmp_path,)))
        return {c.code: c.status for c in crossover.checks}["cells_complete"]

    assert status() == "failed"
    note_design(tmp_path, records(tmp_path))
    assert status() == "passed"


def test_double_the_time_is_worth_something_until_every_seed_has_run(first_seed: Done, tmp_path: Path) -> None:
    some = double_time(tmp_path, DESIGN, RATES, first_seed, seconds=60.0)
    assert some.startswith("double the time would buy ")
    done = first_seed | made(tmp_path, [(m, n, s) for m in DESIGN.models for n in SIZES for s in range(1, MAX_SEEDS)])
    assert choose_runs(tmp_path, DESIGN, RATES, done, seconds=1e4, images=2000) == []
    assert "each size has 5 seeds" in double_time(tmp_path, DESIGN, RATES, done, seconds=60.0)
