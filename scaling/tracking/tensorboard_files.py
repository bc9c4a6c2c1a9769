"""TensorBoard's event files in `tensorboard/NAME/`: curves over `seen_examples`, the summary as scalars and text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling.tracking.run import RunFacts


class TensorBoardTracker:
    def __init__(self, facts: RunFacts) -> None:
        # Torch is loaded where a cell runs; its writer needs the package tensorboard (the extra of that name).
        from torch.utils.tensorboard import SummaryWriter

        folder = facts.folder / "tensorboard" / facts.name
        self._writer: Any = SummaryWriter(str(folder), purge_step=0)  # hides an earlier attempt's points
        self._writer.add_text("config", "\n".join(f"    {key}: {value}" for key, value in facts.config.items()))
        self._seen = 0

    def log(self, point: Mapping[str, float]) -> None:
        self._seen = int(point["seen_examples"])
        for key, value in point.items():
            if key != "seen_examples":
                self._writer.add_scalar(key, value, self._seen)

    def summarize(self, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"summary/{key}", value, self._seen)
        self._writer.add_text("summary", "\n".join(f"    {key}: {value}" for key, value in values.items()))

    def close(self, *, failed: bool) -> None:
        self._writer.close()
