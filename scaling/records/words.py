"""Hydra's words, `key=value`: how a value is written so that Hydra reads it back as it was, and what a word sets.

The one place that quotes, for records, sweeps and the commands that the analysis prints. Free of torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hydra.core.override_parser.types import Quote, QuotedString

HydraValue = str | int | float | bool | list["HydraValue"] | None

_NOT_TEXT = ("null", "true", "false", "nan", "inf")  # Hydra reads these as other things than text


def hydra_value(value: HydraValue) -> str:
    """Writes a value in the grammar of Hydra's overrides: `null`, `true`, `0.1`, `[1,2]`, `plain` or `'in quotes'`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(hydra_value(item) for item in value) + "]"
    if isinstance(value, int | float):
        return repr(value)
    if re.fullmatch(r"[A-Za-z_][\w./-]*", value, re.ASCII) and value.lower() not in _NOT_TEXT:
        return value
    return QuotedString(escaped(value), Quote.single).with_quotes()


def escaped(text: str) -> str:
    """Writes a text so that OmegaConf reads it back: "${" stands for a value elsewhere, in quotes too, but not after an
    odd number of backslashes."""
    return re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + "\\${", text)


def round_setting(value: float) -> float:
    """Rounds a new learning rate to three significant digits: what a person would write, the same cell by any road."""
    return float(f"{value:.3g}")


def key_of(word: str) -> str:
    """Returns the key that a word sets: `data.root` of `+data.root=DIR`."""
    return word.split("=", 1)[0].lstrip("+~")


def replace_words(words: Sequence[str], changes: Mapping[str, HydraValue]) -> list[str]:
    """Returns the words with some settings replaced; the changed ones stand last."""
    kept = [word for word in words if key_of(word) not in changes]
    return kept + [f"{key}={hydra_value(value)}" for key, value in changes.items()]
