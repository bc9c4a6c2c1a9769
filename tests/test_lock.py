"""The lock of a cell: one holder at a time, free when its holder dies, its file gone when nobody needs it.

On another file system: `python -m pytest tests/test_lock.py --basetemp=/mnt/other/tmp` (docs/sweeps.md lists some).
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import scaling.records.lock
from scaling.records.lock import LOCK_FILE, Busy, cell_lock, holder, is_held

HOLD = """
import os, sys, time
from pathlib import Path
from scaling.records.lock import cell_lock
with cell_lock(Path(sys.argv[1])):
    if "fork" in sys.argv:
        if os.fork() == 0:  # as a data loader's reader would: it must not keep the lock
            time.sleep(30)
            os._exit(0)
    print("held", flush=True)
    time.sleep(600)
"""
# Adds one to a number in a file, by reading and writing it, as often as it gets the lock; without a lock sums get lost.
COUNT = """
import sys
from pathlib import Path
from scaling.records.lock import Busy, cell_lock
folder, number, left = Path(sys.argv[1]), Path(sys.argv[1]).parent / "number", int(sys.argv[2])
while left:
    try:
        with cell_lock(folder):
            number.write_text(str(int(number.read_text()) + 1))
            left -= 1
    except Busy:
        pass
"""


@pytest.fixture
def hold() -> Iterator[Callable[..., subprocess.Popen]]:
    started = []

    def start(folder: Path, *words: str) -> subprocess.Popen:
        line = [sys.executable, "-c", HOLD, str(folder), *words]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("word", ["", "fork"])
def test_one_holder_and_free_as_soon_as_it_is_killed(tmp_path: Path, hold: Callable, word: str) -> None:
    cell = tmp_path / "cell"
    process = hold(cell, word)
    assert is_held(cell)
    assert f"process {process.pid}" in holder(cell)
    with pytest.raises(Busy), cell_lock(cell):
        pass
    process.kill()
    process.wait()
    assert not is_held(cell)
    assert (cell / LOCK_FILE).exists()  # the dead cannot remove it: it is taken over
    with cell_lock(cell):
        pass
    assert not (cell / LOCK_FILE).exists()


def test_a_folder_that_was_deleted_is_made_anew_and_its_new_lock_left_alone(tmp_path: Path, hold: Callable) -> None:
    cell = tmp_path / "cell"
    with cell_lock(cell):
        shutil.rmtree(cell)
        hold(cell)  # another process begins anew
    assert is_held(cell)


def test_the_holder_may_ask_again_without_losing_it(tmp_path: Path) -> None:
    """With POSIX locks, closing a second handle of the file would free the lock."""
    cell = tmp_path / "cell"
    seen = (
        "import sys; from pathlib import Path; from scaling.records.lock import is_held; "
        "print(is_held(Path(sys.argv[1])))"
    )
    with cell_lock(cell):
        with cell_lock(cell):
            assert not is_held(cell)
        others = subprocess.run([sys.executable, "-c", seen, str(cell)], capture_output=True, text=True)
        assert others.stdout == "True\n"
    assert not (cell / LOCK_FILE).exists()


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    line = [sys.executable, "-c", COUNT, str(tmp_path / "cell"), "60"]
    racing = [subprocess.Popen(line) for _ in range(4)]
    assert [process.wait(60) for process in racing] == [0] * 4
    assert (tmp_path / "number").read_text() == "240"
    assert not (tmp_path / "cell" / LOCK_FILE).exists()


def test_without_locks_there_is_a_warning_and_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    scaling.records.lock._warn_once.cache_clear()
    for name in ("a", "b"):
        with cell_lock(tmp_path / name):
            pass
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "do not run two sweeps on one folder" in line
