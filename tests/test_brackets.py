"""Published brackets: parsed, compared and shown, without moving the estimate."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import as_table, make_sweep

from analysis.arguments import InputError, TableArguments
from analysis.estimator.crossover.brackets import Bracket, parse_bracket
from analysis.estimator.crossover.questions import find_crossovers


def test_a_bracket_is_parsed() -> None:
    assert parse_bracket("B/32 and R50, JFT:9e6-90e6") == Bracket("B/32 and R50, JFT", 9e6, 90e6)


@pytest.mark.parametrize("text", ["nothing", "a:5", "a:9-3", "a:x-y", ":1-2"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_bracket(text)


def test_it_is_shown_beside_the_estimate_and_does_not_move_it(tmp_path: Path) -> None:
    """The curves of this sweep cross near 600 images."""
    path = tmp_path / "r.csv"
    as_table(make_sweep()).to_csv(path, index=False)
    (plain,) = find_crossovers(TableArguments(results=(path,), audit=False))
    arguments = TableArguments(results=(path,), audit=False, brackets=("near:200-3000", "far:1e6-2e6"))
    (shown,) = find_crossovers(arguments)
    assert shown.verdict == plain.verdict
    near, far = (w["message"] for w in shown.warnings if w["code"] == "bracket")
    assert "near: the ViT worse at 200 images, better from 3,000; overlaps" in near
    assert "lies apart from" in far
