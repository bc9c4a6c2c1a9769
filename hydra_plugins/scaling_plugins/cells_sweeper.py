"""Hydra sweeper `cells`: a sweep is a list of grids, so that not everything has to be crossed with everything.

    hydra:
      sweeper:
        cells:
          - {model: [resnet8, vit_w48d3], data.train_size: [128, 256, 512], seed: [0, 1]}
          - {model: [resnet8], data.train_size: [256], optim.lr: [0.01, 0.03]}   # a grid beside it

Values are YAML lists or the comma-separated strings of Hydra's own sweeper. The command line narrows the grids: values
that they have select cells; a value that no grid has replaces a key's values in every grid.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from omegaconf import ListConfig, OmegaConf


@dataclass
class CellsSweeperConfig:
    _target_: str = "hydra_plugins.scaling_plugins.cells_sweeper.CellsSweeper"
    cells: list[Any] = field(default_factory=list)


ConfigStore.instance().store(group="hydra/sweeper", name="cells", node=CellsSweeperConfig, provider="scaling")

Grid = dict[str, list[str]]


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise HydraException(f"{override.input_line}: only lists of values can be swept, as in key=a,b,c")
    return [str(value) for value in override.sweep_string_iterator()]


def narrow(grids: list[Grid], asked: Grid) -> list[Grid]:
    """The grids after the command line's word: see the module's docstring."""
    for key, values in asked.items():
        known = {value for grid in grids for value in grid.get(key, [])}
        if known and set(values) <= known:
            grids = [grid | {key: [v for v in grid[key] if v in values]} if key in grid else grid for grid in grids]
            grids = [grid for grid in grids if grid.get(key, ["-"])]
            grids = [grid if key in grid else grid | {key: values} for grid in grids]
        else:
            grids = [grid | {key: values} for grid in grids]
    return grids


def expand(grids: list[Grid]) -> list[list[str]]:
    """Every combination of every grid, each once, in order."""
    jobs = [
        tuple(f"{key}={value}" for key, value in zip(grid, combination, strict=True))
        for grid in grids
        for combination in itertools.product(*grid.values())
    ]
    return [list(job) for job in dict.fromkeys(jobs)]


class CellsSweeper(Sweeper):
    def __init__(self, cells: Any) -> None:
        self.cells = cells

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        from hydra.core.plugins import Plugins

        self.loader = hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def _grid(self, block: Any, parser: OverridesParser) -> Grid:
        grid: Grid = {}
        for key, value in block.items():
            items = value if isinstance(value, list | ListConfig) else [value]
            for item in items:
                override = parser.parse_override(f"{key}={_yaml_literal(item)}")
                grid.setdefault(str(key), []).extend(_values(override))
        return grid

    def sweep(self, arguments: list[str]) -> Any:
        parser = OverridesParser.create(config_loader=self.loader)
        cells: Any = OmegaConf.to_container(self.cells) if OmegaConf.is_config(self.cells) else self.cells
        grids = [self._grid(block, parser) for block in cells] or [{}]
        asked: Grid = {}
        fixed: list[str] = []
        for override in parser.parse_overrides(list(arguments)):
            if override.is_delete() or override.is_add() or override.is_force_add():
                fixed.append(str(override.input_line))
            else:
                asked[override.get_key_element()] = _values(override)
        if len(asked.get("sweeps", [])) > 1:
            raise HydraException("a sweep over sweeps runs one cell of each; run one command per sweep")
        assert self.launcher is not None
        jobs = [fixed + job for job in expand(narrow(grids, asked))]
        return [self.launcher.launch(jobs, initial_job_idx=0)]


def _yaml_literal(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
