"""Plain CSV: `csv/NAME/history.csv`, a row per point as it comes, and `csv/NAME/summary.csv`, one row at the end."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Mapping
from typing import Any

from scaling.records.files import defused
from scaling.tracking.run import RunFacts


class CsvTracker:
    def __init__(self, facts: RunFacts) -> None:
        self._folder = facts.folder / "csv" / facts.name
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "summary.csv").unlink(missing_ok=True)  # an earlier attempt's
        self._file = (self._folder / "history.csv").open("w", newline="", encoding="utf-8")
        self._writer: csv.DictWriter[str] | None = None

    def log(self, point: Mapping[str, float]) -> None:
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(point))
            self._writer.writeheader()
        self._writer.writerow(point)
        self._file.flush()  # so that a run can be watched

    def summarize(self, values: Mapping[str, Any]) -> None:
        with (self._folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(values)
            plain = [shlex.join(map(str, v)) if isinstance(v, (list, tuple)) else v for v in values.values()]
            writer.writerow(map(defused, plain))

    def close(self, *, failed: bool) -> None:
        self._file.close()
