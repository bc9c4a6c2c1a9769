"""Writes a report of results: report.html, report.md, figures/, tables/, results.csv, fits.json, crossover.json.

python -m analysis.report results=runs/quickstart out=runs/quickstart/report
"""

from __future__ import annotations

import dataclasses
import json
import math
import platform
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.arguments import TABLE_KEYS, TABLE_WORDS, InputError, TableArguments, run_command, split_list, with_table
from scaling import __version__
from scaling.records.files import write_together
from scaling.records.wrong_images import WRONG_FILE

if TYPE_CHECKING:
    from analysis.estimator.crossover.find_crossover import Crossover
    from analysis.estimator.rows.metric import Metric

USAGE = f"""usage: python -m analysis.report results=PATH [out=DIR] [key=value ...]

Fits the scaling curves, decides where a ViT overtakes a CNN, and writes the report. The first line printed is the
verdict, the last one the path of crossover.json.
  out=report           folder to write to
  figures=[png,svg,pdf]  the formats of the figures beside the page, or none
{TABLE_KEYS}"""


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _versions() -> dict[str, str]:
    import matplotlib
    import numpy
    import pandas
    import scipy
    import vl_convert

    found = {"vit-scaling": __version__, "Python": platform.python_version()}
    found |= {m.__name__: m.__version__ for m in (numpy, scipy, pandas, matplotlib)}
    return found | {"Vega-Lite": vl_convert.get_vegalite_versions()[-1]}


def _own(measure: Metric, log_error: float) -> dict[str, float]:
    """The user's own metric beside what was fitted, where it is another number."""
    return {} if measure.column == measure.name else {"value": float(measure.value(math.exp(log_error)))}


def _fit(crossover: Crossover, model: str) -> dict[str, Any]:
    """One model's fit as numbers, for fits.json."""
    from analysis.estimator.crossover.tables import curve_table

    curve, rows, measure = crossover.families.curves[model], curve_table(crossover), crossover.measure
    return {
        "model": model,
        "family": next(f for f, models in crossover.families.models.items() if model in models),
        "forms": curve.forms,
        "lack_of_fit": curve.lack_of_fit,
        "seed_spread": curve.points.tau,
        "fit_range": list(curve.fit_range),
        "points": [
            {"size": float(n), "log_error": float(z), "standard_error": float(v) ** 0.5, "runs": int(r)}
            | _own(measure, z)
            for n, z, v, r in zip(
                curve.points.sizes, curve.points.log_error, curve.points.variance, curve.points.runs, strict=True
            )
        ],
        "curve": [
            {"size": row[crossover.axis], "median": row["fitted"], "interval": [row["low"], row["high"]]}
            for row in rows[rows["model"] == model].to_dict("records")
        ],
        "warnings": curve.warnings,
    }


def _remove_old(out: Path, kept: set[str]) -> None:
    """What an earlier report in this folder had of ours and this one has not; nothing else that lies there."""
    from analysis.figures.render import FIGURES, FORMATS, WHOLE

    ours = re.compile(rf"({'|'.join(FIGURES)})-\d+\.({'|'.join(FORMATS)})|({'|'.join(WHOLE)})\.({'|'.join(FORMATS)})")
    for file in (out / "figures").glob("*"):
        if ours.fullmatch(file.name) and f"figures/{file.name}" not in kept:
            file.unlink()
    if WRONG_FILE not in kept:
        (out / WRONG_FILE).unlink(missing_ok=True)


def run(arguments: TableArguments, own: dict[str, str]) -> int:
    from analysis.estimator.crossover.questions import answer_all, understood
    from analysis.estimator.crossover.tables import all_tables
    from analysis.estimator.crossover.wording import verdict_sentence
    from analysis.estimator.rows.table import csv_text
    from analysis.estimator.rows.wrong_files import pack_bits
    from analysis.figures.render import FORMATS, draw_all
    from analysis.report.page_data import chart
    from analysis.report.pages import library, render_pages
    from analysis.report.vit_pictures import pictures

    out = Path(own.get("out") or "report")
    if out.exists() and not out.is_dir():
        raise InputError(f"out={out} is not a folder")
    kinds = split_list(own.get("figures", "[png,svg,pdf]"))
    kinds = () if kinds == ("none",) else kinds
    if not set(kinds) <= set(FORMATS):
        raise InputError(f"figures={','.join(kinds)}: some of {', '.join(FORMATS)}, or none")
    reading = understood(arguments)
    table = reading.table
    crossovers = answer_all(arguments, reading)

    collect = draw_all(crossovers, kinds)
    charts = [chart(c) for c in crossovers]
    library()  # takes two seconds, in which the figures are drawn
    drawn = collect()
    files: dict[str, str | bytes] = {f"figures/{name}": content for name, content in drawn.files.items()}
    files |= {f"tables/{name}.csv": text for name, text in all_tables(crossovers).items()}
    files["report.html"], files["report.md"] = render_pages(
        crossovers,
        charts,
        drawn,
        pictures=pictures(arguments.results, crossovers),
        command=shlex.join(["python", "-m", "analysis.report", *_given(arguments, own)]),
        versions=_versions(),
    )
    fits = [{"key": c.key, "models": [_fit(c, m) for m in c.families.curves]} for c in crossovers]
    files["fits.json"] = _json({"schema": 1, "level": arguments.level, "groups": fits})
    groups = [c.to_dict() for c in crossovers]
    files["crossover.json"] = _json({"schema": 1, "level": arguments.level, "headline": 0, "groups": groups})

    bits = pack_bits(table)  # of the rows in results.csv, so that the file gives the same answer as the folder
    files = {"results.csv": csv_text(table)} | ({} if bits is None else {WRONG_FILE: bits}) | files
    # crossover.json comes last: where it is, the report is complete
    write_together(out, {name: text.encode() if isinstance(text, str) else text for name, text in files.items()})
    _remove_old(out, set(files))
    for crossover in crossovers:
        print(verdict_sentence(crossover))
    print(f"Report: {out / 'report.html'}")
    print(out / "crossover.json")
    return 0


SHOWN = (
    *("metric", "better", "range", "total_images", "axis", "level", "seed", "equivalent_within", "test_examples"),
)  # in the report's command


def _given(arguments: TableArguments, own: dict[str, str]) -> list[str]:
    """The command's arguments again, as the report shows them: what differs from the defaults."""
    paths = [str(p) for p in arguments.results]
    given = [f"results={paths[0]}" if len(paths) == 1 else f"results=[{','.join(paths)}]"]
    given += [f"columns.{name}={source}" for name, source in arguments.columns.items()]
    for prefix, lists in (("family", arguments.families), ("wide", arguments.wide), ("filters", arguments.filters)):
        given += [f"{prefix}.{name}=[{','.join(items)}]" for name, items in lists.items()]
    default = TableArguments(results=())
    for field in dataclasses.fields(TableArguments):
        value = getattr(arguments, field.name)
        if field.name in SHOWN and value != getattr(default, field.name):
            given.append(f"{field.name}={value}")
    given += ["tuned=yes"] if arguments.tuned else []
    given += ["records=trust"] if arguments.trust else []
    return given + ([] if arguments.audit else ["audit=off"]) + [f"{k}={v}" for k, v in own.items()]


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, (*TABLE_WORDS, "out", "figures"), with_table(run), arguments)
