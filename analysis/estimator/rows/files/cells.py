"""Makes tables of rows of cells: names that stand once, and numbers where all cells of a column are numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd


def from_rows(rows: list[list[Any]]) -> pd.DataFrame:
    """A table from rows, header first: too short ones are filled up with nothing."""
    width = len(rows[0])
    for i, row in enumerate(rows):
        if len(row) > width:
            raise ValueError(f"row {i + 1} has {len(row)} cells, the header {width}")
    return pd.DataFrame(
        [list(r) + [None] * (width - len(r)) for r in rows[1:]], columns=unique_names(rows[0]), dtype=object
    )


def unique_names(names: list[Any]) -> list[str]:
    """Names of columns without padding; a repeated one gets .1, .2, as pandas does."""
    seen: Counter[str] = Counter()
    found = []
    for i, name in enumerate(names):
        text = "" if name is None or name != name else str(name).strip()
        text = text or f"Unnamed: {i}"
        found.append(f"{text}.{seen[text]}" if seen[text] else text)
        seen[text] += 1
    return found


def numbers_where_all_are(table: pd.DataFrame) -> pd.DataFrame:
    for column in table.columns:
        texts = table[column]
        if pd.api.types.is_numeric_dtype(texts):
            continue
        filled = texts.map(lambda v: None if isinstance(v, str) and not v.strip() else v)
        numbers = pd.to_numeric(filled, errors="coerce")
        table[column] = numbers if numbers.notna().sum() == filled.notna().sum() and filled.notna().any() else filled
    return table
