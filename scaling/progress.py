"""One progress line for a whole sweep: rewritten in a terminal, now and then a new line in a log."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from scaling.config import CellConfig


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Counts cells and estimates the time left from each model's measured seconds per image seen."""

    def __init__(self, due: Sequence[CellConfig], *, total: int, skipped: int, workers: int) -> None:
        self._left = {cell.cell_name: cell for cell in due}
        self._total, self._done, self._failed, self._workers = total, skipped, 0, workers
        self._seconds: dict[str, float] = defaultdict(float)
        self._seen: dict[str, float] = defaultdict(float)
        self._begun = self._printed = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def start(self, headline: str) -> None:
        print(headline, file=sys.stderr, flush=True)

    def _time_left(self) -> float | None:
        """Seconds, or None before the first cell is done."""
        if not self._seen:
            return None
        mean_rate = sum(self._seconds.values()) / sum(self._seen.values())
        left = 0.0
        for cell in self._left.values():
            name = cell.model.name
            rate = self._seconds[name] / self._seen[name] if self._seen.get(name) else mean_rate
            left += rate * cell.steps * cell.optim.batch_size
        return left / self._workers

    def done(self, cell: CellConfig, *, seconds: float, failed: bool) -> None:
        self._left.pop(cell.cell_name)
        self._done += 1
        self._failed += failed
        if not failed:
            self._seconds[cell.model.name] += seconds
            self._seen[cell.model.name] += cell.steps * cell.optim.batch_size

    def tick(self, running: int) -> None:
        """Prints the line if it is time to: every second in a terminal, every 30 elsewhere."""
        now = time.monotonic()
        if now - self._printed < (1 if self._terminal else 30):
            return
        self._printed = now
        left = self._time_left()
        line = (
            f"{self._done}/{self._total} cells done, {self._failed} failed, {running} running, "
            f"{_clock(now - self._begun)} gone, {'about ' + _clock(left) if left is not None else 'unknown time'} left"
        )
        end = "" if self._terminal else "\n"
        print(f"\r{line:<100}" if self._terminal else line, end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        gone = _clock(time.monotonic() - self._begun)
        line = f"{self._done}/{self._total} cells done, {self._failed} failed, {gone} gone"
        print(f"\r{line:<100}" if self._terminal else line, file=sys.stderr, flush=True)
