"""Which words of a record may be run again: settings of a cell with literal values, and no others.

Records, tables and W&B configs are data that somebody else may have written. Hydra's grammar can do more than set
values (`hydra.callbacks...`, `_target_`, `+key`, `${oc.env:KEY}`, other config files), so their words are held against
a list of what a cell has before they come near it. Free of torch.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Iterable, Sequence

from scaling.config import CellConfig
from scaling.records.files import printable
from scaling.records.words import key_of

_GROUPS = ("data", "model", "weights")  # chosen by the name of a packaged file
_ELSEWHERE = ("data.cache", "data.own")  # of the machine that ran the cell: passed over
# How `hydra_value` and people write one value: quoted, or without the signs that mean something to Hydra.
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_PLAIN = r"[\w./:+@%*?|~-](?:[\w./:+@%*?|~ -]*[\w./:+@%*?|~-])?"
_ATOM = rf"(?:{_QUOTED}|{_PLAIN})"
_LITERAL = re.compile(rf"{_ATOM}|\[(?:{_ATOM}(?:,\s*{_ATOM})*)?\]", re.ASCII)
_NAME = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_OPENS = re.compile(r"(\\*)\$\{")  # with an odd number of backslashes before it, it is two signs of a text


class ReplayError(ValueError):
    """Words that are not run again; the message says in one line which."""


def _settings_of(kind: type, prefix: str = "") -> Iterable[str]:
    types = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if prefix or field.metadata.get("result", True):  # where and how to run is for whoever runs it
            of = types[field.name]
            if isinstance(of, type) and dataclasses.is_dataclass(of):
                yield from _settings_of(of, f"{prefix}{field.name}.")
            else:
                yield prefix + field.name


@functools.cache
def replayed_keys() -> frozenset[str]:
    """The dotted keys of every setting that says what a cell is, and the groups that are chosen by name."""
    return frozenset(key for key in (*_settings_of(CellConfig), *_GROUPS) if not key.startswith("wandb"))


def interpolates(text: str) -> bool:
    """Whether a text stands for a value that is looked up elsewhere: `${key}` or `${oc.env:KEY}`."""
    return any(len(found[1]) % 2 == 0 for found in _OPENS.finditer(text))


@functools.lru_cache(maxsize=65536)
def _problem(word: str) -> str | None:
    key, equals, value = word.partition("=")
    if not equals or key not in replayed_keys():
        return "is no setting of a cell"
    if interpolates(value) or not _LITERAL.fullmatch(value):
        return "has a value that is no plain number, text or list"
    if key in _GROUPS and not _NAME.fullmatch(value):
        return f"is no name of a {key} file"
    return None


def replayed(words: Sequence[str]) -> list[str]:
    """The words of a record that run its cell again; those about the machine that ran it are left out.

    Raises:
        ReplayError: one of them sets anything else than a setting of a cell, to anything else than a literal value.
    """
    for word in words:
        problem = _problem(str(word))
        if problem is not None:
            shown = printable(str(word))
            text = shown if len(shown) < 80 else shown[:77] + "..."
            raise ReplayError(f"{text!r} {problem}, and only settings of a cell with literal values are run again")
    return [str(word) for word in words if key_of(str(word)) not in _ELSEWHERE]
