"""A sweep file and the command line in, the words of every cell out; also all cells that a command means."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from scaling.compose.composer import Composer
from scaling.compose.grids import Grid, GridError, Values, expand, narrow, read_block
from scaling.compose.paths import CONF
from scaling.compose.start_weights import inherit
from scaling.config import CellConfig
from scaling.study.run_study import plan


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise HydraException(f"{override.input_line}: only lists of values can be swept, as in key=a,b,c")
    return [str(value) for value in override.sweep_string_iterator()]


def _blocks(cells: list[Any], params: dict[str, Any]) -> list[Any]:
    """The entries of `cells`, or Hydra's `params` as one entry; of those only comma-separated texts are taken."""
    if params and cells:
        raise HydraException("hydra.sweeper has params and cells; write the params as one more entry of cells")
    for key, value in params.items():
        if isinstance(value, list):
            texts = ",".join(_literal(item) for item in value)
            raise HydraException(
                f"hydra.sweeper.params.{key} is a YAML list, which Hydra would run as one job; write the text "
                f"{key}: {texts} there, or a list under hydra.sweeper.cells"
            )
    return cells or ([params] if params else [])


def job_words(loader: Any, cells: Any, params: Any, arguments: Sequence[str]) -> list[list[str]]:
    """The words of every cell.

    Args:
        loader: Hydra's config loader.
        cells, params: of `hydra.sweeper`.
        arguments: the command line's overrides.

    Raises:
        HydraException: the sweep file or the arguments cannot be expanded, or to no cell.
    """
    parser = OverridesParser.create(config_loader=loader)

    def read(key: str, value: Any) -> list[str]:
        items = value if isinstance(value, list) else [value]
        overrides = [parser.parse_override(f"{key}={_literal(item)}") for item in items]
        return [text for override in overrides for text in _values(override)]

    asked: Values = {}
    fixed: list[str] = []
    for override in parser.parse_overrides(list(arguments)):
        if override.is_delete() or override.is_add() or override.is_force_add():
            fixed.append(str(override.input_line))
        else:
            asked[override.get_key_element()] = _values(override)
    if len(asked.get("sweeps", [])) > 1:
        one = " && ".join(f"python -m scaling.train sweeps={name}" for name in asked["sweeps"])
        raise HydraException(f"a sweep over sweeps would run one cell of each; one command per sweep: {one}")
    try:
        blocks = _blocks(cells, params)
        grids = [grid for block in blocks for grid in read_block(block, read)] or [Grid({})]
        jobs = [fixed + job for job in expand(narrow(grids, asked))]
    except GridError as error:
        raise HydraException(str(error)) from error
    if not jobs:
        raise HydraException(f"no cell of the sweep has all of: {shlex.join(arguments)}")
    return jobs


def read_command(arguments: Sequence[str]) -> tuple[Composer, list[list[str]]]:
    """What composes the cells of `python -m scaling.train ARGUMENTS`, and every cell's words.

    Raises:
        HydraException, OmegaConfBaseException: the command would be refused.
    """
    inherited = inherit(arguments)
    words = [word for word in inherited if word not in ("-m", "--multirun")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config: Any = loader.load_configuration("config", words, run_mode=RunMode.MULTIRUN, from_shell=False)
    task = list(config.hydra.overrides.task)
    if len(words) == len(inherited) and config.hydra.mode != RunMode.MULTIRUN:
        return Composer(loader, config), [task]
    sweeper = OmegaConf.to_container(config.hydra.sweeper)
    assert isinstance(sweeper, dict)
    return Composer(loader, config), job_words(loader, sweeper["cells"], sweeper["params"], task)


def cells_of(arguments: Sequence[str]) -> list[CellConfig]:
    """All cells that `python -m scaling.train ARGUMENTS` would reach; nothing is run, and nothing on disk is changed.

    Raises:
        ConfigError, HydraException, OmegaConfBaseException: the command would be refused.
    """
    return [job.cell for job in plan(*read_command(arguments))]
