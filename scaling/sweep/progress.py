"""One progress line for a whole sweep: rewritten in a terminal, now and then a new line in a log. Failures get their
own line when they happen, in both."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence

from scaling.config import CellConfig
from scaling.sweep.rates import Rates, clock, work_of


def _kind(cell: CellConfig) -> tuple[str, int]:
    return work_of(cell), cell.data.image_size


class Progress:
    """Counts cells and estimates the time left from each model's measured seconds per image seen."""

    def __init__(self, due: Sequence[CellConfig], *, total: int, skipped: int, workers: int, quiet: bool) -> None:
        self._left: Counter[tuple[str, int]] = Counter()  # images to be seen, by model and image size
        for cell in due:
            self._left[_kind(cell)] += cell.seen_examples
        self._total, self._done, self._failed, self._workers = total, skipped, 0, workers
        self._rates = Rates()
        self._begun = time.monotonic()
        self._next = self._begun
        self._quiet, self._terminal = quiet, sys.stderr.isatty()

    def add(self, cell: CellConfig) -> None:
        """One more cell than was known at the start."""
        self._left[_kind(cell)] += cell.seen_examples
        self._total += 1

    def start(self, headline: str) -> None:
        self._print(headline, stays=True)
        self._next = time.monotonic() + (1 if self._terminal else 30)

    def done(self, cell: CellConfig, *, seconds: float | None, problem: str | None) -> None:
        """One cell has ended.

        Args:
            seconds: what it took, None if another process ran it.
            problem: what went wrong with it, if something did.
        """
        self._left[_kind(cell)] -= cell.seen_examples
        self._done += 1
        if problem:
            self._failed += 1
            self._print(f"{cell.cell_name}: {problem}", stays=True)
        elif seconds is not None:
            self._rates.add(*_kind(cell), cell.seen_examples, seconds)

    def tick(self, running: int) -> None:
        """Prints the line if it is time to: every second in a terminal; elsewhere after 30 s, then ever more rarely,
        so that a log of days stays short (each time a tenth of the time gone, at least 30 s)."""
        now = time.monotonic()
        if now < self._next:
            return
        gone = now - self._begun
        self._next = now + (1 if self._terminal else max(30.0, gone / 10))
        left = self._rates.total(self._left)
        time_left = "time left not known yet" if left is None else f"about {clock(left / self._workers)} left"
        failed = f"{self._failed} failed, " if self._failed else ""
        line = f"{self._done}/{self._total} cells done, {failed}{running} running, {clock(gone)} gone, {time_left}"
        self._print(line, stays=False)

    def close(self) -> None:
        gone = clock(time.monotonic() - self._begun)
        self._print(f"{self._done}/{self._total} cells done, {self._failed} failed, {gone} gone", stays=True)

    def _print(self, line: str, *, stays: bool) -> None:
        if self._quiet:
            return
        if not self._terminal:
            print(line, file=sys.stderr, flush=True)
            return
        width = shutil.get_terminal_size().columns - 1
        text = line if stays else line[:width]
        print(f"\r{text:<{width}}", end="\n" if stays else "", file=sys.stderr, flush=True)
