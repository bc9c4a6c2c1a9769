"""Tells shapes that hold no row per run, so that the refusal names them, and keeps means where rows of spreads lie
between them."""

from __future__ import annotations

import pandas as pd

from analysis.estimator.rows.names import column_for
from analysis.estimator.rows.numbers import each_once, is_empty, parse_number

MEANS = {"mean", "avg", "average"}
SPREADS = {"std", "sd", "stdev", "stddev", "sem", "se", "var"}
OTHERS = {"min", "max", "median", "ci", "ci95", "best", "worst"}  # alone with `mean` they may be ways to pool
_NAMES = ("family", "model", "train_size", "seed", "test_error")
_MOST = 3  # rows of headers below the first


def _words(column: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Which cells are empty, and which hold a word."""
    texts = each_once(column, lambda v: "" if v is None or v != v else str(v))
    empty = each_once(texts, is_empty).astype(bool)
    return empty, ~empty & each_once(texts, lambda t: parse_number(t) is None).astype(bool)


def header_below(table: pd.DataFrame, columns: list[str]) -> str | None:
    """A word of a second header row, or of a row of units: it stands first in a column, above numbers alone."""
    for name in columns:
        empty, word = _words(table[name])
        if len(word) <= _MOST + 2 or not (word | empty).iloc[0]:
            continue
        first = word[~empty].to_numpy()
        heads = int(first[:_MOST].sum())
        if heads and first[:heads].all() and not first[heads:].any() and len(first) >= heads + 3:
            return str(table[name][~empty].iloc[0])
    return None


def lies_on_its_side(table: pd.DataFrame) -> bool:
    """Whether the first column holds the names of columns: a run a column."""
    if table.shape[1] < 3 or not len(table):
        return False
    names = [str(table.columns[0]), *map(str, table.iloc[:, 0])]
    return len(names) <= 50 and sum(column_for(names, wanted) is not None for wanted in _NAMES) >= 3


def only_means(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Without rows of deviations and the like, where a column says which rows are means."""
    for column in table.columns:
        if pd.api.types.is_numeric_dtype(table[column]):
            continue
        words = each_once(table[column], lambda v: str(v).strip().lower())
        kinds = set(words)
        mean = words.isin(MEANS)
        if len(kinds & MEANS) == 1 and kinds & SPREADS and kinds <= MEANS | SPREADS | OTHERS:
            left_out = ", ".join(sorted(kinds - MEANS))
            return table[mean], [f"{int((~mean).sum())} rows of {left_out} left out: {column} says which are means"]
    return table, []
