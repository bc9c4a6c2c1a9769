"""Says what Hydra and OmegaConf refuse in one line and in the words of the command line."""

from __future__ import annotations

import difflib
import re

from scaling.compose.command_words import nearest_setting

# What a plugin's own package brings -> the extra that installs it.
_EXTRAS = {"optuna": "optuna", "joblib": "joblib", "submitit_local": "submitit", "ray": "ray"}
_TYPES = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "String": "a text"}


def _unknown_option(match: re.Match[str]) -> str:
    group, name = match[1], match[2]
    known = match.string.partition("Available options in")[2].splitlines()[1:]
    known = [line.strip() for line in known if line.startswith("\t") and "provider=" not in line]
    if group.startswith("hydra/") and name in _EXTRAS:
        return f"{group}={name} is not installed: pip install 'vit-scaling[{_EXTRAS[name]}]'"
    if not known:
        return f"{group}={name}: there is no such file of settings"
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    rest = f"known: {', '.join(known)}" if len(known) < 10 else "--help lists all"
    return f"there is no {group}={name}; the nearest is {nearest} ({rest})"


def _unknown_key(match: re.Match[str]) -> str:
    key = match[1]
    return f"there is no setting {key}; the nearest is {nearest_setting(key)} (--cfg job shows all)"


def _cells_elsewhere(match: re.Match[str]) -> str:
    return (
        f"{match[1]} lists cells, which only hydra/sweeper=cells takes; a sweeper that searches gets settings alone,"
        " as in -m hydra/sweeper=optuna model=resnet8 'optim.lr=tag(log,interval(1e-3,1e-1))'"
    )


def _interpolation(match: re.Match[str]) -> str:
    return f"${{{match[1]}}} stands for nothing here; a $ that is meant as a sign has a backslash before it: \\${{...}}"


_PATTERNS = (
    (r"In '([^']+)': ConfigKeyError .*Key 'cells' not in '\w+'", _cells_elsewhere),
    (r"Could not find '([\w/]+)/([^'/]+)'", _unknown_option),
    (r"Could not (?:override|append to config|delete from config)[^']*'([^']+)'", _unknown_key),
    (r"Key '([^']+)' is not in struct", _unknown_key),
    (r"Interpolation key '([^']+)' not found", _interpolation),
)


def type_error(key: str, text: str) -> str:
    """What OmegaConf says of a value of the wrong type, as `key=value is not a number`."""
    found = re.match(r"Value '(.*?)'(?: of type '\w+')? could not be converted to (\w+)", text)
    if found:
        return f"{key}={found[1]} is not {_TYPES.get(found[2], found[2])}"
    if found := re.match(r"Value '(.*?)' is not a valid bool", text):
        return f"{key}={found[1]} is not true or false"
    if "is not a ListConfig, list or tuple" in text:
        return f"{key} takes a list: {key}=[a,b]"
    if "not in" in text and "Key '" in text:
        return f"there is no setting {key}; the nearest is {nearest_setting(key)}"
    return f"{key}: {text}"


def plain_line(error: Exception) -> str:
    """One line for an error of the command line or of a sweep file."""
    whole = str(error)
    for pattern, say in _PATTERNS:
        found = re.search(pattern, whole, re.DOTALL)
        if found:
            return say(found)
    lines = [line.strip() for line in whole.splitlines() if line.strip()]
    return "; ".join(lines).split("; Config search path:")[0].split("; full_key:")[0].replace(":; ", ": ")
