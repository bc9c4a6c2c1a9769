"""What a tracker is told of a run, and what every tracker can do."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scaling.records.record import FILE_NAME, RecordError, read_record

if TYPE_CHECKING:
    from scaling.config import CellConfig

# Settings that say where and how to run: a run's config does without them.
_NOT_CONFIG = (
    "out workers retry wandb trackers overrides start_fingerprint fail_fast checkpoint_seconds records".split()
)
# A run that sees fewer pixels than this ends within a minute or two: too short for system metrics to say anything.
_TINY = 1e9


class Tracker(Protocol):
    """One more place for numbers is a class with these three methods, and its name in `track.TRACKERS`."""

    def log(self, point: Mapping[str, float]) -> None:
        """One point of the training curve; the x-axis is `seen_examples`."""

    def summarize(self, values: Mapping[str, Any]) -> None:
        """The record's fields, once, at the end."""

    def close(self, *, failed: bool) -> None:
        """Nothing comes after this."""


class WandbOptions(Protocol):
    """Where a W&B run goes and how long the service may take: `wandb.*` of the config."""

    @property
    def mode(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def entity(self) -> str | None: ...
    @property
    def init_timeout(self) -> float: ...
    @property
    def finish_timeout(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One run, as every tracker names it."""

    id: str  # the same cell has the same id, however often it is run
    name: str
    group: str  # the sweep
    job_type: str  # train or analysis
    tags: tuple[str, ...]
    notes: str | None
    config: Mapping[str, Any]  # nested
    folder: Path  # the sweep's; trackers write below it
    tiny: bool = True  # over in a minute or two


def _earlier(cell: CellConfig) -> list[str]:
    """How each earlier attempt at this cell ended, as far as it left traces: W&B folders and the record."""
    begun = len(list((Path(cell.out) / cell.sweep / "wandb").glob(f"*run-*-{cell.config_hash}*")))
    try:
        ended = [read_record(cell.folder / FILE_NAME).status]
    except (OSError, RecordError):
        ended = []
    return ["interrupted"] * (begun - len(ended)) + ended


def project_problem(name: str) -> str | None:
    """What W&B would refuse of a project's name; None if nothing. It says so only when the first run starts."""
    bad = sorted({c for c in name if c in "/\\#?%:"})
    if bad or not name.isprintable():
        return f"is no name that W&B takes: {' '.join(bad) or 'a control character'} in it"
    if not 0 < len(name.strip()) <= 128:
        return "is no name that W&B takes: 1 to 128 characters"
    return None


def facts_of(cell: CellConfig) -> RunFacts:
    """The facts of a training run. A cell begun before says so: tag `retried`, notes, and `attempt` in its config."""
    data, steps = cell.data, cell.steps
    config = {key: value for key, value in dataclasses.asdict(cell).items() if key not in _NOT_CONFIG}
    config |= {"config_hash": cell.config_hash, "steps": steps}
    tags = [cell.model.family, cell.model_label, str(data.name), f"n={data.train_size}"]
    tags += ["tune"] if cell.purpose == "tune" else []
    tags += [*cell.wandb.tags, *(t.strip() for t in os.environ.get("WANDB_TAGS", "").split(",") if t.strip())]
    notes, earlier = cell.wandb.notes, _earlier(cell)
    if earlier:
        tags.append("retried")
        config["attempt"] = len(earlier) + 1
        attempt = f"attempt {len(earlier) + 1}; the one before: {earlier[-1]}"
        notes = attempt if notes is None else f"{notes} ({attempt})"
    return RunFacts(
        id=cell.config_hash,
        name=(cell.wandb.name or cell.cell_name)[-128:],  # W&B refuses longer ones; the end has the hash
        group=cell.sweep[:128],
        job_type="train",
        tags=tuple(dict.fromkeys(tag[:64] for tag in tags)),
        notes=notes,
        config=config,
        folder=Path(cell.out) / cell.sweep,
        tiny=steps * cell.optim.batch_size * data.image_size**2 < _TINY,
    )
