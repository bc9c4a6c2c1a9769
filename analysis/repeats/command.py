"""Asks one question of many repeats of a sweep and counts how often the answers hold what the others measured.

python -m analysis.repeats results=results/quickstart-seeds out=results/quickstart-seeds
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.arguments import TABLE_WORDS, InputError, TableArguments, run_command, with_table
from analysis.estimator.crossover.find_crossover import answer
from analysis.estimator.crossover.questions import terms_of
from analysis.estimator.crossover.wording import LABELS
from analysis.estimator.rows.table import read_results
from analysis.repeats.judged import Judged, judge_repeats, lead_bins
from scaling.records.files import write_whole

USAGE = """usage: python -m analysis.repeats results=TABLE [out=DIR] [key=value ...]

TABLE holds one sweep many times, each on another draw of the data (another data.strokes.seed, another folder). Each is
answered alone, as analysis.report would, and held against the crossing of all the others' mean errors. Writes
repeats.csv and repeats.md to DIR (by default beside TABLE). The words of analysis.report that choose rows work here."""
_DRAWING = re.compile(r"(?:^|\s)data\.strokes\.seed=(\d+)")


def _name(key: dict[str, object], rows: pd.DataFrame) -> str:
    """What tells a repeat from the others: its drawing, else its pixels, else its data's name."""
    found = {
        m.group(1) for words in rows.get("overrides", pd.Series(dtype=str)).dropna() for m in _DRAWING.finditer(words)
    }
    if len(found) == 1:
        return f"drawing {found.pop()}"
    return str(key.get("data_fingerprint") or key.get("data"))


def ask(arguments: TableArguments) -> list[Judged]:
    """Every question of the table, judged by the others.

    Raises:
        InputError: fewer than three questions, which have nothing to be judged by, or repeats that do not fit together.
    """
    reading = read_results(arguments)
    parts = reading.parts()
    if len(parts) < 3:
        raise InputError(f"{len(parts)} question(s) in the table: repeats are judged by each other, at least 3")
    terms = terms_of(arguments)
    named = sorted(((_name(key, rows), key, rows) for key, rows in parts), key=lambda part: part[0])
    answers = [answer(key, rows, metric=reading.metric, axis=arguments.axis, terms=terms) for _, key, rows in named]
    try:
        return judge_repeats([name for name, _, _ in named], answers, seed=arguments.seed)
    except ValueError as error:
        raise InputError(str(error)) from None


def _size(size: float | None) -> str:
    return "" if size is None else f"{float(f'{size:.3g}'):,.0f}"


def page(judged: Sequence[Judged]) -> str:
    """The table and its counts in Markdown."""
    claims = [j for j in judged if j.answer.verdict.verdict in ("observed", "extrapolated", "multiple")]
    held = [j for j in judged if j.holds is not None]
    lines = [
        f"- {len(judged)} repeats; {len(claims)} claim a crossing, and the others' crossing lies in the 90% interval of"
        f" {sum(bool(j.holds) for j in claims)} of these.",
        f"- The interval of the likeliest crossing, claimed or not, holds it in {sum(bool(j.holds) for j in held)} of"
        f" {len(held)}.",
        f"- {sum(j.contradicts for j in judged)} of {len(judged)} verdicts are contradicted by the others.",
        "",
        "| repeat | verdict | crossing (90% interval) | P(crossing) | the others' crossing (90%) | holds |",
        "|---|---|---|---|---|---|",
    ]
    for one in judged:
        row, interval = one.row(), "none"
        if row["size"]:
            ends = (_size(row["interval_low"]) or "no lower end", _size(row["interval_high"]) or "no upper end")
            interval = f"{_size(row['size'])} ({ends[0]} to {ends[1]})"
        others = f"{_size(row['others_crossing'])} ({_size(row['others_low'])} to {_size(row['others_high'])})"
        holds = {True: "yes", False: "no", None: "-"}[one.holds]
        label = LABELS[one.answer.verdict.verdict]
        lines.append(f"| {one.name} | {label} | {interval} | {row['p_crossing']:.2f} | {others} | {holds} |")
    lines += ["", "| P(ViT better) | sizes | mean P | the others' ViT is better |", "|---|---|---|---|"]
    lines += [f"| {label} | {count} | {said:.2f} | {came:.2f} |" for label, count, said, came in lead_bins(judged)]
    return "\n".join(lines) + "\n"


def run(arguments: TableArguments, own: dict[str, str]) -> int:
    """Writes repeats.csv and repeats.md, and prints the page."""
    first = arguments.results[0]
    out = Path(own.get("out") or (first if first.is_dir() else first.parent))
    if out.exists() and not out.is_dir():
        raise InputError(f"out={out} is not a folder")
    judged = ask(arguments)
    out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([one.row() for one in judged]).to_csv(out / "repeats.csv", index=False, float_format="%.4g")
    text = page(judged)
    write_whole(out / "repeats.md", text.encode())
    print(text, end="")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, (*TABLE_WORDS, "out"), with_table(run), arguments)
