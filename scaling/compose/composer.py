"""Turns words into cells: composes a sweep's overrides as Hydra would, applies the recipe, and parses each cell."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.parse import parse
from scaling.compose.paths import rerun_overrides
from scaling.compose.recipe import read_recipe, recipe_words
from scaling.compose.study_config import StudyConfig, parse_study
from scaling.config import CellConfig
from scaling.records.words import key_of


@dataclass(frozen=True)
class Job:
    """A cell, the words that compose it in this sweep, and those that a recipe adds to them."""

    words: tuple[str, ...]
    added: tuple[str, ...]
    cell: CellConfig

    def sets(self, key: str) -> bool:
        return any(key_of(word) == key for word in self.words)


def _without_hydra(config: Any) -> Any:
    """Hydra's own settings are most of a config, and copied for every cell they would be most of its cost."""
    kept = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    OmegaConf.set_struct(kept, True)  # a key that is not there is refused
    return kept


class Composer:
    """What Hydra composes of a job's words. Hydra takes .1 s a cell, so cells of the same group choices share one
    composition and set their values on copies of it, as Hydra itself does last.

    Args:
        loader: Hydra's config loader.
        config: the sweep's own composed config, its `hydra` node included.
    """

    def __init__(self, loader: Any, config: Any) -> None:
        self._loader, self.config = loader, config
        self._composed: dict[tuple[str, ...], tuple[Any, dict[str, str]]] = {}
        self._bases: dict[str, Any] = {}  # what group choices alone compose to

    def _is_plain(self, override: Override) -> bool:
        """Whether an override only sets a value that is there: no group choice, no addition or deletion."""
        changes_keys = override.is_add() or override.is_force_add() or override.is_delete()
        key = override.get_key_element()
        return not (changes_keys or key.startswith("hydra") or key in self.config.hydra.runtime.choices)

    def compose(self, words: Sequence[str]) -> tuple[Any, dict[str, str]]:
        """The config of a job without its `hydra` node, and the choices of its model and data."""
        parsed = OverridesParser.create(config_loader=self._loader).parse_overrides(list(words))
        plain = [override for override in parsed if self._is_plain(override)]
        groups = tuple(str(override.input_line) for override in parsed if override not in plain)
        if groups not in self._composed:
            whole = self._loader.load_sweep_config(self.config, list(groups))
            choices = {group: str(whole.hydra.runtime.choices[group]) for group in ("data", "model")}
            self._composed[groups] = _without_hydra(whole), choices
        shared, choices = self._composed[groups]
        config = copy.deepcopy(shared)
        for override in plain:
            try:
                OmegaConf.update(config, override.get_key_element(), override.value(), merge=True)
            except OmegaConfBaseException as error:
                text = f"Could not override '{override.get_key_element()}'; {error}"
                raise ConfigCompositionException(text) from error
        return config, choices

    def job(self, words: Sequence[str]) -> Job:
        """The job of these words, the recipes' values added where the words set none.

        Raises:
            ConfigError, HydraException: the words cannot be composed, or the cell cannot work.
        """
        config, choices = self.compose(words)
        key = repr(choices)
        if key not in self._bases:
            self._bases[key], _ = self.compose([f"{group}={choice}" for group, choice in choices.items()])
        added: tuple[str, ...] = ()
        if config.get("recipe"):
            added = recipe_words(parse_study(config).recipe, parse(config), words)
        for word in added:
            setting, value = word.split("=", 1)
            OmegaConf.update(config, setting, float(value), merge=True)
        return Job(tuple(words), added, parse(config, overrides=rerun_overrides(config, self._bases[key], choices)))

    def recipe_keys(self, study: StudyConfig) -> list[str]:
        return [read_recipe(name).key for name in study.recipe]

    def study(self, words: Sequence[str]) -> StudyConfig:
        """What the command is to do with its cells.

        Raises:
            ConfigError: one of its settings cannot be.
        """
        return parse_study(self.compose(words)[0])
