"""find_crossover on synthetic sweeps: crossings that are there are found, others not claimed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis import find_crossover

SIZES = 500 * 2.0 ** np.arange(8)
Curve = Callable[[float], float]


def vit(n: float) -> float:
    return 0.02 + 20 * n**-0.55


def crossing_at(place: float) -> Curve:
    """A CNN's curve that starts lower, falls more slowly and meets the ViT's at `place`."""
    return lambda n: 0.02 + (vit(place) - 0.02) * (place / n) ** 0.4


def sweep(
    curves: dict[str, Curve], *, sizes: np.ndarray = SIZES, seeds: int = 3, spread: float = 0.0, draw: int = 0
) -> pd.DataFrame:
    """Rows of models named like `vit_a`, `cnn_b`; with noise if there is a spread over seeds."""
    rng = np.random.default_rng(draw)
    rows = []
    for model, curve in curves.items():
        for n in sizes:
            for seed in range(seeds):
                error = curve(n)
                if spread:
                    error = rng.binomial(10_000, min(1.0, error * np.exp(spread * rng.standard_normal()))) / 10_000
                rows.append({"family": model[:3], "model": model, "train_size": n, "seed": seed, "test_error": error})
    return pd.DataFrame(rows)


def test_an_exact_crossing_is_found() -> None:
    group = find_crossover(sweep({"vit": vit, "cnn": crossing_at(8000)}), audit=False).to_dict()
    assert (group["verdict"], group["direction"]) == ("observed", "vit_overtakes")
    assert group["crossover_size"] == pytest.approx(8000, rel=0.03)
    low, high = group["interval"]
    assert 6000 < low < 8000 < high < 10_500
    assert group["p_crossing"] == 1.0
    assert group["fit_range"] == [500, 64_000]
    assert group["n_runs"] == 48
    assert group["pairs"][0] | {"n_runs": 48} == group["pairs"][0]


def test_swapped_families_swap_the_direction() -> None:
    group = find_crossover(sweep({"cnn": vit, "vit": crossing_at(8000)}), audit=False).to_dict()
    assert (group["verdict"], group["direction"]) == ("observed", "cnn_overtakes")
    assert group["crossover_size"] == pytest.approx(8000, rel=0.03)


def test_noisy_crossings_inside_are_covered() -> None:
    """20 draws at 5% noise. A binomial(20, .9) lies below 14 with probability .002."""
    verdicts = [
        find_crossover(sweep({"vit": vit, "cnn": crossing_at(8000)}, spread=0.05, draw=d)).verdict for d in range(20)
    ]
    covered = [v.interval is not None and (v.interval[0] or 0) < 8000 < (v.interval[1] or np.inf) for v in verdicts]
    assert sum(covered) >= 14
    widths = [np.log10(v.interval[1] / v.interval[0]) for v in verdicts if v.interval and None not in v.interval]
    assert np.median(widths) < 0.35  # not bought by width


def test_parallel_curves_do_not_cross() -> None:
    parallel = {"vit": vit, "cnn": lambda n: 0.65 * vit(n)}
    exact = find_crossover(sweep(parallel), audit=False).verdict
    assert exact.verdict in ("cnn_ahead", "not_identifiable")
    assert exact.crossover_size is None
    noisy = [find_crossover(sweep(parallel, spread=0.03, draw=d), audit=False).verdict for d in range(15)]
    claims = Counter(v.verdict for v in noisy)
    assert claims["observed"] == claims["multiple"] == 0
    assert claims["extrapolated"] <= 2  # 5% is aimed at; more than 2 of 15 has probability .04


def test_a_crossing_beyond_the_data_is_claimed_or_leaned_to() -> None:
    """Two clean power laws meet at 4 times the data: of real leads that close as fast, some never do."""
    table = sweep({"vit": lambda n: 30 * n**-0.55, "cnn": lambda n: 30 * 256_000**-0.25 * n**-0.3})
    got = find_crossover(table, audit=False).verdict
    assert got.verdict in ("extrapolated", "not_identifiable")
    found = got.claimed[0] if got.claimed else got.lean
    assert found is not None
    assert found.direction == "vit_overtakes"
    assert found.probability > 0.6
    low, high = found.interval
    assert low is not None
    assert 64_000 < low < 256_000
    assert high is None or high > 256_000
    assert found.size == pytest.approx(256_000, rel=0.35)


def test_the_trap_is_not_identifiable() -> None:
    """CIFAR-10 accuracies of github.com/rokcpla2/CNN-vs-ViT: the gap shrinks, the log-log slopes are equal."""
    accuracy = {"cnn": (63.40, 72.01, 79.13, 82.23), "vit": (45.01, 55.30, 65.24, 73.33)}
    table = pd.DataFrame(
        {"family": family, "model": family, "train_size": n, "test_error": 1 - a / 100}
        for family, values in accuracy.items()
        for n, a in zip((5_000, 12_500, 25_000, 50_000), values, strict=True)
    )
    for audit in (True, False):
        got = find_crossover(table, audit=audit)
        assert got.verdict.verdict == "not_identifiable"
        assert got.verdict.crossover_size is None
    assert "sizes" in {c.code for c in got.failed_checks}


def test_a_failed_check_holds_the_verdict_back() -> None:
    table = sweep({"vit": vit, "cnn": crossing_at(8000)}).assign(lr=1e-3)  # never varied
    table["config_hash"] = [f"{i:x}" for i in range(len(table))]  # of a table from elsewhere that would be unknown
    held = find_crossover(table)
    assert held.verdict.verdict == "not_identifiable"
    assert (held.verdict.crossover_size, held.verdict.interval, held.verdict.direction) == (None, None, None)
    assert held.pairs[0].verdict.verdict == "not_identifiable"
    alone = find_crossover(table, audit=False)
    assert alone.verdict.verdict == "observed"
    assert "audit_off" in {w["code"] for w in alone.warnings}


def test_unknown_checks_only_warn() -> None:
    got = find_crossover(sweep({"vit": vit, "cnn": crossing_at(8000)}))
    assert got.verdict.verdict == "observed"
    assert {"learning_rate_varied", "train_fit", "test_set"} <= {w["code"] for w in got.warnings}


def test_envelopes_take_each_familys_best_model_where_it_is_best() -> None:
    """Two CNNs that cross at 4,000: the families cross where the ViT meets the large one, not the small one."""

    def large(n: float) -> float:
        return 0.01 + (crossing_at(2000)(4000) - 0.01) * (4000 / n) ** 0.5

    table = sweep({"vit": vit, "cnn_small": crossing_at(2000), "cnn_large": large}, spread=0.01)
    table["val_error"] = table["test_error"]
    got = find_crossover(table, audit=False)
    expected = SIZES[-1] * 10 ** np.linspace(-3, 1, 4000)
    below = np.array([vit(n) < min(crossing_at(2000)(n), large(n)) for n in expected])
    truth = expected[np.argmax(below & (expected > 500))]
    assert {(p.vit, p.cnn) for p in got.pairs} == {("vit", "cnn_small"), ("vit", "cnn_large")}
    if got.verdict.interval is not None:
        assert (got.verdict.interval[0] or 0) < truth < (got.verdict.interval[1] or np.inf)
    assert got.families.best_model(("cnn_large", "cnn_small"), 600.0) == "cnn_small"
    assert got.families.best_model(("cnn_large", "cnn_small"), 60_000.0) == "cnn_large"


def test_same_rows_same_bits_whatever_their_order() -> None:
    table = sweep({"vit": vit, "cnn": crossing_at(8000)}, spread=0.05)
    mixed = table.sample(frac=1, random_state=3)[list(reversed(table.columns))]
    one, other = find_crossover(table).to_dict(), find_crossover(mixed).to_dict()
    assert json.dumps(one) == json.dumps(other)
    assert json.dumps(find_crossover(table, seed=1).to_dict()) != json.dumps(one)


def test_a_group_has_the_keys_promised_and_is_json() -> None:
    table = sweep({"vit": vit, "cnn": crossing_at(8000)}).assign(data="strokes", locality=0.0, image_size=16)
    group = json.loads(json.dumps(find_crossover(table).to_dict(), allow_nan=False))
    assert group["key"] == {"data": "strokes", "locality": 0, "image_size": 16, "init": None, "adapt": None}
    assert set(group) == {
        *("key", "metric", "better", "axis", "verdict", "direction", "crossover_size", "interval", "p_crossing"),
        *("fit_range", "extrapolation_factor", "n_runs", "crossings", "lean", "known", "pairs", "audit", "warnings"),
    }
    assert set(group["crossings"][0]) == {"size", "direction", "interval", "probability"}
    assert {"vit", "cnn", "verdict", "crossings"} <= set(group["pairs"][0])
    assert all(set(c) == {"code", "status", "message"} for c in group["audit"])


@pytest.mark.parametrize("rows", [[0], [0, 30], list(range(6)), []])
def test_thin_data_never_raise(rows: list[int]) -> None:
    got = find_crossover(sweep({"vit": vit, "cnn": vit}).iloc[rows])
    assert got.verdict.verdict == "not_identifiable"
    assert got.to_dict()["crossover_size"] is None


def test_only_failed_rows() -> None:
    table = sweep({"vit": vit, "cnn": vit}).assign(status="failed", test_error=None)
    assert find_crossover(table).verdict.verdict == "not_identifiable"


def test_several_questions_are_refused_by_name() -> None:
    table = sweep({"vit": vit, "cnn": vit})
    both = pd.concat([table.assign(locality=1.0, data="a"), table.assign(locality=0.0, data="a")])
    with pytest.raises(ValueError, match=r"questions: locality vary"):
        find_crossover(both)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_error": 1.5}, r"outside \[0, 1\]"),
        ({"test_error": None}, "empty"),
        ({"family": "mixer"}, "family"),
        ({"train_size": 0}, "> 0"),
        ({"train_size": "many"}, "not a finite number"),
    ],
)
def test_malformed_rows_raise(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_crossover(sweep({"vit": vit, "cnn": vit}).assign(**change))
    with pytest.raises(ValueError, match="columns missing: test_error"):
        find_crossover(sweep({"vit": vit, "cnn": vit}).drop(columns="test_error"))
    with pytest.raises(ValueError, match="level"):
        find_crossover(sweep({"vit": vit, "cnn": vit}), level=90)


def test_other_axes_and_metrics() -> None:
    table = sweep({"vit": vit, "cnn": crossing_at(8000)})
    table["train_flops"] = table["train_size"] * np.where(table["family"] == "vit", 4e9, 1e9)
    table["test_loss"] = 3 * table["test_error"]
    flops = find_crossover(table, axis="train_flops", metric="test_loss", audit=False).to_dict()
    assert (flops["axis"], flops["metric"]) == ("train_flops", "test_loss")
    # The ViT pays 4 times as much per image: it overtakes later, where vit(c / 4e9) = cnn(c / 1e9).
    sizes = np.geomspace(500, 1e7, 20_000)
    truth = 1e9 * sizes[np.argmax([vit(n / 4) < crossing_at(8000)(n) for n in sizes])]
    low, high = flops["interval"]
    assert low < truth
    assert high is None or truth < high
