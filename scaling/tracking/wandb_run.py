"""One run in W&B: offline files that `wandb sync` uploads, or online as long as the service answers, then offline.

The client waits long and loses silently: it needs 90 s to give up on a service that is not there, waits for ever at a
run's end, and on a full disk drops what it cannot write. So everything here has a time limit, and the first run that
meets a dead service leaves a note for the rest of the sweep, in whatever process.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.records.files import first_line
from scaling.tracking.run import RunFacts, WandbOptions
from scaling.tracking.service import (
    GONE_FILE,
    LEAST_FREE,
    UNDELIVERED_FILE,
    free_bytes,
    is_listening,
    quiet_environment,
)

# Listing the installed packages takes the client four fifths of a run's start: tiny runs do it once in a process.
_listed = False


def under_agent() -> bool:
    """Whether a W&B sweep's agent started this process for one of its runs."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def note_gone(folder: Path, reason: str, undelivered: str | None = None) -> None:
    """Says once per sweep that the service went away, and remembers which online run still has to be synced."""
    path = folder / GONE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x"):
            print(
                f"warning: the W&B service went away ({reason}); logged offline from here on, nothing is lost",
                file=sys.stderr,
            )
    except FileExistsError:
        pass
    if undelivered:
        with (folder / UNDELIVERED_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{undelivered}\n")


class WandbTracker:
    """A run of the client. In offline mode nothing is sent, no key is needed and no address is asked."""

    def __init__(self, facts: RunFacts, options: WandbOptions) -> None:
        if free_bytes(facts.folder) < LEAST_FREE:
            raise OSError(f"less than {LEAST_FREE // 2**20} MB are free, and on a full disk W&B loses data silently")
        quiet_environment()
        self._facts, self._options = facts, options
        mode = options.mode
        if mode == "online" and (facts.folder / GONE_FILE).exists():
            mode = "offline"
        if mode == "online" and not is_listening():
            note_gone(facts.folder, "it no longer answers")
            mode = "offline"
        started = self._online() if mode == "online" else None
        self._run: Any = self._init("offline") if started is None else started
        if under_agent():
            self._config_under_agent()
        # Curves have the images seen as x-axis, and leave the summary to the record.
        self._run.define_metric("seen_examples")
        self._run.define_metric("*", step_metric="seen_examples", summary="none")

    @property
    def run(self) -> Any:
        """The client's run, for what only W&B has: tables, images, artifacts."""
        return self._run

    def _init(self, mode: str) -> Any:
        import wandb

        global _listed
        facts, options = self._facts, self._options
        facts.folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            console="off",
            disable_git=True,
            x_disable_stats=facts.tiny,  # system metrics
            x_save_requirements=not (facts.tiny and _listed),
            init_timeout=options.init_timeout,
            finish_timeout=options.finish_timeout,
            finish_timeout_raises=True,
            reinit="finish_previous",  # a run that broke is never handed to the next cell
        )
        _listed = True
        arguments: dict[str, Any] = dict(
            dir=str(facts.folder),
            name=facts.name,
            group=facts.group,
            job_type=facts.job_type,
            tags=list(facts.tags),
            notes=facts.notes,
            settings=settings,
            mode=mode,
        )
        if under_agent():  # the agent's run is used: its id, project and entity are in the environment
            return wandb.init(**arguments)
        arguments |= dict(project=options.project, entity=options.entity, id=facts.id, config=dict(facts.config))
        return wandb.init(**arguments, resume="allow")

    def _online(self) -> Any:
        """The run, or None if the service did not answer in time."""
        import wandb

        place = self._facts.folder / "wandb"
        before = set(place.glob("run-*"))
        try:
            return self._init("online")
        except (wandb.errors.Error, OSError) as error:
            note_gone(self._facts.folder, first_line(error))
            for empty in set(place.glob(f"run-*-{self._facts.id}*")) - before:
                shutil.rmtree(empty, ignore_errors=True)
            return None

    def _config_under_agent(self) -> None:
        """The agent's own parameters keep their names; a group of ours of the same name gets `_config` appended."""
        theirs = dict(self._run.config)
        ours = {f"{k}_config" if k in theirs and isinstance(v, dict) else k: v for k, v in self._facts.config.items()}
        self._run.config.update({key: value for key, value in ours.items() if key not in theirs})

    def log(self, point: Mapping[str, float]) -> None:
        self._run.log(dict(point))

    def summarize(self, values: Mapping[str, Any]) -> None:
        # W&B keeps no empty values: a field that is None in the record has no key.
        kept = {key: value for key, value in values.items() if value is not None}
        self._run.summary.update({k: list(v) if isinstance(v, tuple) else v for k, v in kept.items()})
        if "retried" in self._facts.tags:  # what an earlier attempt left, such as its error's text
            for key in values.keys() - kept.keys():
                self._run.summary[key] = ""  # only what is there can be deleted
                del self._run.summary[key]

    def close(self, *, failed: bool) -> None:
        folder, offline = self._facts.folder, self._run.offline
        try:
            self._run.finish(exit_code=int(failed))
        except TimeoutError:
            if offline:  # the disk is slow: nothing to do with the service
                raise
            note_gone(folder, "a run's upload did not end in time", undelivered=Path(self._run.dir).parent.name)
        if free_bytes(folder) < LEAST_FREE:
            raise OSError(f"less than {LEAST_FREE // 2**20} MB are free: its W&B files may be incomplete")
