"""A sweep that is killed and started again ends as one that nobody touched: a few kills here, fifty in the slow run."""

import sys
from pathlib import Path

import pytest
from kills import WORDS, Broken, check_end, harass

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc for processes that are left")


def test_a_few_kills(tmp_path: Path) -> None:
    short = [word for word in WORDS if not word.startswith(("seed", "budget.factor", "workers"))]
    tally = harass(tmp_path, kills=3, seed=0, words=[*short, "seed=0", "budget.factor=2", "workers=1"])
    assert dict(tally.kills) == {"command": 1, "worker": 1, "everything": 1}


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    tally = harass(tmp_path, kills=50, seed=0, words=WORDS)
    print(tally, file=sys.__stderr__)
    assert tally.kills.total() == 50


def test_the_harness_sees_what_is_wrong(tmp_path: Path) -> None:
    """A result of other bits, a cell that is missing and a file that was left are each found."""
    cell = tmp_path / "s" / "cell"
    cell.mkdir(parents=True)
    (cell / "record.json").write_text('{"status": "finished", "test_error": 0.5, "train_seconds": 3}')
    (cell / "curve.csv").touch()
    (cell / "wrong.npz").touch()
    good = {"cell": {"status": "finished", "test_error": 0.5}}
    check_end(tmp_path, good)
    with pytest.raises(Broken, match="not as in the undisturbed"):
        check_end(tmp_path, {"cell": {"status": "finished", "test_error": 0.5000000001}})
    with pytest.raises(Broken, match="not as in the undisturbed"):
        check_end(tmp_path, good | {"other": {}})
    (cell / ".lock").touch()
    with pytest.raises(Broken, match="files left"):
        check_end(tmp_path, good)
