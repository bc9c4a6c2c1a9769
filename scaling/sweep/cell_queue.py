"""The cells of one sweep under way: which wait, which another process is at, and how the others ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from scaling.config import CellConfig, ConfigError
from scaling.records.cell_folder import Stamp, record_stamp, recorded
from scaling.records.files import last_line
from scaling.records.lock import is_held
from scaling.records.record import RecordError
from scaling.sweep.pool import Pool
from scaling.sweep.progress import Progress

More = Callable[[Collection[str], int], bool]
_MAX_STOPS = 3  # of one cell whose workers are told to stop though the sweep is not


class Reach:
    """Brings the cells that are due to their end, through a pool of workers."""

    def __init__(self, due: Sequence[CellConfig], stamps: dict[str, Stamp], progress: Progress) -> None:
        # Long ones first: no tail at the end. Probes cost little but for images that none had before.
        self.queue = sorted(due, key=lambda cell: (-cell.steps * cell.optim.batch_size, cell.data.train_size))
        self.stamps, self.progress = stamps, progress
        self.elsewhere: list[CellConfig] = []
        self.failures: dict[str, str] = {}
        self.reached: list[CellConfig] = []
        self.stops: Counter[str] = Counter()

    def add(self, cell: CellConfig, stamp: Stamp) -> None:
        """One more cell that is due. `stamp`: of its record, from before it was looked at."""
        self.queue.append(cell)
        self.stamps[cell.cell_name] = stamp
        self.progress.add(cell)

    def run(self, pool: Pool, *, fail_fast: bool, more: More | None = None) -> None:
        """Runs until every cell has ended, here or elsewhere; with `fail_fast` until one has failed.

        Args:
            more: adds cells when there is room for some, and says whether it did.
        """
        while True:
            if more is not None and not self.queue and pool.has_room():
                busy = [cell.cell_name for cell in (*pool.running, *self.elsewhere)]
                more(busy, pool.count - len(pool.running))
            if not (self.queue or self.elsewhere or pool.running):
                return
            while self.queue and pool.has_room():
                cell = self.queue.pop(0)
                pool.give(cell, self.stamps[cell.cell_name])
            for end in pool.wait(1.0):
                self._take(end.cell, end.status, end.text, end.seconds)
            if not self.queue:
                self._look_elsewhere()
            self.progress.tick(len(pool.running))
            if fail_fast and self.failures:
                return

    def _take(self, cell: CellConfig, status: str, text: str | None, seconds: float) -> None:
        name = cell.cell_name
        if status == "busy":
            self.elsewhere.append(cell)
            return
        if status == "stopped":
            self.stops[name] += 1
            if self.stops[name] < _MAX_STOPS:
                self.queue.append(cell)
                return
            status, text = "unrecorded", f"its process was told to stop {_MAX_STOPS} times"
        here = status != "elsewhere"
        if not here:
            status, text = self._other_result(cell)
        if status != "finished":
            self.failures[name] = f"{'failed' if status == 'unrecorded' else status}: {last_line(text)}"
        else:
            self.reached.append(cell)
        self.progress.done(cell, seconds=seconds if here else None, problem=self.failures.get(name))

    def _other_result(self, cell: CellConfig) -> tuple[str, str | None]:
        """(status, text) of a cell that another process has ended."""
        try:
            record = recorded(cell)
        except (RecordError, ConfigError) as error:
            return "unrecorded", str(error)
        return (record.status, record.error_text) if record else ("unrecorded", "its record is gone")

    def _look_elsewhere(self) -> None:
        """Takes the results of other processes, and the cells that they let go without one."""
        waiting, self.elsewhere = self.elsewhere, []
        for cell in waiting:
            if is_held(cell.folder):
                self.elsewhere.append(cell)
            elif record_stamp(cell.folder) != self.stamps[cell.cell_name]:
                self._take(cell, "elsewhere", None, 0.0)
            else:
                self.queue.append(cell)

    def gone(self) -> dict[str, str]:
        """Cells that were finished and whose records are there no more: somebody deleted them meanwhile."""
        text = "finished, but its record is gone: was its folder deleted? The same command runs it again"
        return {cell.cell_name: text for cell in self.reached if record_stamp(cell.folder) is None}

    @property
    def left(self) -> list[CellConfig]:
        """The cells that have not ended, those that run now aside."""
        return self.queue + self.elsewhere
