"""What designs save, as the benchmark counts it: recorded sweeps replayed, plays kept in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.benchmark import design as bench
from analysis.benchmark.design import REPLAYED, play, recorded_cost, recorded_questions, summary_of
from analysis.calibrate.truths import SimulatedCell

QUICKSTART = Path(__file__).parent / "data" / "quickstart.csv"


def row(draw: int, cost: float, design: str, interval: list[float | None] | None = None) -> dict:  # type: ignore[type-arg]
    said = {"verdict": "observed", "direction": "vit_overtakes", "interval": [100.0, 1000.0]}
    mine = said | {"verdict": design, "interval": interval}
    return {"name": "a", "draw": draw, "cost": cost, "design": mine, "grid": said}


def test_costs_verdicts_and_widths_are_counted() -> None:
    rows = [
        row(0, 0.1, "observed", [100.0, 10_000.0]),
        row(1, 0.3, "not_identifiable", [100.0, None]),
        row(2, 0.2, "observed", [100.0, 100.0]),
    ]
    found = summary_of(rows)
    assert (found["cost"], found["most"], found["same"]) == (0.2, 0.3, 2)
    assert found["wider"] == pytest.approx(1.0)  # of 2 and 0 times; the open one has no width


@pytest.mark.parametrize(
    ("truth", "verdict", "direction", "wrong"),
    [
        ("power_floor", "observed", "vit_overtakes", False),
        ("power_floor", "observed", "cnn_overtakes", True),
        ("power_floor", "cnn_ahead", None, True),
        ("parallel", "cnn_ahead", None, False),
        ("parallel", "extrapolated", "vit_overtakes", True),
        ("level", "equivalent", None, False),
    ],
)
def test_a_claim_against_the_truth_is_wrong(truth: str, verdict: str, direction: str | None, wrong: bool) -> None:
    cell = SimulatedCell(truth, "inside" if truth == "power_floor" else "never", 0.05, "8x5")
    assert bench._is_wrong({"verdict": verdict, "direction": direction}, cell) is wrong


def test_a_recorded_sweep_is_replayed_at_the_seconds_that_it_took() -> None:
    questions = dict(recorded_questions(QUICKSTART))
    assert len(questions) == 2
    for rows in questions.values():
        assert rows["grid"].sum() == (rows["lr"] != rows.groupby("model")["lr"].transform(lambda s: s.mode()[0])).sum()
    local = next(rows for name, rows in questions.items() if name.endswith("locality 1"))
    played = play(local, recorded_cost, batch=2, target=REPLAYED)
    assert played.design.verdict.verdict == played.grid.verdict.verdict == "cnn_ahead"
    assert played.cost < 0.4


def test_what_was_played_is_not_played_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(name: str, draw: int) -> bench.Played:
        raise AssertionError(f"{name} {draw} is in the file")

    file = tmp_path / "played.jsonl"
    file.write_text('{"name": "a", "draw": 0, "cost": 0.5}\n{"name": "a", "dra', encoding="utf-8")
    assert bench._kept(file, [("a", 0)], never) == [{"name": "a", "draw": 0, "cost": 0.5}]
    with pytest.raises(AssertionError, match="a 1"):
        bench._kept(file, [("a", 1)], never)
    monkeypatch.setattr(bench, "played_row", lambda played: {"cost": played})
    keys = [("a", 0), ("a", 1)]
    assert [r["cost"] for r in bench._kept(file, keys, lambda name, draw: 0.25)] == [0.5, 0.25]  # type: ignore[arg-type,return-value]
    assert [r["cost"] for r in bench._kept(file, keys, never)] == [0.5, 0.25]


def test_two_tables_of_one_file_name_are_two(tmp_path: Path) -> None:
    names = []
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        place = tmp_path / folder / "results.csv"
        place.write_bytes(QUICKSTART.read_bytes())
        names += [name for name, _ in recorded_questions(place)]
    assert len(names) == len(set(names)) == 4
