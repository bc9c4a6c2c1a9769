"""Logging of runs to W&B: the one module that imports wandb. The records on disk are the truth, this is a view."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Where a run's numbers go while it runs and when it ends."""

    def log(self, point: Mapping[str, float]) -> None:
        """One point of the training curve; the x-axis is `seen_examples`."""

    def summarize(self, values: Mapping[str, Any]) -> None:
        """The record's fields."""


class _Nothing:
    def log(self, point: Mapping[str, float]) -> None:
        pass

    def summarize(self, values: Mapping[str, Any]) -> None:
        pass


class _WandbRun:
    def __init__(self, run: Any) -> None:
        self._run = run
        run.define_metric("seen_examples")
        run.define_metric("*", step_metric="seen_examples")

    def log(self, point: Mapping[str, float]) -> None:
        self._run.log(dict(point))

    def summarize(self, values: Mapping[str, Any]) -> None:
        self._run.summary.update({key: value for key, value in values.items() if value is not None})


def find_key() -> bool:
    """Whether W&B would find an API key: in the environment, the netrc file or its settings. Asks no server."""
    import wandb

    return bool(wandb.login(prompt=False, verify=False))


@contextmanager
def track(
    *,
    mode: str,
    project: str,
    entity: str | None,
    folder: Path,
    run_id: str,
    name: str,
    group: str,
    tags: list[str],
    config: Mapping[str, Any],
) -> Iterator[Tracker]:
    """A tracker for one run; the run is finished when the block ends, as failed if it ends by an exception.

    Args:
        mode: offline (files below `folder`/wandb for `wandb sync`), online, or disabled (wandb is not imported).
        folder: a sweep's folder.
        run_id: the same cell has the same id, however often it is run.
    """
    if mode == "disabled":
        yield _Nothing()
        return
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    arguments: dict[str, Any] = dict(
        project=project,
        entity=entity,
        dir=str(folder),
        id=run_id,
        name=name,
        group=group,
        job_type="train",
        tags=tags,
        config=dict(config),
        # No system metrics of a run of seconds, no console capture, and no waiting for a service that is not there.
        settings=wandb.Settings(console="off", silent=True, x_disable_stats=True, disable_git=True, init_timeout=30),
    )
    try:
        started = wandb.init(**arguments, mode=mode, resume="allow" if mode == "online" else None)  # type: ignore[arg-type]
    except wandb.errors.Error as error:
        if mode != "online":
            raise
        print(f"warning: {name}: W&B cannot be reached ({error}); logged offline", file=sys.stderr)
        started = wandb.init(**arguments, mode="offline")
    with started as run:
        yield _WandbRun(run)
