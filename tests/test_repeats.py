"""Repeats of a sweep judge each other: the pooled crossing is the law's own, and a wrong claim is counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.repeats.command import main
from analysis.repeats.pooled import pool, sign_change

SIZES = np.array([500, 1000, 2000, 4000, 8000, 16000])


def _repeat(drawing: int, crossing: float = 2500.0, noise: float = 0.02) -> pd.DataFrame:
    """ViT error 10 n^-.5 against a CNN's that equals it at `crossing` and falls with n^-.3; three seeds."""
    rng = np.random.default_rng(drawing)
    rows = []
    for family, level, slope in (("vit", 10.0, 0.5), ("cnn", 10.0 * crossing**-0.2, 0.3)):
        for n in SIZES:
            for seed in range(3):
                error = level * n**-slope * np.exp(noise * rng.standard_normal())
                words = f"data=strokes data.strokes.seed={drawing} model={family}"
                common = {"family": family, "model": family, "train_size": n, "seed": seed, "test_error": error}
                rows.append(common | {"overrides": words, "data": "strokes", "data_fingerprint": f"{drawing:016x}"})
    return pd.DataFrame(rows)


def test_the_pooled_crossing_is_that_of_the_laws() -> None:
    pooled = pool([_repeat(i, noise=0.0) for i in range(4)])
    assert pooled.crossing == pytest.approx(2500, rel=1e-6)  # the log ratio of two powers is straight in ln n
    assert pooled.direction == "vit_overtakes"
    assert pooled.interval == pytest.approx((2500, 2500))
    assert pooled.log_ratio[0] == pytest.approx(np.log((500 / 2500) ** -0.2))


def test_the_pooled_interval_holds_the_crossing() -> None:
    pooled = [pool([_repeat(100 * k + i, noise=0.05) for i in range(12)]) for k in range(10)]
    held = [p.interval is not None and p.interval[0] < 2500 < p.interval[1] for p in pooled]
    assert sum(held) >= 7


def test_no_crossing_where_the_sign_never_or_twice_changes() -> None:
    sizes = np.array([1.0, 2.0, 4.0])
    assert sign_change(sizes, np.array([0.1, 0.2, 0.1])) is None
    assert sign_change(sizes, np.array([0.1, -0.2, 0.1])) is None


def test_a_claim_elsewhere_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repeats = [_repeat(i) for i in range(4)] + [_repeat(9, crossing=7000.0, noise=0.01)]
    pd.concat(repeats).to_csv(tmp_path / "results.csv", index=False)
    assert main([f"results={tmp_path / 'results.csv'}", "audit=off"]) == 0
    table = pd.read_csv(tmp_path / "repeats.csv", index_col="repeat")
    assert table.loc["drawing 9", "contradicts"]
    assert not table.loc["drawing 9", "holds"]
    assert (table.loc["drawing 9", "others_crossing"] / 2500) == pytest.approx(1, abs=0.1)
    assert table["contradicts"].sum() < 3  # drawing 9 shifts what the others are judged by, not beyond their intervals
    assert "5 repeats" in capsys.readouterr().out


def test_two_repeats_have_no_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.concat([_repeat(0), _repeat(1)]).to_csv(tmp_path / "results.csv", index=False)
    assert main([f"results={tmp_path / 'results.csv'}"]) == 2
    assert "at least 3" in capsys.readouterr().err
