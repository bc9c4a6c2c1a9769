"""The public curves: what stands in docs/estimator.md, in a cheap version, and the choice that leaves data sets out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.arguments import run_command, with_defaults
from analysis.benchmark.command import BENCHMARKS, USAGE, run
from analysis.benchmark.smoothing import smooth
from analysis.benchmark.ties import losses
from analysis.benchmark.vision import (
    CANDIDATES,
    DEFAULT,
    extrapolate,
    judge_crossings,
    judge_winners,
    lead_changes,
    leave_one_out,
    load_crossings,
    load_curves,
)
from analysis.estimator.crossover.paired_draws import TIE
from analysis.estimator.curve.discrepancy import SETTINGS

CURVES = Path(os.environ.get("SCALING_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "curves"
needs_data = pytest.mark.skipif(not CURVES.is_dir(), reason="SCALING_SHARED_DATA names no folder with curves/")


def test_the_default_is_a_candidate() -> None:
    assert CANDIDATES[DEFAULT] == SETTINGS
    assert len(CANDIDATES) == 8


def test_leaving_one_out_never_looks_at_what_it_reports() -> None:
    index = pd.MultiIndex.from_tuples([("a", "m"), ("b", "m"), ("c", "m")])
    errors = {"x": pd.Series([0.0, 5.0, 1.0], index), "y": pd.Series([9.0, 2.0, 2.0], index)}
    got, chosen = leave_one_out(errors, {"a": "a", "b": "b", "c": "c"})
    assert chosen == {"a": "y", "b": "x", "c": "x"}  # x is perfect on a, but the others do not say so
    assert got.to_dict() == {("a", "m"): 9.0, ("b", "m"): 5.0, ("c", "m"): 1.0}


def test_the_smoother_leaves_straight_lines_alone() -> None:
    n = np.geomspace(10, 1e4, 200)
    at = np.array([50.0, 800.0, 9e3])
    np.testing.assert_allclose(smooth(n, 3 * n**-0.4, at), np.log(3 * at**-0.4), atol=1e-9)


@needs_data
def test_one_task_is_extrapolated() -> None:
    """The published M4 has a mean of .0236 over all 36 curves; these six have .007 here."""
    curves = load_curves(CURVES)
    got = extrapolate(curves[curves.Task == "inet_10"])
    assert len(got) == 6
    assert got.mean() < 0.012
    assert got.max() < 0.03


@needs_data
def test_real_crossings_are_found() -> None:
    curves, pairs = load_curves(CURVES), load_crossings(CURVES)
    got = judge_crossings(curves, pairs[(pairs.task == "c_5") & (pairs.model_b == "MiX/B/16")], "1.5")
    assert got.verdict.tolist() == ["extrapolated"]
    assert abs(got.off[0]) < np.log10(1.5)


@needs_data
def test_the_tie_doubts_a_lead_that_closes_but_lasts() -> None:
    """BiT/101/3 leads ViT/B/16 by 20% at the cut and by 12% at the end; curves fitted apart meet in between: the ViT's
    falls ever faster up to the cut, and then no more. Ties doubt it; most pairs are free here."""
    curves = load_curves(CURVES)
    own = curves[(curves.Task == "c_10") & curves.Model.isin(["BiT/101/3", "ViT/B/16"])]
    got = judge_winners(own, ties=(TIE, np.inf))
    assert not got.crosses.any()
    assert got.p_meets[0] < got.p_meets[1] - 0.1
    assert got.tied_vit[0] > got.free_vit[0] + 0.2  # of the two, BiT/101/3 comes first in the alphabet
    assert got.free_meets[0] > got.p_meets[0] > got.tied_meets[0]


@needs_data
def test_the_tie_is_as_fast_as_leads_change() -> None:
    changes = lead_changes(load_curves(CURVES))
    assert len(changes) > 250
    by_task = changes.groupby("task").ratio.agg(lambda r: np.sqrt((r**2).mean()))
    assert by_task.min() < TIE < by_task.max()


def test_log_losses_mix_tied_and_free_pairs() -> None:
    """Two pairs: free draws are right of the first, tied ones of the second."""
    rows = pd.DataFrame({"gap": [-0.2, -0.2], "crosses": [False, True]})
    rows = rows.assign(free_vit=[0.8, 0.2], tied_vit=[0.2, 0.8], free_meets=0.5, tied_meets=0.5, agree=0.4)
    untied = 0.4 * 0.5 / 0.35  # half of the pairs free, since (1 - ALWAYS_TIED) untied / (.4 + untied) = .5
    assert losses(rows, untied) == pytest.approx((np.log(2), np.log(2)))
    assert losses(rows, 0.0)[0] == pytest.approx(-np.log(0.16) / 2)  # all tied
    free = 0.85 * 0.75
    assert losses(rows.assign(agree=0.1), 0.3)[0] == pytest.approx(
        -(np.log(0.8 * free + 0.2 * (1 - free)) + np.log(0.2 * free + 0.8 * (1 - free))) / 2
    )


def test_missing_data_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert (
        run_command(USAGE, tuple(BENCHMARKS), with_defaults(BENCHMARKS, run), [f"data={tmp_path}", "parts=curves"]) == 2
    )
    assert "no such folder" in capsys.readouterr().err
    assert run_command(USAGE, tuple(BENCHMARKS), with_defaults(BENCHMARKS, run), ["parts=everything"]) == 2
    assert "known are curves, leads, crossings" in capsys.readouterr().err
