"""Hydra launcher `pool`: composes and checks every cell before the first starts, then runs them by scaling.sweep."""

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import ConfigCompositionException
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException


@dataclass
class PoolLauncherConfig:
    _target_: str = "hydra_plugins.scaling_plugins.pool_launcher.PoolLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="pool", node=PoolLauncherConfig, provider="scaling")


class PoolLauncher(Launcher):
    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.loader, self.config = hydra_context.config_loader, config
        self.composed: dict[tuple[str, ...], Any] = {}

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        # Imported here: Hydra imports every plugin at every start, --help included.
        from scaling import train

        bases: dict[str, Any] = {}
        cells = [train.cell_of(self._compose(overrides), bases, self._compose) for overrides in job_overrides]
        status = train.act(cells)
        if status:
            sys.exit(status)
        return [JobReturn(overrides=list(o), status=JobStatus.COMPLETED) for o in job_overrides]

    def _is_plain(self, override: Override) -> bool:
        """Whether an override only sets a value that is there: no group choice, no addition or deletion."""
        changes_keys = override.is_add() or override.is_force_add() or override.is_delete()
        key = override.get_key_element()
        return not (changes_keys or key.startswith("hydra") or key in self.config.hydra.runtime.choices)

    def _compose(self, overrides: Sequence[str]) -> Any:
        """What Hydra composes of the overrides. It takes .1 s a cell, so cells of the same group choices share one
        composition and set their values on copies of it, as Hydra itself does last."""
        parsed = OverridesParser.create(config_loader=self.loader).parse_overrides(list(overrides))
        plain = [override for override in parsed if self._is_plain(override)]
        choices = tuple(str(override.input_line) for override in parsed if override not in plain)
        if choices not in self.composed:
            self.composed[choices] = self.loader.load_sweep_config(self.config, list(choices))
        config = copy.deepcopy(self.composed[choices])
        for override in plain:
            try:
                OmegaConf.update(config, override.get_key_element(), override.value(), merge=True)
            except OmegaConfBaseException as error:
                text = f"Could not override '{override.get_key_element()}'; {error}"
                raise ConfigCompositionException(text) from error
        return config
