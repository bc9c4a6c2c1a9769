"""Summarises judged sweeps in a Markdown table per question: coverage, width and openness, false crossings."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.calibrate.truths import WELL, SimulatedCell, crossing_of

TARGET = {"well": 0.88, "misspecified": 0.85}
FALSE = 0.05  # share of sweeps in which a crossing may be claimed that never comes
CLAIMS = ("observed", "extrapolated", "multiple")


def binomial_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share (1934)."""
    from scipy.stats import binomtest

    if not trials:
        return 0.0, 1.0
    found = binomtest(successes, trials).proportion_ci(level, method="exact")
    return float(found.low), float(found.high)


def covers(interval: list[float | None] | None, truth: float) -> bool:
    """A missing interval covers nothing; an open end reaches as far as need be."""
    if interval is None:
        return False
    low, high = interval
    return (low or 0.0) <= truth <= (math.inf if high is None else high)


def share_of(successes: int, trials: int) -> str:
    """A share with its binomial 95% interval."""
    low, high = binomial_interval(successes, trials)
    return f"{successes / trials:.3f} ({low:.3f}-{high:.3f})"


def summarise_cells(cell: SimulatedCell, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one cell that has a crossing."""
    truth = crossing_of(cell)
    assert truth is not None
    intervals = [r["interval"] for r in rows]
    given = [i for i in intervals if i is not None]
    widths = [math.log10(i[1] / i[0]) if None not in i else math.inf for i in given]
    found = [r for r in rows if r["verdict"] in ("observed", "extrapolated") and r["direction"] == "vit_overtakes"]
    leaned = [r for r in rows if r.get("lean") == "vit_overtakes"]
    wrong = [r for r in rows if r["verdict"] in ("vit_ahead", "multiple") or r["direction"] == "cnn_overtakes"]
    return {
        "draws": len(rows),
        "covered": sum(covers(i, truth) for i in intervals),
        "width": float(np.median(widths)) if widths else math.nan,
        "open_below": sum(i[0] is None for i in given),
        "open_above": sum(i[1] is None for i in given),
        "missing": len(intervals) - len(given),
        "found": len(found),
        "leaned": len(leaned),
        "wrong": len(wrong),
        "bias": float(np.median([math.log10(r["size"] / truth) for r in found])) if found else math.nan,
    }


def _coverage(cells: list[SimulatedCell], rows: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    lines = [
        "| truth | crossing | noise | sweeps | coverage (95%) | width, decades | open below | open above | missing"
        " | found | leaned to | wrong | bias, decades | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        s = summarise_cells(cell, rows[cell.name])
        n, kind = s["draws"], "well" if cell.truth in WELL else "misspecified"
        short = binomial_interval(s["covered"], n)[1] < TARGET[kind]
        shares = [f"{s[k] / n:.2f}" for k in ("open_below", "open_above", "missing", "found", "leaned", "wrong")]
        width = f"{s['width']:.2f}" if math.isfinite(s["width"]) else "open"
        note = "short" if short else ""
        columns = [
            cell.truth,
            cell.place,
            f"{cell.noise:g}",
            str(n),
            share_of(s["covered"], n),
            width,
            *shares,
            f"{s['bias']:+.2f}",
            note,
        ]
        lines.append(f"| {' | '.join(columns)} |")
    return lines


def _pooled(cells: list[SimulatedCell], rows: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    """All truths of a kind together: what few draws per cell can tell."""
    lines = [
        "| truths | crossing | noise | sweeps | coverage (95%) | found (95%) | found or leaned to (95%) |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((c.truth in WELL, c.place, c.noise) for c in cells)
    for well, place, noise in keys:
        own = [c for c in cells if (c.truth in WELL, c.place, c.noise) == (well, place, noise)]
        all_of = [summarise_cells(c, rows[c.name]) for c in own]
        n, covered, found, leaned = (sum(s[k] for s in all_of) for k in ("draws", "covered", "found", "leaned"))
        kind = "well" if well else "misspecified"
        shares = [share_of(count, n) for count in (covered, found, found + leaned)]
        lines.append(f"| {kind} | {place} | {noise:g} | {n} | {' | '.join(shares)} |")
    return lines


def _false(cells: list[SimulatedCell], rows: Mapping[str, list[dict[str, Any]]]) -> list[str]:
    lines = [
        "| truth | noise | sweeps | crossing claimed (95%) | called ahead | called level | median P(crossing) | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        mine = rows[cell.name]
        claimed = sum(r["verdict"] in CLAIMS for r in mine)
        ahead = sum(r["verdict"] == "cnn_ahead" for r in mine) / len(mine)
        level = sum(r["verdict"] == "equivalent" for r in mine) / len(mine)
        p = float(np.median([r["p_crossing"] for r in mine]))
        note = "short" if binomial_interval(claimed, len(mine))[0] > FALSE else ""
        claims = share_of(claimed, len(mine))
        shares = [f"{x:.2f}" for x in (ahead, level, p)]
        columns = [cell.truth, f"{cell.noise:g}", str(len(mine)), claims, *shares, note]
        lines.append(f"| {' | '.join(columns)} |")
    return lines


def render_table(cells: Mapping[str, SimulatedCell], results: list[dict[str, Any]]) -> str:
    """The tables of the cells that have results."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in results:
        rows[row["cell"]].append(row)
    present = [c for name, c in cells.items() if rows[name]]
    crossing = [c for c in present if crossing_of(c) is not None]
    never = [c for c in present if crossing_of(c) is None]
    lines = [*_pooled(crossing, rows), "", *_coverage(crossing, rows)] if crossing else []
    lines += ["", *_false(never, rows)] if never else []
    return "\n".join(lines) if lines else "no sweeps"
