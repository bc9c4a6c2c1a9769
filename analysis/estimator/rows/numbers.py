"""Reads numbers as people write them: `10k`, `1,000`, `63.4%`, `63.4 ± 0.3`, `1e-3 (cosine)`, decimal commas.

A column is read as a whole: whether `1,000` is a thousand or one point nought can only be told from its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f\u2008\u200b\ufeff"), " ")
_MINUS = dict.fromkeys(map(ord, "\u2212\u2013\u2014\uff0d"), "-")
_APOSTROPHES = dict.fromkeys(map(ord, "\u2019\u02bc"), "'")
_TEXT = _SPACES | _MINUS | _APOSTROPHES
_MULTIPLES = {"k": 1e3, "m": 1e6, "mio": 1e6, "million": 1e6, "b": 1e9, "g": 1e9, "bn": 1e9, "billion": 1e9, "": 1.0}
_MARKUP = re.compile(r"^[*_`~]+|[*_`†‡*]+$")
_SPREAD = re.compile(r"\s*(?:±|\+/-|\+-|\\pm|&plusmn;|\u00b1)\s*")
INTERVAL = re.compile(r"\d[^\[\]]*\[[^\[\]]*\d[^\[\]]*\]\s*$")  # 63.4 [61.0, 65.1]
# A word or an interval in brackets, not a number.
_COMMENT = re.compile(r"\s*\((?!\s*[\d.,]+\s*%?\s*\))[^()]*\)\s*$|\s*\[[^\[\]]*\]\s*$|\s+#.*$")
_BRACKET = re.compile(r"^(.*\S)\s*\(\s*([\d.,]+)\s*%?\s*\)$")  # 63.4 (0.3): the spread
_POWER = re.compile(r"^(?:(\d+(?:\.\d+)?)\s*[x\u00d7*\u00b7]\s*)?(10|2)\s*\^\s*\{?\s*(\d{1,2})\s*\}?$")  # 1.3 x 10^6
_RAISED = str.maketrans("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "0123456789")
_ONE = re.compile(
    r"^([+-]?)\s*((?:\d[\d' ,.]*|[.,]\d+)(?:e[+-]?\d+)?)\s*(%?)\s*(k|m|mio|million|b|bn|g|billion)?\.?"
    r"(?:\s*(?:images?|imgs?|samples?|examples?|px|pixels?))?$",
    re.IGNORECASE,
)
EMPTY = {"", "-", "--", "---", "n/a", "na", "nan", "none", "null", "nil", "tbd", "?", "x", "#n/a", "."}


@dataclass(frozen=True)
class Column:
    """A column as numbers. `bad`: texts that are no numbers (NaN there); `percent`: rows that bore a percent sign."""

    values: pd.Series
    spread: pd.Series
    percent: pd.Series
    bad: pd.Series

    @property
    def has_spread(self) -> bool:
        return bool(self.spread.notna().any())


def clean(text: str) -> str:
    """A cell without typographic spaces, minus signs and Markdown emphasis."""
    return _MARKUP.sub("", text.translate(_TEXT).strip()).strip()


def is_empty(text: str) -> bool:
    return clean(text).lower() in EMPTY


def each_once(column: pd.Series, function: Callable[[Any], Any]) -> pd.Series:
    """`column.map(function)`, which is asked once for each distinct value of texts or numbers: of a million rows most
    repeat."""
    if column.dtype == object:  # values of many kinds, some of which have no hash, or equal another (1, True)
        return column.map(function)
    codes, values = pd.factorize(column, use_na_sentinel=False)
    found = pd.Series([function(value) for value in values], dtype=None if len(values) else object)
    return found.take(codes).set_axis(column.index)


def decimal_commas(texts: list[str]) -> bool:
    """Whether the commas of a column are decimal ones: only if no other reading holds for all of them."""
    found = False
    for text in texts:
        for part in re.findall(r"\d[\d.,' ]*", text):
            number = part.strip()
            if "," not in number:
                continue
            if "." in number and number.rindex(".") > number.rindex(","):
                return False  # 1,000.5
            if not re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+", number):
                found = True
    return found


def _plain(number: str, commas: bool) -> float | None:
    text = number.replace(" ", "").replace("'", "").replace("_", "")
    if commas:
        if text.count(",") > 1:
            return None
        if "," in text or re.fullmatch(r"[1-9]\d{0,2}(\.\d{3})+", text):
            text = text.replace(".", "")
        text = text.replace(",", ".")
    elif "," in text:
        mantissa = text.split(".")[0]
        if not re.fullmatch(r"\d{1,3}(,\d{3})+", mantissa):
            return None
        text = text.replace(",", "")
    try:
        return float(text)
    except ValueError:
        return None


def _groups_fit(number: str) -> bool:
    """Whether spaces inside a number only part groups of three digits: `10 000`, not `3 4`."""
    return " " not in number.strip() or bool(re.fullmatch(r"\d{1,3}( \d{3})+([.,]\d+)?", number.strip()))


def _single(text: str, commas: bool) -> tuple[float, bool] | None:
    match = _ONE.match(text)
    if not match or not _groups_fit(match[2]):
        return None
    value = _plain(match[2].lower(), commas)
    if value is None:
        return None
    value *= _MULTIPLES[(match[4] or "").lower()]
    # 1.3 * 1e6 is not 1,300,000: counts are whole where their digits say so.
    value = round(value) if match[4] and abs(value - round(value)) < 1e-6 * max(1.0, abs(value)) else value
    return (-value if match[1] == "-" else value), bool(match[3])


def parse_number(text: str, *, commas: bool = False) -> tuple[float, float | None, bool] | None:
    """Value, spread (None where there is none) and whether it is a percentage; None for what is no number.

    `63.4 ± 0.3%` -> (63.4, 0.3, True); the value of a percentage is not divided here.
    """
    short = _COMMENT.sub("", clean(text)).strip()
    raised = re.sub(r"(?<=\d)([\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+)$", r"^\1", short)
    power = _POWER.match(raised.translate(_RAISED))
    if power:
        return float(power[1] or 1) * int(power[2]) ** int(power[3]), None, False
    short = short.replace("_", "") if re.fullmatch(r"[+-]?\d[\d_]*", short) else short
    parts = _SPREAD.split(short)
    if len(parts) == 1 and (bracket := _BRACKET.match(short)):
        parts = [bracket[1], bracket[2]]
    if len(parts) > 2:
        return None
    found = [_single(clean(part), commas) for part in parts]
    if any(f is None for f in found):
        return None
    (value, percent), *rest = [f for f in found if f is not None]
    return value, rest[0][0] if rest else None, percent or any(p for _, p in rest) or short.endswith("%")


def read_column(column: pd.Series, *, commas: bool | None = None) -> Column:
    """A column as numbers, whatever it holds.

    Args:
        commas: decimal commas; None: as the column itself tells.
    """
    nothing = pd.Series(np.nan, column.index, dtype=float)
    no = pd.Series(False, column.index)
    if pd.api.types.is_bool_dtype(column):
        return Column(column.astype(float), nothing, no, no)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return Column(column.astype(float), nothing, no, no)
    numbers = pd.to_numeric(column, errors="coerce") if not pd.api.types.is_complex_dtype(column) else nothing
    numbers = numbers.astype(float) if pd.api.types.is_numeric_dtype(numbers) else nothing.copy()
    rest = column.notna() & numbers.isna()
    if not rest.any():
        return Column(numbers, nothing, no, no)
    texts = column[rest].map(str)
    distinct = texts.unique()
    commas = decimal_commas(list(distinct)) if commas is None else commas
    if commas:  # `16.000` is sixteen thousand then, so plain numbers are read again, too
        texts = column[column.notna()].map(str)
        distinct = texts.unique()
    parsed = {text: parse_number(text, commas=commas) for text in distinct if not is_empty(text)}
    values, spread = numbers.to_numpy(float).copy(), nothing.to_numpy(float).copy()
    percent, bad = no.to_numpy(bool).copy(), no.to_numpy(bool).copy()
    words = {text for text in distinct if not is_empty(text)}
    for place, text in zip(column.index.get_indexer(texts.index), texts, strict=True):
        found = parsed.get(text)
        values[place], bad[place] = np.nan, found is None and text in words
        if found is not None:
            values[place], percent[place] = found[0], found[2]
            spread[place] = np.nan if found[1] is None else found[1]
    index = column.index
    return Column(*(pd.Series(v, index) for v in (values, spread, percent, bad)))
