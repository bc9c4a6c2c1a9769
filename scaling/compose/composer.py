"""Turns words into cells: composes a sweep's overrides as Hydra would, applies the recipe, and parses each cell."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.parse import Assembler, parse, read_parts
from scaling.compose.paths import rerun_overrides
from scaling.compose.plain_cells import PlainCells, PlainShape
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


@dataclass(frozen=True, eq=False)
class _Word:
    """A word that is read: `plain` if it only sets a value that is there, no group choice, addition or deletion."""

    text: str
    key: str
    value: Any
    plain: bool


class Composer:
    """What Hydra composes of a job's words. Hydra takes .1 s a cell, so cells of the same group choices share one
    composition and set their values on copies of it, as Hydra itself does last. Copies take 20 ms, too: cells that
    differ in plain values alone are made of those (`plain_cells`).

    Args:
        loader: Hydra's config loader.
        config: the sweep's own composed config, its `hydra` node included.
    """

    def __init__(self, loader: Any, config: Any) -> None:
        self._loader, self.config = loader, config
        self._composed: dict[tuple[str, ...], tuple[Any, dict[str, str]]] = {}
        self._bases: dict[str, Any] = {}  # what group choices alone compose to
        self._parser = OverridesParser.create(config_loader=loader)
        self._groups = {str(key) for key in config.hydra.runtime.choices}
        self._words: dict[str, _Word] = {}
        self._shapes: dict[tuple[str, ...], PlainShape] = {}
        self._cells: dict[tuple[str, ...], PlainCells] = {}
        self._assembler = Assembler()

    def _read(self, text: str) -> _Word:
        """A word as Hydra reads it; the cells of a grid share their words."""
        if text not in self._words:
            (override,) = self._parser.parse_overrides([text])
            changes_keys = override.is_add() or override.is_force_add() or override.is_delete()
            key = override.get_key_element()
            plain = not (changes_keys or key.startswith("hydra") or key in self._groups)
            self._words[text] = _Word(text, key, override.value() if plain else None, plain)
        return self._words[text]

    def _grouped(self, words: Sequence[_Word]) -> tuple[Any, dict[str, str]]:
        """What Hydra composes of words that are more than plain settings, and the choices of data, model, weights."""
        groups = tuple(word.text for word in words if not word.plain)
        if groups not in self._composed:
            whole = self._loader.load_sweep_config(self.config, list(groups))
            made = whole.hydra.runtime.choices
            choices = {group: str(made[group]) for group in ("data", "model", "weights") if made[group] != "none"}
            self._composed[groups] = _without_hydra(whole), choices
        return self._composed[groups]

    def compose(self, words: Sequence[str]) -> tuple[Any, dict[str, str]]:
        """The config of a job without its `hydra` node, and the choices of its model, data and weights."""
        read = [self._read(word) for word in words]
        shared, choices = self._grouped(read)
        config = copy.deepcopy(shared)
        for word in (word for word in read if word.plain):
            try:
                OmegaConf.update(config, word.key, word.value, merge=True)
            except OmegaConfBaseException as error:
                raise ConfigCompositionException(f"Could not override '{word.key}'; {error}") from error
        return config, choices

    def _base(self, choices: dict[str, str]) -> Any:
        key = repr(choices)
        if key not in self._bases:
            self._bases[key], _ = self.compose([f"{group}={choice}" for group, choice in choices.items()])
        return self._bases[key]

    def _split(self, words: Sequence[str]) -> tuple[PlainCells, dict[str, Any]]:
        """The cells of a config that many jobs share, and the values in which a job differs from it."""
        read = [self._read(word) for word in words]
        groups = tuple(word.text for word in read if not word.plain)
        if groups not in self._shapes:
            self._shapes[groups] = PlainShape.of(self._grouped(read)[0])
        shape = self._shapes[groups]
        own = [word for word in read if word.plain and shape.takes(word.key, word.value)]
        # A word for several settings at once (data.strokes={...}) may come before or after one for one of them.
        wide = tuple(f"{word.key}." for word in read if word.plain and word not in own)
        own = [word for word in own if not word.key.startswith(wide)] if wide else own
        shared = tuple(word.text for word in read if word not in own)
        if shared not in self._cells:
            config, choices = self.compose(shared)
            self._cells[shared] = PlainCells(config, self._base(choices), choices, shape)
        return self._cells[shared], {word.key: word.value for word in own}

    def job(self, words: Sequence[str]) -> Job:
        """The job of these words, the recipes' values added where the words set none.

        Raises:
            ConfigError, HydraException: the words cannot be composed, or the cell cannot work.
        """
        cells, values = self._split(words)
        cell = cells.cell(self._assembler, values)
        if cell is None:
            return self.composed_job(words)
        added = recipe_words(cells.study.recipe, cell, words) if cells.study.recipe else ()
        if added:
            more = dict(word.split("=", 1) for word in added)
            cell = cells.cell(self._assembler, values | {key: float(value) for key, value in more.items()})
            assert cell is not None
        return Job(tuple(words), added, cell)

    def composed_job(self, words: Sequence[str]) -> Job:
        """The same by OmegaConf alone, which takes ten times as long and knows every kind of value."""
        config, choices = self.compose(words)
        added: tuple[str, ...] = ()
        if config.get("recipe"):
            added = recipe_words(parse_study(config).recipe, parse(config), words)
        for word in added:
            setting, value = word.split("=", 1)
            OmegaConf.update(config, setting, float(value), merge=True)
        overrides = rerun_overrides(config, self._base(choices), choices)
        return Job(tuple(words), added, self._assembler.cell(read_parts(config), overrides))

    def recipe_keys(self, study: StudyConfig) -> list[str]:
        return [read_recipe(name).key for name in study.recipe]

    def study(self, words: Sequence[str]) -> StudyConfig:
        """What the command is to do with its cells.

        Raises:
            ConfigError: one of its settings cannot be.
        """
        return parse_study(self.compose(words)[0])
