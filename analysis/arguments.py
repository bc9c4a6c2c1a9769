"""Parses the `key=value` words of every command of the analysis, runs it, and turns errors into one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from scaling import __version__
from scaling.records.exit_status import exit_status
from scaling.records.files import one_line

TABLE_KEYS = """  results=PATH         records, CSV, Parquet or JSONL file, wandb:ENTITY/PROJECT or wandb-offline:DIR;
                       several as [A,B]
  columns.X=Y          the table's column Y holds what is called X here (columns.test_error=Loss); columns.X= drops X
  family.vit=[A,B]     models that are ViTs; family.cnn=[C] the CNNs (where there is no column `family`)
  filters.K=V          keep the rows whose column K is V, or one of [V,W]
  metric=test_error    the column that is compared: any error, loss, accuracy, AUROC, F1, kappa, ... by its name; for
                       another one say better=higher or better=lower and range=0..1, 0..100 or unbounded
  wide.vit=[A,B]       columns of a wide table (one a model) that are ViTs; wide.cnn=[C] the CNNs
  total_images=N       of which a share as train_size is a share
  tuned=yes            the learning rates of a table from elsewhere were tuned
  dry_run=true         say what was understood, and fit nothing
  axis=train_size      the column to compare over; or seen_examples, train_flops
  level=0.9            of the intervals
  equivalent_within=0.05  families whose errors differ by less than this share of them are level
  test_examples=N      images in the test set, where no column says it
  audit=on             off: the verdict as the curves alone have it
  seed=0               of the replicates
  records=trust        take records that were changed after they were written, too
  bracket=LABEL:9e6-90e6   a published bracket to show beside the estimate: the ViT is worse at the first number of
                       images and better from the second on; several as [A,B]"""

TABLE_WORDS = (
    *("results", "columns.*", "family.vit", "family.cnn", "wide.vit", "wide.cnn", "filters.*", "metric", "better"),
    *("range", "axis", "total_images", "tuned", "level", "audit", "seed", "bracket", "dry_run"),
    *("equivalent_within", "test_examples", "records"),
)
RunWords = Callable[[dict[str, str]], int]  # what a command does with its words; returns the exit status


class InputError(ValueError):
    """Input that cannot be used; its text is the one line that the user sees, whatever the input holds."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class DryRun(Exception):
    """What was understood of the results, where no more was asked for."""


@dataclass(frozen=True)
class TableArguments:
    """What to read and how to compare: common to all commands of the analysis."""

    results: tuple[Path, ...]
    columns: dict[str, str] = field(default_factory=dict)  # name here -> name in the table
    families: dict[str, tuple[str, ...]] = field(default_factory=dict)
    filters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    metric: str = "test_error"
    better: str | None = None  # "higher" or "lower"; None: as the metric's name says
    range: str | None = None  # "0..1", "0..100" or "unbounded"; None: as the metric's name says
    wide: dict[str, tuple[str, ...]] = field(default_factory=dict)  # family -> columns of a wide table
    total_images: int | None = None  # what a share of the data is a share of
    dry_run: bool = False  # only say what was understood
    tuned: bool = False  # the rates of a foreign table were tuned, the user says
    axis: str = "train_size"
    level: float = 0.9
    audit: bool = True
    seed: int = 0
    equivalent_within: float = 0.05
    test_examples: int | None = None
    brackets: tuple[str, ...] = ()
    trust: bool = False  # also records that were changed after they were written


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


def _switch(key: str, text: str) -> bool:
    word = text.lower()
    if word not in ("on", "off", "true", "false", "yes", "no"):
        raise InputError(f"{key}={text} is neither on nor off")
    return word in ("on", "true", "yes")


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
    for key in ("metric", "axis", "better", "range"):
        if key in values:
            options[key] = _unquote(values.pop(key))
    if "total_images" in values:
        options["total_images"] = whole_number("total_images", values.pop("total_images"))
    if "dry_run" in values:
        options["dry_run"] = _switch("dry_run", values.pop("dry_run"))
    if "tuned" in values:
        options["tuned"] = _switch("tuned", values.pop("tuned"))
    if "level" in values:
        options["level"] = _number("level", values.pop("level"), 0.0, 1.0)
    if "equivalent_within" in values:
        options["equivalent_within"] = _number("equivalent_within", values.pop("equivalent_within"), 0.0, 1.0)
    if "test_examples" in values:
        options["test_examples"] = whole_number("test_examples", values.pop("test_examples"))
    if "seed" in values:
        options["seed"] = int(_number("seed", values.pop("seed"), -0.5, 2.0**63))
    if "audit" in values:
        options["audit"] = _switch("audit", values.pop("audit"))
    if "records" in values:
        options["trust"] = among("records", [values.pop("records")], ("check", "trust")) == ("trust",)
    if "bracket" in values:
        options["brackets"] = split_list(values.pop("bracket"))
    columns, families, filters, wide = {}, {}, {}, {}
    for key in list(values):
        prefix, _, name = key.partition(".")
        if prefix == "columns" and name:
            columns[name] = _unquote(values.pop(key))
        elif prefix == "filters" and name:
            filters[name] = split_list(values.pop(key))
        elif key in ("family.vit", "family.cnn"):
            families[name] = split_list(values.pop(key))
        elif key in ("wide.vit", "wide.cnn"):
            wide[name] = split_list(values.pop(key))
    if len(wide) == 1:
        raise InputError("wide.vit=[...] and wide.cnn=[...] go together: the columns of both families")
    return TableArguments(columns=columns, families=families, filters=filters, wide=wide, **options)


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


def with_defaults(defaults: Mapping[str, Any], run: Callable[[dict[str, Any]], int]) -> RunWords:
    """Adapts a command without a table: `run` gets the defaults and what was given, typed like them."""
    return lambda words: run({**defaults, **{key: _typed(key, text, defaults[key]) for key, text in words.items()}})


def with_table(run: Callable[[TableArguments, dict[str, str]], int]) -> RunWords:
    """Adapts a command with a table: `run` gets the shared keys, parsed, and the command's own words."""
    return lambda words: run(parse_table(words), words)  # which takes the shared keys out of the words


def _is_known(key: str, keys: Sequence[str]) -> bool:
    """Whether a key is listed, or is `columns.X` where `columns.*` is."""
    prefix, dot, name = key.partition(".")
    return key in keys or bool(dot and name and f"{prefix}.*" in keys)


def _words(arguments: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """The values by key; a `--flag` has none."""
    words: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals and not (key.startswith("--") and key in keys):
            raise InputError(f"{argument!r} is not of the form key=value; known are {', '.join(keys)}; --help explains")
        if not _is_known(key, keys):
            raise InputError(f"unknown key {key}; known are {', '.join(keys)}; --help explains")
        if key in words:
            raise InputError(f"{key} is given twice")
        words[key] = value
    return words


def _answer(usage: str, keys: Sequence[str], run: RunWords, arguments: Sequence[str]) -> int:
    for asked, text in (("-h", usage), ("--help", usage), ("--version", __version__)):
        if asked in arguments:
            print(text)
            return 0
    return run(_words(arguments, keys))


def run_command(usage: str, keys: Sequence[str], run: RunWords, arguments: Sequence[str] | None = None) -> int:
    """Runs a command of `key=value` words and returns its exit status; every command of the analysis ends here.

    Bad input is one line and status 2. A reader that closed the pipe (`| head`) is no error, Ctrl-C is status 130.

    Args:
        usage: the answer to --help.
        keys: what the command understands: names, `prefix.*` for any name behind a prefix, `--flag` for a bare word.
        run: called with the words by key; returns the exit status.
        arguments: the words; those of the process by default.
    """
    try:
        return exit_status(lambda: _answer(usage, keys, run, sys.argv[1:] if arguments is None else arguments))
    except DryRun as answer:
        print(answer)
        return 0
    except (InputError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
