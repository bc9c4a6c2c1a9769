"""Cells that differ from a composed config in plain values alone: made without composing, at a fraction of a
millisecond each.

What is set by a word is a leaf of the config; other leaves may follow it (`subset_seed: ${seed}`). Whatever is not that
simple - a list, a text with `${`, a key that is not there, a value of the wrong type - is left to OmegaConf, so that
its messages and conversions stay the only ones.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.parse import GROUP_KINDS, Assembler, Parts, read_parts
from scaling.compose.paths import STUDY, is_setting, leaves, rerun_words, settings
from scaling.compose.study_config import StudyConfig, parse_study
from scaling.config import CellConfig, ConfigError

_FOLLOWS = re.compile(r"\$\{([\w.]+)\}")
_SPECIAL = re.compile(r"\$\{|^\?\?\?$")
_types = functools.cache(typing.get_type_hints)


def is_plain(value: Any) -> bool:
    """Whether a value can be set without OmegaConf's help."""
    return isinstance(value, bool | int | float | None) or (isinstance(value, str) and not _SPECIAL.search(value))


@functools.lru_cache(maxsize=65536)
def _converted(kind: type, field: str, of: type, value: Any) -> Any:
    """A value as the field of a dataclass has it; `of` is its own type, which tells 1 from True and 1.0.

    Raises:
        OmegaConfBaseException: it cannot be that.
    """
    wanted = _types(kind)[field]
    if wanted is of or of in typing.get_args(wanted):
        return value
    schema = OmegaConf.structured(kind)
    OmegaConf.set_readonly(schema, False)
    schema[field] = value
    return schema[field]


def _with(group: Any, values: Mapping[tuple[str, ...], Any]) -> Any:
    """A frozen dataclass with some fields set, nested ones by their path."""
    kind: Any = type(group)
    changes: dict[str, Any] = {}
    inside: dict[str, dict[tuple[str, ...], Any]] = {}
    for path, value in values.items():
        if len(path) > 1:
            inside.setdefault(path[0], {})[path[1:]] = value
        else:
            of: Any = type(value)
            changes[path[0]] = _converted(kind, path[0], of, value)
    changes |= {name: _with(getattr(group, name), mine) for name, mine in inside.items()}
    return dataclasses.replace(group, **changes)


@dataclasses.dataclass(frozen=True)
class PlainShape:
    """The leaves of a composed config as they are written, and those that follow another: `{follower: leader}`."""

    leaves: dict[str, Any]
    followers: dict[str, str]
    simple: bool  # nothing follows in a way that is not known here

    @classmethod
    def of(cls, config: DictConfig) -> PlainShape:
        raw = leaves(OmegaConf.to_container(config))
        texts = {key: value for key, value in raw.items() if isinstance(value, str) and "${" in value}
        found = {key: _FOLLOWS.fullmatch(value) for key, value in texts.items()}
        followers = {key: match[1] for key, match in found.items() if match}
        # `wandb.project` and the like are looked up in the environment, which no word changes.
        simple = all(match or key.startswith("wandb.") for key, match in found.items())
        return cls(raw, followers, simple and all(is_plain(raw.get(to, [])) for to in followers.values()))

    def takes(self, key: str, value: Any) -> bool:
        """Whether a word that sets this key to this value is as simple as that."""
        old = self.leaves.get(key, [])
        cells_own = key.split(".")[0] not in (*STUDY, "sweeps")
        return self.simple and cells_own and is_plain(value) and (is_plain(old) or key in self.followers)


class PlainCells:
    """The cells of one composed config.

    Args:
        config: the composed config, without its `hydra` node.
        base: what `choices` alone compose to.
        choices: the group choices, such as {"data": "strokes", "model": "resnet8"}.
        shape: of the same config, as `takes` was asked.
    """

    def __init__(self, config: DictConfig, base: DictConfig, choices: Mapping[str, str], shape: PlainShape) -> None:
        self._config, self._base, self._choices = config, base, choices
        now = PlainShape.of(config)  # a word of the shared ones may have made a follower of its own
        self._followers, self._simple = now.followers, shape.simple and now.simple

    @functools.cached_property
    def _parts(self) -> Parts:
        return read_parts(self._config)

    @functools.cached_property
    def _settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What of this config differs from `base`, and what `base` is."""
        mine, base = settings(self._config), settings(self._base)
        return {key: value for key, value in mine.items() if key not in base or base[key] != value}, base

    @functools.cached_property
    def study(self) -> StudyConfig:
        """What the command is to do with these cells; no word of a cell alone changes it."""
        return parse_study(self._config)

    def cell(self, assembler: Assembler, values: Mapping[str, Any]) -> CellConfig | None:
        """The cell with these values; None where OmegaConf has to say what is wrong, or to convert.

        Raises:
            ConfigError: a setting cannot work.
        """
        if not self._simple:
            return None
        given = dict(values)
        given |= {key: values[to] for key, to in self._followers.items() if to in values and key not in values}
        changed, base = self._settings
        by_group: dict[str, dict[tuple[str, ...], Any]] = {}
        for key, value in given.items():
            path = tuple(key.split("."))
            group, rest = (path[0], path[1:]) if path[0] in GROUP_KINDS else ("", path)
            by_group.setdefault(group, {})[rest] = value
        try:
            parts = self._parts
            top = _with(parts.top, by_group.pop("", {}))
            groups = parts.groups | {name: _with(parts.groups[name], v) for name, v in by_group.items()}
        except (ConfigError, OmegaConfBaseException, KeyError, TypeError):
            return None
        changed = changed | {key: value for key, value in given.items() if is_setting(key)}
        return assembler.cell(Parts(top, groups), rerun_words(changed, base, self._choices))
