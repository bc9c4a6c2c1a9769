"""Answers every question in the results that a command line names."""

from __future__ import annotations

import dataclasses

from analysis.arguments import TableArguments
from analysis.estimator.crossover.brackets import describe, parse_bracket
from analysis.estimator.crossover.find_crossover import Crossover, answer
from analysis.estimator.rows.table import load, split_questions


def find_crossovers(arguments: TableArguments) -> list[Crossover]:
    """The answer to every question in the results that a command line names, the headline first.

    Raises:
        InputError: the results cannot be used.
    """
    brackets = [parse_bracket(text) for text in arguments.brackets]
    found = []
    for key, rows in split_questions(load(arguments)):
        got = answer(
            key,
            rows,
            level=arguments.level,
            metric=arguments.metric,
            axis=arguments.axis,
            audit=arguments.audit,
            seed=arguments.seed,
        )
        shown = tuple({"code": "bracket", "message": describe(got, b)} for b in brackets)
        found.append(dataclasses.replace(got, warnings=got.warnings + shown))
    return found
