"""All cells that a command line means, without running any of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from scaling.compose.command_words import read_command_line
from scaling.compose.composer import Composer
from scaling.compose.paths import CONF, ROOT
from scaling.compose.sweep_file import job_words
from scaling.config import CellConfig
from scaling.records.words import hydra_value
from scaling.study.run_study import plan


def read_command(arguments: Sequence[str]) -> tuple[Composer, list[list[str]]]:
    """What composes the cells of `python -m scaling.train ARGUMENTS`, and every cell's words.

    Raises:
        ConfigError, HydraException, OmegaConfBaseException: the command would be refused.
    """
    line = read_command_line(arguments)
    words = list(line.words)
    if line.config_dir is not None:
        words.append(
            f"hydra.searchpath=[{hydra_value(f'file://{ROOT}')},{hydra_value(f'file://{Path(line.config_dir).resolve()}')}]"
        )
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        mode = RunMode.MULTIRUN
        config: Any = loader.load_configuration(line.config_name, words, run_mode=mode, from_shell=False)
    task: Any = OmegaConf.to_container(config.hydra.overrides.task)  # as written: a word may hold an escaped "${"
    if not line.multirun and config.hydra.mode != RunMode.MULTIRUN:
        return Composer(loader, config), [task]
    sweeper = OmegaConf.to_container(config.hydra.sweeper)
    assert isinstance(sweeper, dict)
    return Composer(loader, config), job_words(loader, sweeper["cells"], sweeper["params"], task, out=config.out)


def cells_of(arguments: Sequence[str]) -> list[CellConfig]:
    """All cells that `python -m scaling.train ARGUMENTS` would reach; nothing is run, and nothing on disk is changed.

    Raises:
        ConfigError, HydraException, OmegaConfBaseException: the command would be refused.
    """
    return [job.cell for job in plan(*read_command(arguments))]
