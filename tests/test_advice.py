"""What advice says of curves whose truth is known, and how it is worded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic import SIZES, as_table, make_sweep

from analysis.advise.advice import Limits, advise, at_size
from analysis.advise.next_runs import next_runs
from analysis.advise.wording import advice_sentence, text, train_command
from analysis.arguments import InputError
from analysis.estimator.crossover.find_crossover import Crossover, find_crossover

# make_sweep's curves at locality 0: 0.02 + 8 n^-.55 (ViT) and 0.05 + 3.2 n^-.42 (CNN).
TRUTH = {"vit": lambda n: 0.02 + 8 * n**-0.55, "cnn": lambda n: 0.05 + 3.2 * n**-0.42}
TRAP = {
    "CNN": {5_000: 0.3660, 12_500: 0.2799, 25_000: 0.2087, 50_000: 0.1777},
    "ViT": {5_000: 0.5499, 12_500: 0.4470, 25_000: 0.3476, 50_000: 0.2667},
}


@pytest.fixture(scope="module")
def answer() -> Crossover:
    return find_crossover(as_table(make_sweep()))


def test_errors_and_family_at_a_measured_and_an_unmeasured_size(answer: Crossover) -> None:
    for n, family in ((128, "cnn"), (2_000, "vit"), (20_000, "vit")):
        advice = advise(answer, n)
        assert advice.family == family
        assert advice.sides is not None
        for name, side in advice.sides.items():
            _, low, high = side.error
            assert low < TRUTH[name](n) < high * 1.05, (n, name)
    assert advice.extrapolation_factor == pytest.approx(20_000 / 4096)


def test_the_flip_is_where_the_true_curves_cross(answer: Crossover) -> None:
    grid = np.geomspace(100, 4_000, 4_000)
    crossing = float(grid[np.argmax(TRUTH["vit"](grid) < TRUTH["cnn"](grid))])
    flip = advise(answer, 150).flip
    assert flip is not None
    assert flip.probability > 0.9
    assert flip.size == pytest.approx(crossing, rel=0.2)
    assert flip.interval[0] is not None
    assert flip.interval[1] is not None
    assert flip.interval[0] < crossing < flip.interval[1]
    lasting = advise(answer, 2_000).flip
    assert lasting is not None
    assert lasting.probability < 0.2


def test_the_sentence_says_what_the_advice_holds(answer: Crossover) -> None:
    advice = advise(answer, 20_000)
    said = advice_sentence(advice)
    assert said.startswith("strokes, locality 0, 16\N{MULTIPLICATION SIGN}16 pixels: at 20,000 images use the ViT")
    assert "(vit_small; 78,000 parameters, learning rate 0.004" in said
    assert "a 4.88\N{MULTIPLICATION SIGN} extrapolation" in said
    assert f"P(ViT better) = {advice.p_vit_better:.2f}" in said
    assert advice.sides is not None
    for side in advice.sides.values():
        assert f"{side.error[0]:.3f}" in said
    assert "more images would flip it" in advice_sentence(advise(answer, 150))
    assert "are not likely to flip it" in said


def test_no_family_far_beyond_the_data_or_at_a_tie(answer: Crossover) -> None:
    far = advise(answer, 200_000)
    assert far.family is None
    assert "that is 48.8\N{MULTIPLICATION SIGN} the largest size measured" in advice_sentence(far)
    assert answer.verdict.crossover_size is not None
    tie = advise(answer, round(answer.verdict.crossover_size))
    assert tie.family is None
    assert "neither is clearly better" in advice_sentence(tie)
    assert "below the smallest size measured (128)" in advice_sentence(advise(answer, 100))


def test_the_audit_holds_back_what_the_curves_would_say() -> None:
    table = as_table(make_sweep())
    held = find_crossover(table[(table["family"] == "vit") | (table["lr"] <= 1e-2)])
    advice = advise(held, 4096)
    said = text(advice, next_runs(advice))
    assert advice.family is None
    assert "one cannot tell from these runs: held back by the audit" in said
    assert "the curves alone say: the ViT leads" in said
    assert train_command(advice) is None
    free = find_crossover(table[(table["family"] == "vit") | (table["lr"] <= 1e-2)], audit=False)
    assert advise(free, 4096).family == "vit"


def test_limits_leave_larger_models_out() -> None:
    table = as_table(make_sweep())
    large = table[table["family"] == "cnn"].assign(model="resnet_big", num_params=10**7, train_flops=1e12)
    large[["test_error", "val_error"]] *= 0.3
    both = find_crossover(pd.concat([table, large], ignore_index=True))
    free = advise(both, 4096)
    assert free.sides is not None
    assert (free.family, free.sides["cnn"].model) == ("cnn", "resnet_big")
    for limits in (Limits(num_params=1e6), Limits(train_flops=1e10)):
        kept = advise(both, 4096, limits=limits)
        assert kept.sides is not None
        assert (kept.family, kept.sides["cnn"].model) == ("vit", "resnet8")
    nothing = advise(both, 4096, limits=Limits(num_params=10))
    assert nothing.family is None
    assert "no vit of these runs keeps within num_params=10" in advice_sentence(nothing)
    with pytest.raises(InputError, match="no column train_flops"):
        advise(find_crossover(table.drop(columns="train_flops")), 4096, limits=Limits(train_flops=1e9))


def test_flops_at_a_size_follow_the_budget_rule() -> None:
    sizes = np.array([100.0, 400.0, 1_600.0])
    rows = pd.DataFrame({"train_size": sizes, "train_flops": 7e6 * np.sqrt(sizes)})
    assert at_size(rows, "train_flops", "train_size", 6_400) == pytest.approx(7e6 * 80)
    assert at_size(rows.iloc[:1], "train_flops", "train_size", 6_400) is None
    assert at_size(rows, "num_params", "train_size", 400) is None


@pytest.mark.parametrize("size", [50_000, 200_000, 500_000])
def test_the_trap_names_no_family_and_no_flip(size: int) -> None:
    rows = [
        {"model": model, "family": model.lower(), "train_size": n, "test_error": e}
        for model, points in TRAP.items()
        for n, e in points.items()
    ]
    advice = advise(find_crossover(rows), size)
    assert advice.family is None
    assert "cannot tell from these runs" in advice_sentence(advice)
    # Also without the audit the ViT is not advised, and beyond the data no number of images is said to flip it.
    free = advise(find_crossover(rows, audit=False), size)
    assert free.family in ("cnn", None)
    assert free.family == "cnn" or size > 50_000
    assert free.flip is None or free.flip.size is None or free.flip.size > 50_000


def test_thin_data_have_no_curves_but_an_answer() -> None:
    table = as_table(make_sweep())
    advice = advise(find_crossover(table[table["train_size"] <= SIZES[1]]), 1_000)
    assert advice.sides is None
    assert "cannot tell from these runs" in text(advice, next_runs(advice))
