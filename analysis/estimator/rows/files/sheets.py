"""Reads the sheets of a workbook that hold a table with the same header, each named by its sheet."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.rows.files.cells import unique_names


@dataclass(frozen=True)
class Sheets:
    """Tables of one workbook below each other: further ones with the name of their sheet and their header."""

    rows: list[list[Any]]  # header first
    title: str  # of the first: its sheet, or a line above its header where it is the only one
    sheets: list[str]
    several: bool  # sheets in the workbook, with a table or without


def stacked_sheets(path: Path) -> Sheets:
    """The first sheet with a table and all with the same header; rows above a sheet's first full one are a title.

    Raises:
        InputError: it is no workbook, or without a table.
    """
    try:
        opened = pd.ExcelFile(path)
    except (ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is no Excel file, whatever its name says; save it as .xlsx or .csv") from error
    found: list[tuple[str, str, list[list[Any]]]] = []
    with opened as book:
        several = len(book.sheet_names) > 1
        for name in book.sheet_names:
            rows = pd.read_excel(book, sheet_name=name, header=None).to_numpy(dtype=object).tolist()
            filled = [sum(v == v and v is not None for v in row) for row in rows]
            start = next((i for i, k in enumerate(filled) if k >= max(2, 0.6 * max(filled))), None)
            if start is not None and start + 1 < len(rows):
                title = next((str(v) for row in reversed(rows[:start]) for v in row if isinstance(v, str)), "")
                found.append((str(name), title, rows[start:]))
    if not found:
        raise InputError(f"{path}: no sheet with a table")
    first, title, stacked = found[0]
    sheets = [first]
    for name, _, rows in found[1:]:
        if unique_names(rows[0]) == unique_names(stacked[0]):
            sheets.append(name)
            stacked = [*stacked, [name], *rows]
    return Sheets(stacked, title if len(sheets) == 1 else first, sheets, several)
