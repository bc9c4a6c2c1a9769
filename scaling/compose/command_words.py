"""Reads a command line before Hydra does, so that what is wrong is one line in the user's words.

`~` is expanded, whole numbers may be written 1e3, `sweeps=` takes a file anywhere, and flags may stand between words.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from scaling.compose.foreign import refuse_lookup
from scaling.compose.own_sweeps import register_sweep
from scaling.compose.paths import CONF, SWEEPS, list_options
from scaling.compose.start_weights import inherit
from scaling.config import BudgetConfig, CellConfig, ConfigError, DataConfig, OptimConfig, ProbeConfig, WandbConfig
from scaling.config.model_config import ModelConfig
from scaling.config.weights_config import WeightsConfig
from scaling.records.words import hydra_value

GROUPS = {"data": DataConfig, "model": ModelConfig, "optim": OptimConfig, "budget": BudgetConfig, "wandb": WandbConfig}
GROUPS |= {"probe": ProbeConfig, "weights": WeightsConfig}
_CHOICES = ("data", "model", "optim", "wandb", "weights", "sweeps")  # what a file is chosen for
_REFUSED = ("config_path", "experimental_rerun", "shell_completion", "hydra_help")


@dataclass(frozen=True)
class CommandLine:
    """The words and flags of `python -m scaling.train`."""

    words: list[str]
    multirun: bool
    config_dir: str | None
    config_name: str
    flags: list[str]  # all of them, as Hydra reads them


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; --help shows what this command takes")


def _parser() -> argparse.ArgumentParser:
    """Hydra's flags; of their own parser, so that a later Hydra's are known, too."""
    parser: Any = get_args_parser()
    parser.__class__ = _Parser
    parser.allow_abbrev = False
    return parser


def _flags(parser: argparse.ArgumentParser, given: argparse.Namespace) -> list[str]:
    flags = []
    for action in parser._actions:
        value = getattr(given, action.dest, None)
        if not action.option_strings or value in (None, False):
            continue
        flags += [action.option_strings[0]] + ([] if value is True else [str(value)])
    return flags


def _settings() -> dict[str, str]:
    """Every setting of a cell by its dotted key, with its type as it is declared."""
    found = {field.name: str(field.type) for field in dataclasses.fields(CellConfig) if field.name not in GROUPS}
    for group, kind in GROUPS.items():
        found |= {f"{group}.{field.name}": str(field.type) for field in dataclasses.fields(kind)}
    return found


def nearest_setting(key: str) -> str:
    """The setting whose name is most like `key`."""
    known = [*_settings(), *_CHOICES, "tune", "check", "recipe", "dry_run"]
    return difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]


def _whole(text: str) -> str:
    """A whole number written as 1e3 or 1000.0, as Hydra takes it for an integer; other texts as they are."""
    if not re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", text) or re.fullmatch(r"[+-]?\d+", text):
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else text


def _home(value: str) -> str:
    """`~` at the start of a path (or of each, between commas) in its place, quoted for Hydra."""
    quote = value[:1] if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1 else ""
    inside = value[1:-1] if quote else value
    if not inside.startswith("~"):
        return value
    parts = [inside] if quote else inside.split(",")
    try:
        return ",".join(hydra_value(str(Path(part).expanduser())) if part.startswith("~") else part for part in parts)
    except RuntimeError as error:
        raise ConfigError(f"{value}: there is no such home folder") from error


def _shown(key: str, value: str) -> str:
    """The word with its value in quotes, for a shell."""
    word = f"{key}={hydra_value(value)}"
    return shlex.quote(word) if re.search(r'["$`\\!]', word) else f'"{word}"'


def _takes_one(key: str) -> bool:
    declared = _settings().get(key)
    one = key in (*_CHOICES, "tune", "check") if declared is None else not re.match("list|tuple|dict", declared)
    return one and key not in ("recipe", "check_at")


def _check_word(word: str) -> None:
    """Refuses what Hydra cannot read, with what to write instead."""
    key, equals, value = word.partition("=")
    if equals and not key.lstrip("+~"):
        raise ConfigError(f"{word!r}: there is no key before the =")
    if not key.startswith("hydra."):  # what Hydra itself is told is in no record
        refuse_lookup(key, value)
    for name in re.findall(r"(?<!\\)\$\{([\w.]+)\}", value):
        if name not in _settings() and not name.startswith("hydra"):
            raise ConfigError(f"{word}: ${{{name}}} stands for no setting; the nearest is ${{{nearest_setting(name)}}}")
    if not equals and not word.startswith("~"):
        known = {name: "sweeps" for name, _ in list_options(SWEEPS)}
        known |= {name: group for group in ("weights", "model", "data") for name, _ in list_options(CONF / group)}
        meant = f"; {known[word]}={word} is meant?" if word in known else ", as in data.train_size=1000"
        raise ConfigError(f"{word!r} is not of the form key=value{meant}")
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        if re.search(r"\s", key):
            raise ConfigError(f"{word!r}: a key has no spaces; write key=value without any around =") from error
        if value[:1] and value[0] in "[{('\"":
            raise ConfigError(
                f"{word} cannot be read: what opens with {value[0]} is not closed as it should be"
            ) from error
        raise ConfigError(
            f"{word} cannot be read; a value with such signs stands in quotes: {_shown(key, value)}"
        ) from error
    if override.is_sweep_override() or override.is_delete():
        return
    plain = override.value()
    if isinstance(plain, list) and _takes_one(key):
        several = ",".join(map(str, plain))
        raise ConfigError(f"{word} is a list, and {key} takes one value; for several runs write -m {key}={several}")
    if key in _CHOICES and not isinstance(plain, str | None):
        raise ConfigError(
            f"{word}: {key}= takes a name, and single settings are {key}.NAME=VALUE; --help lists the names"
        )


def _plain_word(word: str, types: dict[str, str]) -> str:
    key, equals, value = word.partition("=")
    if not equals:
        return word
    value = _home(value)
    if re.fullmatch(r"int( \| None)?", types.get(key.lstrip("+"), "")):
        value = ",".join(_whole(part) for part in value.split(","))
    if key == "sweeps" and "," not in value.strip("'\"") and value not in ("null", ""):
        name = value[1:-1] if value[:1] in ("'", '"') else value
        if not name.startswith("["):
            value = register_sweep(name)
    return f"{key}={value}"


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """A command line with everything in it that Hydra could not read made readable.

    Raises:
        ConfigError: a word or flag cannot be understood; the message says what to write.
    """
    parser = _parser()
    given = parser.parse_intermixed_args(list(arguments))
    for name in _REFUSED:
        if getattr(given, name):
            flag = "--" + name.replace("_", "-")
            raise ConfigError(f"{flag} is not for this command; --config-dir DIR adds a folder of settings")
    if given.resolve and not given.cfg:
        raise ConfigError("--resolve goes with --cfg, as in --cfg job --resolve")
    if given.config_dir is not None and not Path(given.config_dir).is_dir():
        raise ConfigError(f"--config-dir {given.config_dir}: there is no such folder")
    words, types = inherit(given.overrides), _settings()
    words = [_plain_word(word, types) for word in words]
    for word in words:
        _check_word(word)
    multirun = bool(given.multirun)
    sweeps = next((word[7:] for word in words if word.startswith("sweeps=") and "," in word), "")
    if sweeps and not sweeps.startswith(("'", '"')):
        one = " && ".join(f"python -m scaling.train sweeps={name}" for name in sweeps.split(","))
        raise ConfigError(f"a sweep over sweeps would run one cell of each; one command per sweep: {one}")
    several = [w for w in words if not multirun and not _sets_sweep(words) and _is_sweep(w)]
    if several:
        raise ConfigError(f"{several[0]} means several runs: add -m (or write a list as [a,b] where one is wanted)")
    return CommandLine(words, multirun, given.config_dir, given.config_name or "config", _flags(parser, given))


def _sets_sweep(words: Sequence[str]) -> bool:
    return any(word.startswith("sweeps=") or word == "hydra.mode=MULTIRUN" for word in words)


def _is_sweep(word: str) -> bool:
    return bool(OverridesParser.create().parse_override(word).is_sweep_override())
