"""What may go wrong around a sweep: disks, folders, clocks, other sweeps. One clear line, and the rest unharmed."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kills import ROOT, family, results, start

from scaling.config import CellConfig, ConfigError
from scaling.records.record import FILE_NAME, read_record
from scaling.sweep.pool import Pool
from scaling.sweep.run_cells import run_cells

TINY = """data.image_size=8 data.permute_patch=4 data.train_size=20 data.test_size=20 budget.steps=14 device=cpu
model=resnet8_w8 workers=1""".split()


@pytest.fixture
def tiny(make_cell: Callable, tmp_path: Path) -> Callable[..., list[CellConfig]]:
    """`tiny(3, out=…)`: that many cells of one sweep, alike but for their seeds; without W&B."""

    def make(count: int, *words: str, out: Path = tmp_path / "runs") -> list[CellConfig]:
        return [make_cell(*TINY, "wandb=disabled", f"out={out}", f"seed={seed}", *words) for seed in range(count)]

    return make


def _await(condition: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextlib.contextmanager
def _small_disk(place: Path, *, size: str, options: str = "") -> Iterator[Path]:
    """A file system of its own at `place`; skips where this user may not mount one."""
    place.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(line, capture_output=True).returncode:
        pytest.skip("needs to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_costs_the_cells_that_meet_it_and_the_next_start_does_them(
    tiny: Callable, tmp_path: Path, pool: Pool, capfd: pytest.CaptureFixture
) -> None:
    with _small_disk(tmp_path / "disk", size="256k") as disk:
        (disk / "ballast").write_bytes(b"0" * (256 * 1024 - 3 * 4096))  # room for little more than one cell
        cells = tiny(3, out=disk)
        full = run_cells(cells, pool=pool)
        assert full.finished < 3
        assert all("No space left on device" in text for text in full.failures.values())
        assert capfd.readouterr().err.count("No space left on device") == 2 * len(full.failures)  # then, and in the end
        done = results(disk)
        assert len(done) == full.finished
        (disk / "ballast").unlink()
        assert run_cells(cells, pool=pool, quiet=True).failures == {}
        assert len(results(disk)) == 3
        assert done.items() <= results(disk).items()
        assert {path.name for path in disk.rglob("*") if path.is_file()} == {"record.json", "curve.csv", "wrong.npz"}


def test_a_folder_that_cannot_be_written_is_refused_before_the_start(tiny: Callable, tmp_path: Path) -> None:
    with (
        _small_disk(tmp_path / "disk", size="64k", options=",ro") as disk,
        pytest.raises(ConfigError, match="cannot be written: Read-only file system; choose another out="),
    ):
        run_cells(tiny(1, out=disk))


def test_a_folder_deleted_midway_is_named_and_the_rest_goes_on(tiny: Callable, tmp_path: Path, pool: Pool) -> None:
    """The whole folder goes after its first record; that one is missed at the end, the other cells are there."""
    cells = tiny(3, "budget.factor=8")
    out, gone = tmp_path / "runs", []

    class Deleting(Pool):
        """Passes on to the shared pool, and deletes everything when the first cell has ended."""

        running = property(lambda self: pool.running)
        give = staticmethod(pool.give)

        def wait(self, timeout: float) -> list:
            ends = pool.wait(timeout)
            if ends and not gone:
                gone.extend(end.cell.cell_name for end in ends)
                shutil.rmtree(out)
            return ends

    outcome = run_cells(cells, pool=Deleting(1), quiet=True)
    assert outcome.finished == 2
    assert outcome.failures == {
        gone[0]: "finished, but its record is gone: was its folder deleted? The same command runs it again"
    }
    assert len(results(out)) == 2


def test_two_sweeps_at_once_share_the_work_and_run_no_cell_twice(tmp_path: Path) -> None:
    """Each run of a cell begins one offline W&B run: as many of them as cells. Both commands see all cells finished."""
    out, words = tmp_path / "runs", ["-m", *TINY, "seed=0,1,2,3,4,5", "wandb=offline", "sweep=s"]
    both = [start(out, words), start(out, words)]
    log = tmp_path / "log.txt"
    assert [process.wait(240) for process in both] == [0, 0], log.read_text()
    assert [record["status"] for record in results(out).values()] == ["finished"] * 6
    assert len(list((out / "s" / "wandb").glob("offline-run-*"))) == 6
    assert log.read_text().count("6 cells finished (0 before), 0 failed") == 2
    assert not list(out.rglob(".lock"))


@pytest.mark.slow
def test_a_clock_that_is_set_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every process time.time() runs backwards by an hour a call, and files are older than the last ones."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import time, os\n"
        "real, calls = time.time, [0]\n"
        "def back():\n"
        "    calls[0] += 1\n"
        "    return real() - 3600 * calls[0]\n"
        "time.time = back\n"
        "replace = os.replace\n"
        "def older(source, target, **more):\n"
        "    os.utime(source, (real() - 1e6 * (calls[0] + 1),) * 2)\n"
        "    calls[0] += 1\n"
        "    return replace(source, target, **more)\n"
        "os.replace = older\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    out = tmp_path / "runs"
    words = ["-m", *TINY, "seed=0,1", "budget.factor=8", "checkpoint_seconds=0", "wandb=disabled", "sweep=s"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "scaling.train", *words, f"out={out}"]
    first = subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    _await(lambda: list(out.rglob("checkpoint-*.pt")))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    again = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    seconds = [read_record(path).train_seconds for path in out.rglob("record.json")]
    assert len(seconds) == 2
    assert all(0 < value < 60 for value in seconds)
    assert "-" not in again.stderr.splitlines()[-1]  # the time gone
    assert not list(out.rglob("checkpoint-*.pt"))


def test_damaged_records_and_checkpoints_do_not_count_and_the_cells_run_again(
    tiny: Callable, tmp_path: Path, pool: Pool, capfd: pytest.CaptureFixture
) -> None:
    """Cut off as a bad disk would: the damaged files stay beside the new ones under another name."""
    cells, out = tiny(3), tmp_path / "runs"
    assert run_cells(cells, pool=pool, quiet=True).finished == 3
    expected = results(out)
    record = cells[0].folder / FILE_NAME
    record.write_bytes(record.read_bytes()[:200])
    (cells[1].folder / FILE_NAME).unlink()
    (cells[1].folder / "checkpoint-00000001-0123456789abcdef.pt").write_bytes(b"PK torn")
    capfd.readouterr()
    outcome = run_cells(cells, pool=pool, quiet=True)
    assert (outcome.finished, outcome.skipped) == (3, 1)
    assert results(out) == expected
    assert f"{record}: not a record" in capfd.readouterr().err
    left = {path.name for path in out.rglob("*") if path.is_file()} - {"record.json", "curve.csv", "wrong.npz"}
    assert left == {"record.json.damaged-1", "checkpoint-00000001-0123456789abcdef.pt.damaged-1"}


def test_what_a_killed_process_left_beside_a_finished_record_is_removed(tiny: Callable, pool: Pool) -> None:
    (cell,) = tiny(1)
    run_cells([cell], pool=pool, quiet=True)
    for name in (".lock", ".record-x1.tmp", "checkpoint-00000007-0123456789abcdef.pt"):
        (cell.folder / name).touch()
    run_cells([cell], pool=pool, quiet=True)
    assert {path.name for path in cell.folder.iterdir()} == {"record.json", "curve.csv", "wrong.npz"}


def test_fail_fast_stops_the_sweep_at_the_first_failure(
    make_cell: Callable, image_folder: Callable, tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest goes first and meets a torn file (which the start did not see); the others are left for another."""
    monkeypatch.setattr("scaling.sweep.run_cells.prepare", lambda configs: [])
    root = image_folder({"train": {"a": 40, "b": 40}, "test": {"a": 5, "b": 5}})
    for path in (root / "train" / "a").iterdir():
        path.write_bytes(b"torn")
    words = ["data=folder", f"data.root={root}", "data.image_size=8", "model=resnet8_w8", "device=cpu", "workers=1",
             "wandb=disabled", f"out={tmp_path}/runs", "fail_fast=true"]  # fmt: skip
    cells = [make_cell(*words, f"data.train_size={n}") for n in (10, 40, 20)]
    outcome = run_cells(cells, pool=pool, quiet=True)
    assert list(outcome.failures) == [cells[1].cell_name]
    assert (outcome.finished, outcome.left) == (0, 2)
    assert len(results(tmp_path / "runs")) == 1


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc for the processes that are left")
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_a_stopped_sweep_leaves_no_process_and_no_half_record(tmp_path: Path, number: signal.Signals) -> None:
    """The command is told to stop (or killed) while a worker is at a cell of 8,000 steps, with W&B running.
    Told, it leaves a checkpoint of that moment. (test_checkpoint and kills go on from it.)"""
    out = tmp_path / "runs"
    words = [*TINY, "budget.steps=60000", "optim.batch_size=8", "checkpoint_seconds=0.5", "wandb=offline"]
    parent = start(out, words)
    try:
        _await(lambda: list(out.rglob("checkpoint-*.pt")))
        before = max(path.name for path in out.rglob("checkpoint-*.pt"))
        parent.send_signal(number)
        assert parent.wait(20) == (130 if number != signal.SIGKILL else -signal.SIGKILL)
        _await(lambda: family(parent.pid) == [], seconds=10)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)  # a test that fails leaves nothing running
    assert not list(out.rglob("record.json"))
    if number != signal.SIGKILL:
        assert max(path.name for path in out.rglob("checkpoint-*.pt")) > before
        assert not list(out.rglob(".lock"))
        assert not list(out.rglob("*.tmp"))
