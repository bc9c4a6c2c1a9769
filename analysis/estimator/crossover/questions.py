"""Answers every question in the results that a command line names."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from analysis.arguments import DryRun, TableArguments
from analysis.estimator.crossover.brackets import Bracket, describe, parse_bracket
from analysis.estimator.crossover.find_crossover import Crossover, Terms, answer
from analysis.estimator.rows.table import Reading, read_results


def terms_of(arguments: TableArguments) -> Terms:
    """How a command line asks its questions to be answered."""
    return Terms(
        arguments.level,
        arguments.audit,
        arguments.seed,
        arguments.equivalent_within,
        arguments.test_examples,
        arguments.tuned,
    )


def find_crossovers(arguments: TableArguments) -> list[Crossover]:
    """The answer to every question in the results that a command line names, the headline first.

    Raises:
        InputError: the results cannot be used.
    """
    brackets = [parse_bracket(text) for text in arguments.brackets]
    return answer_all(arguments, understood(arguments), brackets)


def understood(arguments: TableArguments) -> Reading:
    """What was read of the results, said on standard error before anything is fitted.

    Raises:
        DryRun: no more was asked for.
        InputError: the results cannot be used.
    """
    reading = read_results(arguments)
    text = "\n".join(reading.lines())
    if arguments.dry_run:
        raise DryRun(text)
    print(text, file=sys.stderr)
    return reading


def answer_all(arguments: TableArguments, reading: Reading, brackets: Sequence[Bracket] = ()) -> list[Crossover]:
    """The answer to every question of what was read."""
    found = []
    for key, rows in reading.parts():
        got = answer(key, rows, metric=reading.metric, axis=arguments.axis, terms=terms_of(arguments))
        shown = tuple({"code": "bracket", "message": describe(got, b)} for b in brackets)
        found.append(dataclasses.replace(got, warnings=got.warnings + shown))
    return found
