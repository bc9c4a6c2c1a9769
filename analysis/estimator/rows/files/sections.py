"""Tables below titles: parts of one file, each with a line above it, become one table with the title as a column.

People stack what they measured: "From scratch", a table, "Fine-tuned", a table. Read as one, runs of two kinds would be
averaged; read up to the second title, half would be lost.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.estimator.rows.files.cells import numbers_where_all_are
from analysis.estimator.rows.names import family_of

TITLE = "table_title"  # the column with the title that a row stands below
UNTITLED = "untitled"  # not empty, which a written table would not keep


def with_titles(table: pd.DataFrame, above: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows of a table without headers and titles that stand among them, the titles as a column, and what to say.

    A title is a text alone in the first cell of a row, above a header or above a full row. Without a header below it,
    it may as well be a model without results: it counts only where the parts share their first cells and no family
    goes by its name.

    Args:
        above: the line above the table's own header, the title of its first part.
    """
    names = list(table.columns)
    if not names or table.empty or pd.api.types.is_numeric_dtype(table[names[0]]):
        return table, ()  # neither a title nor a header is a number
    first = table[names[0]].astype(object)
    alone = first.map(lambda cell: isinstance(cell, str) and any(sign.isalpha() for sign in cell))
    alone &= ~table[names[1:]].notna().any(axis=1)
    header = first == names[0]
    if header.any():
        header &= (table.astype(object) == names).all(axis=1)
    if not (alone.any() and len(names) > 1) and not header.any():
        return table, ()
    above_header = alone & header.shift(-1, fill_value=False)
    above_row = alone & ~(alone | header | first.isna()).shift(-1, fill_value=True)
    above_row &= first.map(lambda cell: family_of(str(cell)) is None)
    title = above_header if above_header.any() else above_row
    rows = table[~header & ~title]
    titles = first.where(title).ffill().fillna(above or UNTITLED)[rows.index]
    if title.any() and titles.nunique() > 1 and (above_header.any() or _share(rows[names[0]], titles)):
        told = f"each row belongs to the title above it ({TITLE}: {_told(titles)})"
        return numbers_where_all_are(rows.assign(**{TITLE: titles})), (told,)
    again = int(header.sum())
    if not again:
        return table, ()
    told = f"the header stands {again} more time{'s' * (again > 1)} among the rows, which are left out"
    return numbers_where_all_are(table[~header].copy()), (told,)


def _share(cells: pd.Series, titles: pd.Series) -> bool:
    """Whether at least half of the first cells of every part stand in another part, too."""
    parts = [set(part) for _, part in cells.groupby(titles, sort=False)]
    others = [set().union(*parts[:i], *parts[i + 1 :]) for i in range(len(parts))]
    return all(2 * len(part & other) >= len(part) for part, other in zip(parts, others, strict=True))


def _told(titles: Iterable[str]) -> str:
    """The titles in their order, the first six."""
    found = list(dict.fromkeys(titles))
    return ", ".join(found[:6]) + " ..." * (len(found) > 6)
