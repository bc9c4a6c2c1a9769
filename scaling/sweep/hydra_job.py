"""What Hydra calls for a cell: the one cell of a command, or a job that some launcher started in a process somewhere.

A launcher's job runs its cell in a supervised worker, which stays alive for the next job of that process, and ends when
the command that launched it is gone: not every launcher isolates a crash or stops what it began.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any, Protocol

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from scaling.compose.composer import Composer
from scaling.sweep.pool import kept_pool
from scaling.sweep.run_cells import run_cells
from scaling.sweep.worker import FIRST_PROCESS, first_process


@functools.cache
def _end_with_command() -> None:
    """Ends this process when the command that launched its jobs ends. On another host than the command's nothing is
    done: there the queue that started the job has to end it."""
    command = first_process()
    if command is None:
        return

    def watch() -> None:
        wait([command])
        os._exit(1)  # the workers end with it

    threading.Thread(target=watch, daemon=True).start()


class RunCommand(Protocol):
    """Does what a command without a job of ours asks for; `search`: a sweeper of another's launched it as a cell."""

    def __call__(self, composer: Composer, words: list[str], *, search: bool) -> float | None: ...


def make_job(run_command: RunCommand) -> Callable[[DictConfig], str | float | None]:
    """The function for `hydra.main`."""

    # joblib's processes have a start method of their own by default, which our workers do not.
    def run_job(config: DictConfig) -> str | float | None:
        full: Any = config.copy()
        with open_dict(full):
            full.hydra = HydraConfig.get()
        task: Any = OmegaConf.to_container(full.hydra.overrides.task)  # as written: a word may hold an escaped "${"
        words = [str(word) for word in task]
        composer = Composer(GlobalHydra.instance().config_loader(), full)
        if FIRST_PROCESS not in os.environ:
            search = full.hydra.mode == RunMode.MULTIRUN
            if search:
                multiprocessing.set_start_method("spawn", force=True)
            return run_command(composer, words, search=search)
        _end_with_command()
        multiprocessing.set_start_method("spawn", force=True)
        cell = composer.job(words).cell
        run_cells([cell], pool=kept_pool(), quiet=True)
        return cell.cell_name

    return run_job
