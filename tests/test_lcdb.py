"""LCDB's pairs: what came is read off the whole curves, what was said is judged by it, and outcomes make the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.public_curves.command import main
from analysis.public_curves.lcdb import OUTCOME_COLUMNS, SAID, counts, judge_lcdb

SIZES = np.round(16 * 2 ** (np.arange(81) / 8))  # to 16,384: a quarter of it is 4,096
LAWS = {  # alike at 500 images, where steep overtakes flat; far is behind from the start
    "flat": 0.2 * (SIZES / 500) ** -0.1,
    "steep": 0.2 * (SIZES / 500) ** -0.5,
    "far": 0.9 * (SIZES / 16) ** -0.03,
}


@pytest.fixture(scope="module")
def lcdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("curves") / "lcdb-open.csv.gz"
    rows = [{"dataset": 1, "learner": m, "n": n, "test_error": e, "sd": e / 50}
            for m, law in LAWS.items() for n, e in zip(SIZES, np.minimum(law, 0.95), strict=True)]  # fmt: skip
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_what_came_and_what_was_said(lcdb: Path) -> None:
    rows = judge_lcdb(lcdb, pairs=10)
    assert list(rows.columns) == list(OUTCOME_COLUMNS)
    assert len(rows) == 3  # two of three learners
    assert set(rows["shown_to"]) == {4096}
    found = {frozenset((r["first"], r["second"])): r for r in rows.to_dict("records")}
    meets = found[frozenset(("flat", "steep"))]
    assert (meets["came"], meets["crossings"], meets["clear"]) == ("inside", 1, True)
    assert meets["nearest_crossing"] == pytest.approx(500, rel=0.03)
    assert (meets["verdict"], meets["holds"]) == ("observed", "yes")
    never = found[frozenset(("flat", "far"))]
    assert (never["came"], never["clear"], never["holds"]) == ("never", False, "yes")
    assert never["verdict"] == ("vit_ahead" if never["first"] == "flat" else "cnn_ahead")
    assert never["ratio_at_end"] == pytest.approx((LAWS["flat"][-1] / LAWS["far"][-1]) ** (
        1 if never["first"] == "flat" else -1), rel=0.02)  # fmt: skip


def test_outcomes_make_the_same_page_again(lcdb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"results={lcdb}", f"out={tmp_path / 'a'}", "pairs=10"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "a" / "README.md")
    assert main([f"results={tmp_path / 'a' / 'outcomes.csv'}", f"out={tmp_path / 'b'}"]) == 0
    for name in ("README.md", "outcomes.csv", "crossings.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_every_pair_is_counted_once() -> None:
    verdicts = ["observed", "cnn_ahead", "vit_ahead", "not_identifiable", "multiple", "equivalent", "extrapolated"]
    table = counts(pd.DataFrame({"came": "never", "verdict": verdicts}))
    assert table.loc["never"].to_dict() == dict.fromkeys(SAID, 1) | {"ahead": 2}
    assert table.to_numpy().sum() == len(verdicts)


@pytest.mark.parametrize(
    ("words", "message"),
    [(["results=nowhere/lcdb-open.csv.gz"], "no such file"), (["results={}/outcomes.csv"], "neither lcdb-open.csv.gz"),
     (["results={lcdb}", "pairs=none"], "pairs=none: a number of pairs")],
)  # fmt: skip
def test_what_cannot_be_judged(
    lcdb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (tmp_path / "outcomes.csv").write_text("a,b\n1,2\n")
    given = [w.replace("{lcdb}", str(lcdb)).replace("{}", str(tmp_path)) for w in words]
    assert main([*given, f"out={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
