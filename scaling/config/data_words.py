"""Parses `data.*` words, as commands without Hydra take them, into a typed data config."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from scaling.config.cell_config import ConfigError, DataConfig
from scaling.config.columns import Columns

_NOT_SETTINGS = ("kind", "strokes", "own", "columns")
_TYPES = {field.name: str(field.type) for field in dataclasses.fields(DataConfig) if field.name not in _NOT_SETTINGS}
_COLUMNS = tuple(field.name for field in dataclasses.fields(Columns))
DATA_KEYS = ("data", *(f"data.{name}" for name in _TYPES), *(f"data.columns.{name}" for name in _COLUMNS))


def _value(key: str, text: str) -> Any:
    kind = _TYPES[key]
    if text.lower() in ("null", "none") and "None" in kind:
        return None
    try:
        if "bool" in kind:
            return {"true": True, "false": False}[text.lower()]
        return int(text) if "int" in kind else float(text) if "float" in kind else _unquoted(text)
    except (KeyError, ValueError):
        wanted = kind.replace(" | None", "").replace("bool", "true or false")
        raise ConfigError(f"data.{key}={text} is not of the kind that is needed: {wanted}") from None


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def data_config(words: Mapping[str, str]) -> DataConfig:
    """The data config that `data=KIND` and `data.KEY=VALUE` say, everything else at its default.

    Raises:
        ConfigError: a value is of the wrong type.
    """
    values: dict[str, Any] = {"kind": words.get("data", "folder")}
    columns = {}
    for word, text in words.items():
        key = word.removeprefix("data.")
        if key.startswith("columns."):
            columns[key.removeprefix("columns.")] = _unquoted(text)
        elif word != key:
            values[key] = _value(key, text)
    return DataConfig(**values, columns=Columns(**columns))
