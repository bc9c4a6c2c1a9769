"""`key=value` words of a command without a table in, typed values out; one line and exit status 2 for the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.arguments import InputError, split_list
from scaling import __version__


def _typed(key: str, text: str, default: Any) -> Any:
    if isinstance(default, tuple):
        return split_list(text if text.startswith("[") else f"[{text}]")
    if isinstance(default, int):
        try:
            value = int(text)
        except ValueError:
            raise InputError(f"{key}={text} is not a whole number") from None
        if value < 0:
            raise InputError(f"{key}={text} must not be negative")
        return value
    return text


def among(key: str, given: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """`given`, if all of it is known.

    Raises:
        InputError: with the known words.
    """
    unknown = [g for g in given if g not in known]
    if unknown:
        raise InputError(f"{key}={unknown[0]}: known are {', '.join(known)}")
    return tuple(given)


def run_command(
    usage: str, defaults: Mapping[str, Any], main: Callable[[dict[str, Any]], int], arguments: Sequence[str]
) -> int:
    """Answers --help and --version and calls `main` with the defaults and what was given, typed like them."""
    if {"-h", "--help"} & set(arguments):
        print(usage)
        return 0
    if "--version" in arguments:
        print(__version__)
        return 0
    try:
        values = dict(defaults)
        for argument in arguments:
            key, equals, text = argument.partition("=")
            if not equals or key not in defaults:
                raise InputError(f"{argument!r} is none of {', '.join(f'{k}=' for k in defaults)}; --help explains")
            values[key] = _typed(key, text, defaults[key])
        return main(values)
    except (InputError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
