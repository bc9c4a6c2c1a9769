"""Reads a table from a file of any common form, and says what was noticed on the way.

Text in any usual encoding and separator, with title rows, comments or decimal commas; Markdown, LaTeX; JSON as records,
columns or nested; JSON lines; Parquet; Excel; each also as .gz. pandas does the reading: here is what it
has to be told.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.rows.files.cells import from_rows, numbers_where_all_are, unique_names
from analysis.estimator.rows.files.markup import is_rule, latex, markdown, without_boxes
from analysis.estimator.rows.files.objects import open_objects, table_of_json, table_of_lines
from analysis.estimator.rows.files.sections import with_titles
from analysis.estimator.rows.files.sheets import stacked_sheets

ENDINGS = {
    **dict.fromkeys((".csv", ".tsv", ".txt", ".tab", ".dat", ".md", ".markdown", ".org", ".tex"), "text"),
    **dict.fromkeys((".jsonl", ".ndjson"), "lines"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods"), "excel"),
    ".json": "json",
}
HEAD = 200  # lines that tell separator and header
_COMMA_NUMBER = re.compile(r"^\s*[+-]?\d*,\d+\s*(%|$|±)")


@dataclass(frozen=True)
class Sniffed:
    """A file's table, and what the user should hear of how it was read."""

    table: pd.DataFrame
    notes: tuple[str, ...] = ()
    above: str = ""  # the line above the header, if there is one


def decode_text(data: bytes) -> tuple[str, str | None]:
    """The text of a file, and the name of its encoding where that is none of the usual ones.

    Raises:
        ValueError: the bytes are no text.
    """
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding), "UTF-16" if encoding == "utf-16" else None
    start = data[:2000]
    if start.count(0) > len(start) / 4:
        even, odd = start[::2].count(0), start[1::2].count(0)
        if min(even, odd) > max(even, odd) / 4:
            raise ValueError("no text")
        return data.decode("utf-16-le" if odd > even else "utf-16-be"), "UTF-16"
    if 0 in start:
        raise ValueError("no text")
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "Latin-1"


def _fields(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return []


@dataclass(frozen=True)
class _Layout:
    separator: str
    header: int  # the line's number
    width: int  # fields a row
    skipped: int  # lines of a title
    prefix: str = ""  # of the header: a comment sign


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"\s*[+-]?[\d.,' ]*\d[\d.,' ]*(e[+-]?\d+)?\s*%?\s*", text, re.IGNORECASE))


def _layout(lines: list[str]) -> _Layout | None:
    """Separator and header line, by which of them the lines agree on most; None where there is no table."""
    best: tuple[tuple[float, int], _Layout] | None = None
    content = [i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    if not content:
        return None
    for separator in (",", ";", "\t", "|", " "):
        split = {i: _fields(lines[i], separator) for i in content}
        widths = Counter(len(f) for f in split.values() if len(f) > 1)
        if not widths:
            continue
        width = max(widths, key=lambda w: (widths[w], w))
        filled = {i: sum(bool(f.strip()) for f in split[i]) for i in content}
        full = [i for i in content if len(split[i]) == width and filled[i] >= max(2, 0.6 * width)]
        if not full:
            continue
        header = full[0]
        if separator == " " and (width < 3 or len(full) < 3 or best is not None):
            continue  # words of a sentence are no columns
        after = [i for i in content if i >= header]
        agree = sum(len(split[i]) == width for i in after) / len(after)
        layout = _Layout(separator, header, width, sum(i < header for i in content))
        comments = [i for i in range(header) if lines[i].lstrip().startswith("#")]
        if any(_is_number(f) for f in split[header]) and comments:
            named = _fields(lines[comments[-1]].lstrip().lstrip("#").strip(), separator)
            if len(named) == width:
                layout = _Layout(separator, comments[-1], width, 0, "#")
        if best is None or (round(agree, 1), width) > best[0]:
            best = ((round(agree, 1), width), layout)
    return best[1] if best else None


def _points_for_commas(table: pd.DataFrame) -> pd.DataFrame:
    """Cells with decimal commas, and points between thousands, as everyone else writes them."""

    def plain(value: Any) -> Any:
        if not isinstance(value, str) or not re.match(r"\s*[+-]?[\d,]", value):
            return value
        text = re.sub(r"(?<=\d)\.(?=\d{3}(?:\D|$))", "", value)
        return re.sub(r"(?<=\d),(?=\d)|^,(?=\d)", ".", text)

    return table.map(plain)


def _text(text: str, path: Path) -> Sniffed:
    lines = text[: 400 * HEAD].splitlines()[:HEAD] if len(text) > 400 * HEAD else text.splitlines()
    notes: list[str] = []
    if not any(line.strip() for line in lines):
        raise InputError(f"{path}: cannot be read (there is nothing in it)")
    if path.suffix.lower() == ".tex" or any("\\begin{" in line or re.search(r"&.*\\\\\s*$", line) for line in lines):
        rows = latex(text)
        if rows:
            return Sniffed(numbers_where_all_are(from_rows(rows)), (f"{path.name}: a LaTeX table",))
    if path.suffix.lower() in (".md", ".markdown") or any(is_rule(line) and "|" in line for line in lines):
        found = markdown(text.splitlines())
        if found:
            if found.left_out:
                notes.append(f"{path.name}: {found.tables} tables in it; those with the first one's header were read")
            return Sniffed(numbers_where_all_are(from_rows(found.rows)), tuple(notes), found.title)
    if (plain := without_boxes(lines)) != lines:
        text = "\n".join(without_boxes(text.splitlines()))
        lines = plain
    layout = _layout(lines)
    if layout is None:
        if len(lines) == 1 or path.suffix.lower() not in (".csv", ".tsv"):
            raise InputError(f"{path}: neither a folder of records nor a table that can be read (no columns found)")
        layout = _Layout(",", next(i for i, line in enumerate(lines) if line.strip()), 1, 0)
    above = ""
    if layout.skipped:
        plural = "s" if layout.skipped > 1 else ""
        notes.append(f"{path.name}: {layout.skipped} line{plural} above the header left out")
        above = next(line for line in reversed(lines[: layout.header]) if line.strip()).strip(' #*_=-:,;|\t"')
    body = text.split("\n", layout.header)[-1] if layout.header else text
    if layout.prefix:
        body = body.lstrip().lstrip("#").lstrip()
    sample = [f for line in lines[layout.header + 1 :] for f in _fields(line, layout.separator)]
    commas = layout.separator != "," and any(_COMMA_NUMBER.match(f) for f in sample)
    options: dict[str, Any] = {"sep": r"\s+" if layout.separator == " " else layout.separator, "skipinitialspace": True}
    if commas:
        options["dtype"] = str
    commented = any(line.lstrip().startswith("#") for line in lines[layout.header + 1 :])
    if commented:
        body = "\n".join(line for line in body.split("\n") if not line.lstrip().startswith("#"))
    # Columns of two kinds of values are ours to read, so pandas need not look at them in parts.
    table = pd.read_csv(io.StringIO(body), low_memory=False, index_col=False, **options)
    table.columns = unique_names(list(table.columns))
    if commas:
        notes.append(f"{path.name}: decimal commas")
        table = numbers_where_all_are(_points_for_commas(table))
    return Sniffed(table, tuple(notes), above)


def _excel(path: Path) -> Sniffed:
    found = stacked_sheets(path)
    table = numbers_where_all_are(from_rows(found.rows)).dropna(how="all").dropna(axis=1, how="all")
    note = f"{path.name}: sheet{'s' * (len(found.sheets) > 1)} {', '.join(found.sheets)}"
    return Sniffed(table, (note,) if found.several else (), found.title)


def _tidy(sniffed: Sniffed) -> Sniffed:
    """Without padding in texts, without a row index that was written along, without empty rows or repeated headers."""
    table, notes = sniffed.table, sniffed.notes
    table.columns = unique_names(list(table.columns))
    for column in table.columns:
        if pd.api.types.is_string_dtype(table[column]) and not pd.api.types.is_object_dtype(table[column]):
            table[column] = table[column].str.strip()
        elif pd.api.types.is_object_dtype(table[column]):
            table[column] = table[column].map(lambda v: v.strip() if isinstance(v, str) else v)
    first = table.columns[0] if len(table.columns) else ""
    if first.startswith("Unnamed: ") and list(table[first]) == list(range(len(table))):
        table = table.drop(columns=first)
    table, told = with_titles(open_objects(table.dropna(how="all")), sniffed.above)
    return Sniffed(table, (*notes, *told))


def read_any(path: Path) -> Sniffed:
    """The table in a file.

    Raises:
        InputError: it cannot be read, in one line.
    """
    suffixes = [s.lower() for s in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    suffix = suffixes[-2] if packed and len(suffixes) > 1 else "" if packed else suffixes[-1] if suffixes else ""
    kind = ENDINGS.get(suffix)
    if suffix in (".html", ".htm"):
        raise InputError(f"{path}: a web page; copy its table into a sheet, or save it as .csv, and name that")
    if kind is None:
        raise InputError(f"{path}: neither a folder of records nor one of {', '.join(ENDINGS)} (or these as .gz)")
    try:
        if kind == "excel":
            return _tidy(_excel(path))
        data = path.read_bytes()
        data = gzip.decompress(data) if packed else data
        if kind == "parquet":
            return _tidy(Sniffed(pd.read_parquet(io.BytesIO(data))))
        text, encoding = decode_text(data)
        notes = (f"{path.name}: read as {encoding}",) if encoding else ()
        text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
        if kind == "text":
            found = _text(text, path)
            return _tidy(Sniffed(found.table, notes + found.notes, found.above))
        return _tidy(Sniffed(table_of_lines(text) if kind == "lines" else table_of_json(text), notes))
    except ImportError as error:
        extra, what = ("parquet", "pyarrow") if kind == "parquet" else ("excel", "openpyxl")
        raise InputError(f"{path}: reading it needs {what} (pip install 'vit-scaling[{extra}]')") from error
    except InputError:
        raise
    except (ValueError, OSError, EOFError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]})") from error
