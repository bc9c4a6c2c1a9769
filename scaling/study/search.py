"""Runs cells for a sweeper that searches (Optuna's) and hands it their validation errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from scaling.compose.composer import Composer
from scaling.config import ConfigError
from scaling.study.run_study import finish, run_study
from scaling.sweep.objective import CellFailed, objective_of
from scaling.sweep.runners import Runner


def check_search(config: Any) -> None:
    """Refuses what a search by validation error cannot be.

    Raises:
        ConfigError: nothing has been started.
    """
    direction = config.hydra.sweeper.get("direction", "minimize")
    if str(getattr(direction, "name", direction)) != "minimize":
        raise ConfigError(
            f"hydra.sweeper.direction={direction}: the objective is the validation error alone; less of it is better"
        )
    for key in ("tune", "check"):
        if config.get(key):
            raise ConfigError(f"{key}={config[key]} and hydra/sweeper search each by themselves; give one of them")


def objectives(composer: Composer, words: Sequence[Sequence[str]], runner: Runner) -> list[float | CellFailed]:
    """Brings the cells of these words to their records, says each one's validation error, and returns them.

    Raises:
        ConfigError: a cell or an option cannot work; nothing has been started.
    """
    check_search(composer.config)
    outcome, cell = run_study(composer, words, runner)
    finish(outcome, cell)
    if outcome is None:
        sys.exit(0)  # a dry run: there is nothing to learn from
    found = [objective_of(composer.job(job).cell) for job in words]
    for job, value in zip(words, found, strict=True):
        print(f"val_error {value if isinstance(value, Exception) else format(value, '.4f')}: {' '.join(job)}")
    return found
