"""Command lines of `key=value` in, a dictionary of strings and lists out; one line and exit status 2 for the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from scaling import __version__

TABLE_KEYS = """  results=PATH         records, CSV, Parquet or JSONL file, wandb:ENTITY/PROJECT or wandb-offline:DIR;
                       several as [A,B]
  columns.X=Y          the table's column Y holds what is called X here (columns.test_error=Loss)
  family.vit=[A,B]     models that are ViTs; family.cnn=[C] the CNNs (where there is no column `family`)
  filters.K=V          keep the rows whose column K is V, or one of [V,W]
  metric=test_error    the column that is compared; test_loss for a loss in nats; accuracy, accuracy_percent or
                       error_percent are columns that are turned into test_error
  axis=train_size      the column to compare over; or seen_examples, train_flops
  level=0.9            of the intervals
  audit=on             off: the verdict as the curves alone have it
  seed=0               of the replicates
  bracket=LABEL:9e6-90e6   a published bracket to show beside the estimate: the ViT is worse at the first number of
                       images and better from the second on; several as [A,B]"""

CONVERTED = ("accuracy", "accuracy_percent", "error_percent")


class InputError(ValueError):
    """Input that cannot be used; its text is the one line that the user sees."""


@dataclass(frozen=True)
class TableArguments:
    """What to read and how to compare: common to all commands of the analysis."""

    results: tuple[Path, ...]
    columns: dict[str, str] = field(default_factory=dict)  # name here -> name in the table
    families: dict[str, tuple[str, ...]] = field(default_factory=dict)
    filters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    metric: str = "test_error"
    convert: str | None = None  # one of CONVERTED: the column that test_error is made of
    axis: str = "train_size"
    level: float = 0.9
    audit: bool = True
    seed: int = 0
    brackets: tuple[str, ...] = ()


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def split_list(text: str) -> tuple[str, ...]:
    """The items of `[a, "b, c"]`, or the one item that `text` is."""
    if not (text.startswith("[") and text.endswith("]")):
        return (_unquote(text),)
    try:
        items = yaml.load(text, Loader=yaml.BaseLoader)  # every item stays a string
    except yaml.YAMLError as error:
        raise InputError(f"{text}: not a list ({' '.join(str(error).split())})") from error
    return tuple(str(item) for item in items)


def _paths(text: str) -> tuple[Path, ...]:
    """One path if there is one of that very name, commas, brackets and all; otherwise the items of a list."""
    for candidate in (text, _unquote(text)):
        if Path(candidate).exists():
            return (Path(candidate),)
    return tuple(Path(item) for item in split_list(text))


def _number(key: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{key}={text} is not a number") from None
    if not low < value < high:
        raise InputError(f"{key}={text} must lie between {low:g} and {high:g}")
    return value


def whole_number(key: str, text: str) -> int:
    """A positive count; `20_000` and `2e4` are such, too."""
    value = _number(key, text.replace("_", ""), 0, float("inf"))
    if value != int(value):
        raise InputError(f"{key}={text} is not a whole number")
    return int(value)


def parse_table(values: dict[str, str]) -> TableArguments:
    """Takes the keys that all commands share out of `values`.

    Raises:
        InputError: `results` is missing or a value is of the wrong kind.
    """
    if not values.get("results"):
        raise InputError("results= is missing: a folder of records, a CSV, Parquet or JSONL file, or [several]")
    options: dict[str, Any] = {"results": _paths(values.pop("results"))}
    for key in ("metric", "axis"):
        if key in values:
            options[key] = values.pop(key)
    if options.get("metric") in CONVERTED:
        options |= {"convert": options["metric"], "metric": "test_error"}
    if "level" in values:
        options["level"] = _number("level", values.pop("level"), 0.0, 1.0)
    if "seed" in values:
        options["seed"] = int(_number("seed", values.pop("seed"), -0.5, 2.0**63))
    if "audit" in values:
        word = values.pop("audit").lower()
        if word not in ("on", "off", "true", "false"):
            raise InputError(f"audit={word} is neither on nor off")
        options["audit"] = word in ("on", "true")
    if "bracket" in values:
        options["brackets"] = split_list(values.pop("bracket"))
    columns, families, filters = {}, {}, {}
    for key in list(values):
        prefix, _, name = key.partition(".")
        if prefix == "columns" and name:
            columns[name] = _unquote(values.pop(key))
        elif prefix == "filters" and name:
            filters[name] = split_list(values.pop(key))
        elif key in ("family.vit", "family.cnn"):
            families[name] = split_list(values.pop(key))
    return TableArguments(columns=columns, families=families, filters=filters, **options)


def run_command(
    usage: str, own_keys: Sequence[str], main: Callable[[TableArguments, dict[str, str]], int], arguments: Sequence[str]
) -> int:
    """Answers --help and --version, parses the rest, and turns InputError into one line and exit status 2.

    Args:
        own_keys: what the command understands beyond the shared keys; `--json` style flags included.
        main: called with the shared arguments and the command's own; returns the exit status.
    """
    if {"-h", "--help"} & set(arguments):
        print(usage)
        return 0
    if "--version" in arguments:
        print(__version__)
        return 0
    try:
        values: dict[str, str] = {}
        for argument in arguments:
            key, equals, value = argument.partition("=")
            if not equals and key not in own_keys:
                raise InputError(f"{argument!r} is not of the form key=value; --help lists the keys")
            if key in values:
                raise InputError(f"{key} is given twice")
            values[key] = value
        own = {key: values.pop(key) for key in own_keys if key in values}
        table = parse_table(values)
        if values:
            known = "results, columns.*, family.vit, family.cnn, filters.*, metric, axis, level, audit, seed, bracket"
            raise InputError(f"unknown key {next(iter(values))}; known are {', '.join([known, *own_keys])}")
        return main(table, own)
    except (InputError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
