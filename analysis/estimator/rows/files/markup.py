"""Reads tables as people paste them: Markdown, LaTeX and the boxes of a terminal become rows of texts, header first."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_RULE = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_BARS = dict.fromkeys(map(ord, "\u2502\u2503\u2551"), "|")
_LINE = re.compile(r"^[\s|+:=\-\u2500-\u257f]*$")  # the horizontal lines of a box: - = + and the box drawing characters
_TABULAR = re.compile(r"\\begin\{(tabular[x*]?|longtable|array|tabulary)\}(.*?)(?:\\end\{\1\}|\Z)", re.DOTALL)
_RULES = re.compile(
    r"\\(?:top|mid|bottom)rule(?:\[[^\]]*\])?|\\hline|\\addlinespace(?:\[[^\]]*\])?|\\(?:cline|rowcolor|hhline)\{[^}]*\}|"
    r"\\cmidrule(?:\[[^\]]*\])?(?:\([^)]*\))?\{[^}]*\}|\\specialrule(?:\{[^}]*\}){3}|\\end(?:first)?(?:head|foot)"
)
_SIGNS = (
    (r"\\multirow\*?(?:\[[^\]]*\])?\{[^}]*\}(?:\[[^\]]*\])?\{[^}]*\}", ""),
    (r"\\cite[pt]?\*?(?:\[[^\]]*\])*\{[^}]*\}|\\label\{[^}]*\}|\\footnote\{[^}]*\}|\\ref\{[^}]*\}", ""),
    (r"\\(?:d?dagger|ddag|dag|ast|star|scriptsize|footnotesize|tiny|small|bf|bfseries|it|em)\b\s*", ""),
    (r"[_^]\s*\{\s*\\pm\s*([^}]*)\}|\\pm\b", r" +- \1"),
    (r"\\times\b", "x"), (r"\\sim\b|\\approx\b", ""), (r"\\([%&#_])", r"\1"), (r"\\[,;:! ]|~", " "), (r"\{,\}", ","),
    (r"\$|\^\{?\s*[*]+\s*\}?|\^\{\s*\}", ""),
)  # fmt: skip


def is_rule(line: str) -> bool:
    """Whether a line is the rule below a Markdown table's header."""
    return bool(_RULE.match(line))


@dataclass(frozen=True)
class Stacked:
    """Markdown tables of one file with one header, below each other: further ones with their title and header."""

    rows: list[list[str]]  # header first
    title: str  # of the first
    tables: int  # in the file
    left_out: int  # with another header


def markdown(lines: list[str]) -> Stacked | None:
    """The rows of the first Markdown table, header first, and of all with the same header; None where there is none."""
    found = [
        i
        for i in range(1, len(lines))
        if "-" in lines[i] and "|" in lines[i] + lines[i - 1] and is_rule(lines[i]) and "|" in lines[i - 1]
    ]
    if not found:
        return None

    def cells(line: str) -> list[str]:
        text = line.strip().removeprefix("|")
        text = text[:-1] if text.endswith("|") and not text.endswith("\\|") else text
        return [c.replace("\\|", "|").strip().strip("*`").strip() for c in re.split(r"(?<!\\)\|", text)]

    def title(rule: int) -> str:
        before = next((line for line in reversed(lines[: rule - 1]) if line.strip()), "")
        return "" if "|" in before else before.strip(" #*_=-:")

    header = cells(lines[found[0] - 1])
    alike = [rule for rule in found if cells(lines[rule - 1]) == header]
    rows = [header]
    for rule in alike:
        if rule != found[0]:
            rows += [[title(rule)], header] if title(rule) else [header]
        for line in lines[rule + 1 :]:
            if "|" not in line:
                break
            rows.append(cells(line))
    return Stacked(rows, title(found[0]), len(found), len(found) - len(alike))


def without_boxes(lines: list[str]) -> list[str]:
    """Lines of a table that is drawn with bars and rules, as lines with bars alone; others as they are."""
    plain = [line.translate(_BARS) for line in lines]
    rules = [bool(_LINE.match(line)) and len(re.findall(r"[-=\u2500-\u257f]", line)) > 2 for line in plain]
    if not any(rules):
        return plain
    kept = [line.strip() for line, rule in zip(plain, rules, strict=True) if not rule]
    barred = [line for line in kept if "|" in line]
    if barred and all(line.startswith("|") and line.endswith("|") for line in barred):
        return [line[1:-1] if "|" in line else line for line in kept]
    return kept


def _braces(text: str) -> str:
    """A text without the braces that it begins with, and the first one's content."""
    depth = 0
    for i, sign in enumerate(text):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth == 0 and sign == "}":
            return text[i + 1 :]
    return text


def _cell(text: str) -> str:
    """A cell as one would read it: without fonts, mathematics and footnote signs."""
    for pattern, plain in _SIGNS:
        text = re.sub(pattern, plain, text)
    before = None
    while before != text:
        before, text = text, re.sub(r"\\[a-zA-Z]+\*?\s*\{([^{}]*)\}", r"\1", text)
    return " ".join(re.sub(r"[{}]|\\[a-zA-Z]+", "", text).split())


def _cells(row: str) -> list[str]:
    found = []
    for text in re.split(r"(?<!\\)&", row):
        several = re.match(r"\s*\\multicolumn\{(\d+)\}\{[^}]*\}", text)
        found.append(_cell(text[several.end() :] if several else text))
        found += [""] * (int(several[1]) - 1 if several else 0)
    return found


def latex(text: str) -> list[list[str]] | None:
    """The rows of the first LaTeX table, header first; rows above it that only name groups of columns are left out.

    A cell over several rows stands in the first of them.
    """
    text = re.sub(r"(?<!\\)%.*", "", text)
    found = _TABULAR.search(text)
    if found is None and not re.search(r"&.*\\\\", text):
        return None
    body = text if found is None else found[2]
    if found is not None:
        for _ in range(1 + (found[1] in ("tabularx", "tabular*", "tabulary"))):
            body = _braces(re.sub(r"^\s*\[[^\]]*\]", "", body).lstrip())
    lines = (_RULES.sub("", line).strip() for line in re.split(r"\\\\(?:\s*\[[^\]]*\])?|\\tabularnewline", body))
    rows = [_cells(line) for line in lines if line]
    width = max(Counter(map(len, rows)).items(), key=lambda pair: (pair[1], pair[0]))[0] if rows else 0
    filled = [sum(bool(cell) for cell in row) for row in rows]
    start = next((i for i, row in enumerate(rows) if len(row) == width and filled[i] >= max(2, 0.6 * width)), None)
    if start is None:
        return None
    return [row for row in rows[start:] if len(row) == width]
