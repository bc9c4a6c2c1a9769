"""One progress display for a sweep: a line that is rewritten in a terminal, few lines in a log, none when quiet."""

import dataclasses
import io
import sys
from collections.abc import Callable

import pytest

import scaling.sweep.progress
from scaling.sweep.progress import Progress


class _Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def play(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What ten hours of 100 cells, one after the other, print; the 50th fails."""
    cell = make_cell("model=resnet8_w8")

    def run(*, terminal: bool, quiet: bool = False) -> str:
        screen, now = _Screen(terminal), 0.0
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(scaling.sweep.progress.time, "monotonic", lambda: now)
        cells = [dataclasses.replace(cell, seed=seed) for seed in range(100)]
        progress = Progress(cells, total=120, skipped=20, workers=2, quiet=quiet)
        progress.start("runs/s: 120 cells")
        for i, one in enumerate(cells):
            for _ in range(360):
                now += 1
                progress.tick(2)
            progress.done(one, seconds=360, problem="failed: no message" if i == 49 else None)
        progress.close()
        return screen.getvalue()

    return run


def test_a_log_stays_short_and_tells_of_failures(play: Callable) -> None:
    lines = play(terminal=False).splitlines()
    assert lines[0] == "runs/s: 120 cells"
    assert len(lines) < 80  # of 36,000 seconds
    assert all("\r" not in line for line in lines)
    assert lines[1] == "20/120 cells done, 2 running, 0:30 gone, time left not known yet"
    assert sum(line.endswith(": failed: no message") for line in lines) == 1
    assert lines[-1] == "120/120 cells done, 1 failed, 10:00:00 gone"


def test_the_time_left_is_what_the_others_took(play: Callable) -> None:
    """Each cell takes six minutes of one of two workers: with k of 100 done, (100 - k) x 3 minutes are left."""
    told = [line for line in play(terminal=False).splitlines() if "left" in line and "known" not in line]
    for line in told:
        done = int(line.split("/")[0]) - 20
        hours, minutes, seconds = ([0, 0] + [int(part) for part in line.split("about ")[1].split()[0].split(":")])[-3:]
        assert hours * 3600 + minutes * 60 + seconds == (100 - done) * 180


def test_a_terminal_has_one_line_that_is_rewritten(play: Callable) -> None:
    text = play(terminal=True)
    assert text.count("\n") == 3  # the headline, the failure, the end
    assert text.count("\r") > 30_000


def test_quiet_prints_nothing(play: Callable) -> None:
    assert play(terminal=False, quiet=True) == ""
