"""Scores the estimator on public curves, in Markdown tables: extrapolation, real crossings, Chinchilla runs, and speed.

Nothing is chosen by looking at the points that are reported: the settings of the first table come from the other data
sets, and the defaults from those and from simulation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import InputError, among, run_command, with_defaults
from analysis.benchmark.bands import bands_tables, inside_tables, learn_tables
from analysis.benchmark.chinchilla import chinchilla_tables
from analysis.benchmark.design import design_tables, replay_tables
from analysis.benchmark.oracle import level_tables, oracle_tables
from analysis.benchmark.reliability import reliability_tables
from analysis.benchmark.speed import speed_tables
from analysis.benchmark.ties import ties_tables
from analysis.benchmark.vision import (
    CANDIDATES,
    DEFAULT,
    extrapolate,
    images,
    judge_crossings,
    judge_winners,
    lead_changes,
    leave_one_out,
    load_crossings,
    load_curves,
)
from analysis.calibrate.table import share_of
from analysis.estimator.crossover.crossings import LEVEL
from analysis.estimator.crossover.paired_draws import FACTOR, TIE

PARTS = tuple("curves leads crossings winners inside bands level oracle ties reliability chinchilla speed".split())
LEARN = "learn"  # writes a file: only where asked for
LONG = ("design", "replay")  # an hour and more: only where asked for
USAGE = f"""python -m analysis.benchmark [key=value ...]

  parts=A,B     of {", ".join(PARTS)} (all); inside judges the intervals between the sizes measured,
                bands those beyond the data with numbers learned without the data set judged;
                parts=learn learns them from all and writes them;
                parts=design plays adaptive designs against simulated truths, parts=replay against recorded sweeps
  data=DIR      the folder that holds curves/vision-benchmark.csv, curves/vision-crossings.csv,
                curves/chinchilla-runs.csv, curves/lcdb-open.csv.gz and curves/language-benchmark.csv;
                by default the environment's SCALING_SHARED_DATA
  draws=1000    bootstrap replicates of the Chinchilla fit, and of the methods timed
  out=FILE      what parts=learn writes (learned.json); the estimator reads analysis/estimator/curve/learned.json
  sweeps=100    simulated sweeps per cell of the oracle's table and of the designs'
  pairs=600     LCDB pairs, of the reliability bins, the ties and the designs; there are 2,082
  played=FILE   where played designs are kept (played.jsonl); those that are there are not played again
  recorded=A,B  folders or tables of whole sweeps that designs are replayed on
  calibration=FILE  sweeps that analysis.calibrate has judged, for the same (calibration.jsonl; left out if absent)
  figure=FILE   where the reliability bins are drawn (reliability.png)
  seed=0        of the replicates"""
BENCHMARKS: dict[str, Any] = {
    "parts": PARTS,
    "data": "",
    "draws": 1000,
    "sweeps": 100,
    "pairs": 600,
    "calibration": "calibration.jsonl",
    "figure": "reliability.png",
    "seed": 0,
    "played": "played.jsonl",
    "recorded": (),
    "out": "learned.json",
}


def _curves(folder: Path, options: dict[str, Any]) -> list[str]:
    curves = load_curves(folder)
    errors = {name: extrapolate(curves, s, seed=options["seed"]) for name, s in CANDIDATES.items()}
    tasks = sorted(set(curves.Task))
    lines = [
        "Fit on `Training` = 1, root mean square log error on `Training` = 0.",
        "",
        "| settings | curves | mean | median | worst |",
        "|---|---|---|---|---|",
    ]
    out, chosen = leave_one_out(errors, {t: t for t in tasks})
    rows = {f"chosen on the five other data sets ({', '.join(sorted(set(chosen.values())))})": out}
    out, chosen = leave_one_out(errors, {t: images(t) for t in tasks})
    text = ", ".join(f"{g}: {c}" for g, c in chosen.items())
    rows |= {f"chosen on the other images ({text})": out, f"default ({DEFAULT})": errors[DEFAULT]}
    rows |= {name: e for name, e in errors.items() if name != DEFAULT}
    for name, e in rows.items():
        lines.append(f"| {name} | {len(e)} | {e.mean():.4f} | {e.median():.4f} | {e.max():.4f} |")
    return lines


def _spread(changes: pd.DataFrame) -> float:
    return float(np.sqrt((changes.ratio**2).mean()))


def _leads(folder: Path, options: dict[str, Any]) -> list[str]:
    changes = lead_changes(load_curves(folder))
    lines = [
        f"Change of a lead over a factor of {FACTOR:g} in n, in units of the mean fall of both errors over the factor"
        f" before; the estimator's tie is {TIE:g}.",
        "",
        "| task | cases | root mean square | 90% of them below |",
        "|---|---|---|---|",
    ]
    for name, own in [("all", changes), *changes.groupby("task"), *changes.groupby(changes.task.map(images))]:
        lines.append(f"| {name} | {len(own)} | {_spread(own):.2f} | {own.ratio.abs().quantile(0.9):.2f} |")
    return lines


def _crossings(folder: Path, options: dict[str, Any]) -> list[str]:
    curves, pairs = load_curves(folder), load_crossings(folder)
    lines = [
        "Both curves cut at crossing / k, `audit=off`.",
        "",
        "| k | pairs | claimed (95%) | claimed or leaned to | median abs log10 error | within 2x | others |",
        "|---|---|---|---|---|---|---|",
    ]
    for k in ("1.5", "2.0", "4.0"):
        got = judge_crossings(curves, pairs, k, seed=options["seed"])
        off = got.off.dropna().abs()
        others = got[got.off.isna() & ~got.leaned].verdict.value_counts().to_dict()
        text = ", ".join(f"{n} {v}" for v, n in others.items())
        near = int((off <= np.log10(2)).sum())
        found, middle = share_of(len(off), len(got)), off.median() if len(off) else np.nan
        both = len(off) + int(got.leaned.sum())
        lines.append(f"| {float(k):g} | {len(got)} | {len(off)}: {found} | {both} | {middle:.3f} | {near} | {text} |")
    return lines


def _winners(folder: Path, options: dict[str, Any]) -> list[str]:
    got = judge_winners(load_curves(folder), seed=options["seed"])
    decided = got[got.gap.abs() > LEVEL]
    right = (decided.p_vit > 0.5) == (decided.gap < 0)
    sure = (decided.p_vit - 0.5).abs() >= 0.4
    claimed, wrong = int(got.claimed.sum()), int((got.claimed & ~got.crosses).sum())
    named = share_of(int(right.sum()), len(right))
    sure_right, never = share_of(int(right[sure].sum()), int(sure.sum())), share_of(wrong, len(got))
    return [
        "All pairs of models of a task, cut at a quarter of their common range.",
        "",
        "| what | of | share (95%) |",
        "|---|---|---|",
        f"| winner at the end named, P > .5 | {len(right)} pairs not level there | {named} |",
        f"| winner at the end named, P >= .9 | {int(sure.sum())} of these | {sure_right} |",
        f"| crossings claimed before the end that do not come | all {len(got)} pairs | {never} |",
        f"| the same | {claimed} claimed | {share_of(wrong, claimed) if claimed else 'none'} |",
    ]


def run(options: dict[str, Any]) -> int:
    parts = among("parts", options["parts"], (*PARTS, *LONG, LEARN))
    given = options["data"] or os.environ.get("SCALING_SHARED_DATA", "")
    folder = Path(given) / "curves"
    needs = [p for p in parts if p not in ("speed", "level", "design")]
    if needs and not (given and folder.is_dir()):
        where = f"{folder}: no such folder" if given else "data= is missing"
        raise InputError(f"{where}; data=DIR (or SCALING_SHARED_DATA) names the folder that holds curves/")
    tables: dict[str, Callable[[Path, dict[str, Any]], list[str]]] = {
        "curves": _curves,
        "crossings": _crossings,
        "winners": _winners,
        "leads": _leads,
        "oracle": oracle_tables,
        "chinchilla": chinchilla_tables,
        "speed": speed_tables,
        "inside": inside_tables,
        "bands": bands_tables,
        "level": level_tables,
        "ties": ties_tables,
        "reliability": reliability_tables,
        "design": design_tables,
        "replay": replay_tables,
        LEARN: learn_tables,
    }
    for part in parts:
        print("\n".join([f"## {part}", "", *tables[part](folder, options), ""]), flush=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, tuple(BENCHMARKS), with_defaults(BENCHMARKS, run), arguments)
