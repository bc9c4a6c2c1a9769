"""The one call of a cell: `with track(cell) as tracker`. A tracker that breaks costs a warning, never the cell."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scaling.records.record import FILE_NAME, read_record
from scaling.tracking.csv_files import CsvTracker
from scaling.tracking.run import RunFacts, Tracker, facts_of
from scaling.tracking.tensorboard_files import TensorBoardTracker
from scaling.tracking.wandb_run import WandbTracker, under_agent

if TYPE_CHECKING:
    from scaling.config import CellConfig

TRACKERS: dict[str, Callable[[RunFacts], Tracker]] = {"csv": CsvTracker, "tensorboard": TensorBoardTracker}

_said: set[tuple[str, str]] = set()  # by this process


class _All:
    """Passes everything on; what raises is left out from then on, with one warning."""

    def __init__(self, name: str) -> None:
        self._name, self._trackers = name, dict[str, Tracker]()
        self.failed = False

    def start(self, kind: str, make: Callable[[], Tracker]) -> None:
        try:
            self._trackers[kind] = make()
        except Exception as error:
            self._warn(kind, error)

    def _warn(self, kind: str, error: Exception) -> None:
        text = " ".join(str(error).split()) or type(error).__name__
        if (kind, text) not in _said:  # the next cells meet the same
            _said.add((kind, text))
            print(f"warning: {self._name}: no longer logged to {kind} ({text})", file=sys.stderr)

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for kind, tracker in list(self._trackers.items()):
            try:
                call(tracker)
            except Exception as error:
                del self._trackers[kind]
                self._warn(kind, error)

    def log(self, point: Mapping[str, float]) -> None:
        self._each(lambda tracker: tracker.log(point))

    def summarize(self, values: Mapping[str, Any]) -> None:
        self.failed = values.get("status") != "finished"
        self._each(lambda tracker: tracker.summarize(values))

    def close(self, *, failed: bool) -> None:
        self._each(lambda tracker: tracker.close(failed=failed))


@contextmanager
def track(cell: CellConfig) -> Iterator[Tracker]:
    """A tracker for one cell's run, for W&B and whatever `trackers` names. Neither making nor using it raises.

    The run ends with the block: as failed if its summary says so or an exception leaves the block. The cell's old
    record must still be there when it begins: it tells that this is a retry.
    """
    trackers = _All(cell.cell_name)
    facts = facts_of(cell)
    if cell.wandb.mode != "disabled":
        trackers.start("W&B", lambda: WandbTracker(facts, cell.wandb))
    for kind in cell.trackers:
        trackers.start(kind, lambda kind=kind: TRACKERS[kind](facts))  # type: ignore[misc]
    try:
        yield trackers
    except BaseException:
        trackers.close(failed=True)
        raise
    trackers.close(failed=trackers.failed)


def add_to_agents_run(cell: CellConfig) -> None:
    """Gives a W&B agent's run the result of a cell that was finished before: the agent started it for that."""
    if not under_agent() or cell.wandb.mode == "disabled":
        return
    record = read_record(cell.folder / FILE_NAME)
    facts = dataclasses.replace(facts_of(cell), notes="finished before: the result of its record")
    trackers = _All(cell.cell_name)
    trackers.start("W&B", lambda: WandbTracker(facts, cell.wandb))
    trackers.summarize(record.to_dict())
    trackers.close(failed=False)
