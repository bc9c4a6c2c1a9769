"""`python -m scaling.disk` on folders made by hand: sums counted by hand, removal of what is named and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from scaling.disk import find_items, main, readable
from scaling.records.lock import cell_lock


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    files = {
        "runs/a/cell-1/record.json": 100, "runs/a/cell-1/curve.csv": 50, "runs/a/cell-1/checkpoint-10.pt": 3000,
        "runs/a/cell-1/weights.pt": 2000, "runs/a/cell-1/record.json.damaged-1": 7,
        "runs/a/cell-2/checkpoint-20.pt": 4000, "runs/a/wandb/offline-run-1/run.wandb": 900,
        "runs/a/recipe/lr.yaml": 11,
        "runs/b/cell-3/record.json": 100, "runs/b/wandb/x": 5, "cache/images.u8": 80_000,
        "cache/features/ab/rows.f4": 600, "cache/weights/deit_s.pth": 40,
    }  # fmt: skip
    for name, size in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    monkeypatch.setenv("SCALING_CACHE", str(cache))
    return tmp_path / "runs"


def sums(out: Path, sweep: str | None = None) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in find_items(out, sweep):
        found[item.kind] = found.get(item.kind, 0) + item.size
    return found


def test_sizes_by_kind(out: Path) -> None:
    assert sums(out) == {
        "records": 250, "checkpoints": 7000, "weights": 2000, "damaged": 7, "wandb": 905, "other": 51, "cache": 80_000,
        "features": 600,
    }  # fmt: skip
    assert sums(out, "b") == {"records": 100, "wandb": 5}


def test_removes_what_is_named_and_keeps_the_rest(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"out={out}", "remove=checkpoints,wandb,cache"]) == 0
    assert "87.9 kB freed" in capsys.readouterr().out
    left = {"records": 250, "weights": 2000, "damaged": 7, "other": 51}
    assert sums(out) == left | {"features": 600}
    assert main([f"out={out}", "remove=features"]) == 0
    assert sums(out) == left  # weights that somebody put into the cache stay


def test_one_sweep_alone(out: Path) -> None:
    assert main([f"out={out}", "sweep=b", "remove=wandb,cache"]) == 0
    assert sums(out)["wandb"] == 900
    assert sums(out)["cache"] == 80_000


def test_a_cell_at_work_is_left_alone(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = """if True:
        import pathlib, sys
        from scaling.records.lock import cell_lock
        with cell_lock(pathlib.Path(sys.argv[1])):
            print(flush=True)
            input()
    """
    cell = out / "a" / "cell-2"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(cell)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert main([f"out={out}", "remove=checkpoints"]) == 0
        assert (cell / "checkpoint-20.pt").exists()
        assert "a process is at this cell" in capsys.readouterr().err
        other.communicate("\n")
    with cell_lock(cell):
        pass


@pytest.mark.parametrize(
    ("words", "message"),
    [(["remove=records"], "records stay"), (["sweep=c"], "is not there"), (["checkpoints"], "this takes out=")],
)
def test_bad_words_are_status_2(out: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main([f"out={out}", *words]) == 2
    assert message in capsys.readouterr().err
    assert sums(out)["checkpoints"] == 7000


def test_bytes_as_people_say_them() -> None:
    assert [readable(n) for n in (12, 1500, 2_500_000, 3_200_000_000)] == ["12 B", "1.5 kB", "2.5 MB", "3.2 GB"]
