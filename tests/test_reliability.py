"""Reliability: bins count what they should, and probabilities that are right, or too sure, are told apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.benchmark.reliability import LEADS, bins_of, in_bins, largest_gap, render_bins, simulated
from analysis.benchmark.smoothing import what_came
from analysis.figures.reliability import draw_reliability


def test_bins_hold_what_lies_in_them() -> None:
    said, came = np.array([0.5, 0.55, 0.6, 0.95, 1.0]), np.array([True, False, True, True, True])
    bins = in_bins(said, came, LEADS)
    assert [(b.of, b.came) for b in bins] == [(2, 1), (1, 1), (1, 1), (1, 1)]
    assert bins[0].said == pytest.approx(0.525)
    assert bins[-1].said == 1.0  # the last edge is in the last bin


def _cases(true: np.ndarray, said: np.ndarray) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    gap = np.where(rng.random(len(true)) < true, -0.1, 0.1)  # below 0: the first is better
    return pd.DataFrame({"p_vit": said, "gap": gap, "p_meets": said, "crosses": gap < 0})


def test_right_probabilities_have_small_gaps_and_too_sure_ones_large_ones() -> None:
    p = np.random.default_rng(1).uniform(0, 1, 20_000)
    assert max(largest_gap(b) for b in bins_of(_cases(p, p)).values()) < 0.03
    too_sure = np.clip(0.5 + 1.6 * (p - 0.5), 0.02, 0.98)
    assert min(largest_gap(b) for b in bins_of(_cases(p, too_sure)).values()) > 0.1


def test_level_ends_are_not_judged() -> None:
    rows = pd.DataFrame({"p_vit": [0.9, 0.9], "gap": [0.001, -0.2], "p_meets": [0.1, np.nan], "crosses": [False, True]})
    found = bins_of(rows)
    assert [(b.of, b.came) for b in found["leader"]] == [(1, 1)]
    assert [(b.of, b.came) for b in found["crossing"]] == [(1, 0)]


def test_what_came_is_read_off_the_gap() -> None:
    assert what_came(np.array([0.1, 0.02, -0.03])) == {"gap": -0.03, "crosses": True}
    assert what_came(np.array([0.1, 0.02, -0.004]))["crosses"] is False  # closer than half a percent is level


def test_sweeps_are_judged_by_their_true_curves(tmp_path: Path) -> None:
    """The curves of `4x` meet at 256,000: at 128,000 the CNN leads still, at 512,000 the ViT."""
    path = tmp_path / "c.jsonl"
    row = {"seed": 0, "draw": 0, "ahead": [0.2, 0.7], "meets": 0.6}
    cells = ["power_floor/4x/0.02/8x3", "parallel/never/0.02/8x3", "power_floor/10x/0.02/8x3"]
    path.write_text("".join(json.dumps(row | {"cell": c}) + "\n" for c in cells))
    got = simulated(path)
    assert [bool(g < 0) for g in got.gap] == [False, True, False, False, False, False]  # whether the ViT is better
    assert got.crosses[got.p_meets.notna()].tolist() == [True, False, False]


def test_the_bins_are_drawn_and_written(tmp_path: Path) -> None:
    p = np.random.default_rng(1).uniform(0, 1, 300)
    found = {"LCDB": bins_of(_cases(p, p))}
    draw_reliability(found, tmp_path / "new" / "bins.png")
    assert (tmp_path / "new" / "bins.png").stat().st_size > 5_000
    assert "Largest gap among bins of 20 or more: LCDB 0." in "\n".join(render_bins(found))
