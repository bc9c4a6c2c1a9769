"""Hydra sweeper `cells`: a sweep is a list of grids, so that not everything has to be crossed with everything.

    hydra:
      sweeper:
        cells:
          - {model: [resnet8, vit_w48d3], data.train_size: [128, 256, 512], seed: [0, 1]}
          - {model: [resnet8], data.train_size: [256], optim.lr: [0.01, 0.03]}   # a grid beside it

Values are YAML lists or the comma-separated strings of Hydra's own sweeper; `zip` and `exclude` are described in
compose/grids.py. The command line narrows the grids: values that they have select cells; a value that no grid has
replaces a key's values in every grid.
"""

import sys
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf


@dataclass
class CellsSweeperConfig:
    _target_: str = "hydra_plugins.scaling_plugins.cells_sweeper.CellsSweeper"
    cells: list[Any] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)  # Hydra's own way to write one grid


ConfigStore.instance().store(group="hydra/sweeper", name="cells", node=CellsSweeperConfig, provider="scaling")


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node


class CellsSweeper(Sweeper):
    def __init__(self, cells: Any, params: Any) -> None:
        self.cells, self.params = _plain(cells), _plain(params)

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        from hydra.core.plugins import Plugins

        self.loader: Any = hydra_context.config_loader
        self.config: Any = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        # Imported here: Hydra imports every plugin at every start, --help included.
        from scaling.compose.composer import Composer
        from scaling.compose.sweep_file import job_words
        from scaling.config import ConfigError
        from scaling.study.run_study import finish, run_study
        from scaling.sweep.runners import HydraRunner, local_runner
        from scaling.sweep.torchrun import started_by_torchrun

        launcher = self.config.hydra.runtime.choices["hydra/launcher"]
        if launcher != "pool" and started_by_torchrun():
            raise ConfigError(f"torchrun runs a cell in its own processes: leave hydra/launcher={launcher} out")
        words = job_words(self.loader, self.cells, self.params, arguments, out=self.config.out)
        composer = Composer(self.loader, self.config)
        if composer.study(words[0]).design == "adaptive":
            from hydra_plugins.scaling_plugins.crossover_sweeper import sweep_adaptively

            status = sweep_adaptively(composer, words, self.launcher if launcher != "pool" else None, self.config)
            if status:
                sys.exit(status)
            return []
        if launcher == "pool":
            with local_runner() as runner:
                status = finish(*run_study(composer, words, runner))
        else:
            status = finish(*run_study(composer, words, HydraRunner(self.launcher, self.config)))
        if status:
            sys.exit(status)
        return []
