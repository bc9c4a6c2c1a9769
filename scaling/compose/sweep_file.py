"""Reads a sweep file and the command line and returns the words of every cell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from scaling.compose.grids import Grid, GridError, Values, expand, narrow, read_block
from scaling.compose.start_weights import inherit
from scaling.records.words import hydra_value

_OUT = "${out}/"


def _text(value: Any, out: str) -> str:
    """A value of a sweep file as a word has it. A text stays as it is, since it may be a list, as in `1,2`; but for
    `${out}/` before another sweep's name, whose runs are wherever this one's are."""
    if isinstance(value, str) and value.startswith(_OUT):
        return hydra_value(f"{out}/{value.removeprefix(_OUT)}")
    return value if isinstance(value, str) else hydra_value(value)


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
            texts = ",".join(_text(item, "") for item in value)
            raise HydraException(
                f"hydra.sweeper.params.{key} is a YAML list, which Hydra would run as one job; write the text "
                f"{key}: {texts} there, or a list under hydra.sweeper.cells"
            )
    return cells or ([params] if params else [])


def job_words(loader: Any, cells: Any, params: Any, arguments: Sequence[str], *, out: str) -> list[list[str]]:
    """The words of every cell.

    Args:
        loader: Hydra's config loader.
        cells, params: of `hydra.sweeper`.
        arguments: the command line's overrides.
        out: the folder of all sweeps.

    Raises:
        HydraException: the sweep file or the arguments cannot be expanded, or to no cell.
    """
    parser = OverridesParser.create(config_loader=loader)

    def read(key: str, value: Any) -> list[str]:
        items = value if isinstance(value, list) else [value]
        overrides = [parser.parse_override(f"{key}={_text(item, out)}") for item in items]
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
    if len(asked.get("init_from", [])) > 1 and "sweeps" not in asked:  # each is what its own source was
        jobs = [inherit(job) for job in jobs]
    if not jobs:
        raise HydraException(f"no cell of the sweep has all of: {shlex.join(arguments)}")
    return jobs
