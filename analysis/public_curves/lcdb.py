"""LCDB's learning curves in: how often two learners change places, what was said of them, and what came.

python -m analysis.public_curves results=lcdb-open.csv.gz out=results/lcdb

Each pair of learners of one data set is shown up to a quarter of its range: 8 sizes a factor of 2 apart, 3 runs drawn
from the published mean and standard deviation. All that was measured, smoothed, is the judge. The learners are not
neural networks (LCDB 1.1, Viering et al. 2025): this tests the estimator, and says nothing of CNNs and ViTs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.arguments import InputError
from analysis.benchmark.pairs import LcdbPair, fitted_pairs
from analysis.estimator.crossover.find_crossover import compare
from analysis.estimator.crossover.verdict import Verdict
from analysis.public_curves.outcome import CurveOutcome, outcome

SOURCE = "lcdb-open.csv.gz"
OUTCOMES = "outcomes.csv"
_CLEAR = 0.05  # of log error, before and after the first crossing: a lead that a few runs can show
CAME = {
    "never": "they never change places",
    "inside": "they change places among the sizes shown, and not later",
    "later": "they change places later, and not before",
    "both": "they do both",
}
SAID = ("observed", "multiple", "extrapolated", "ahead", "equivalent", "cannot tell")
OUTCOME_COLUMNS = (
    *(
        "data",
        "first",
        "second",
        "shown_from",
        "shown_to",
        "measured_to",
        "verdict",
        "direction",
        "size",
        "low",
        "high",
    ),
    *("p_crossing", "came", "clear", "first_crossing", "nearest_crossing", "crossings", "ratio_at_end", "holds"),
)


def _lead_between(pair: LcdbPair, low: float, high: float) -> float:
    """The larger of the two leads in log error, at the measured sizes within a range; 0 where there are none."""
    (sizes, one), (others, two) = pair.dense
    common = np.intersect1d(sizes, others)
    common = common[(common >= low) & (common <= high)]
    if not len(common):
        return 0.0
    gap = np.log(one[np.isin(sizes, common)] / two[np.isin(others, common)])
    return float(np.abs(gap).max())


def _holds(verdict: Verdict, truth: CurveOutcome, start: float) -> str:
    """Whether what was said was borne out from the smallest size shown to the end: yes, no, open, or - (no claim).

    A crossing: a real one of its direction lies in the interval; open where none came and the interval reaches beyond
    the end. Ahead: that learner leads from the start to the end. Several crossings: at least two came.
    """
    came = [(size, direction) for size, direction in truth.crossings if size >= start]
    if verdict.verdict in ("vit_ahead", "cnn_ahead"):
        return "yes" if not came and truth.leader in (verdict.verdict.removesuffix("_ahead"), None) else "no"
    if verdict.verdict == "multiple":
        return "yes" if len(came) > 1 else "no"
    if verdict.verdict not in ("observed", "extrapolated") or verdict.interval is None:
        return "-"
    low, high = verdict.interval[0] or 0.0, verdict.interval[1] or np.inf
    places = [size for size, direction in came if direction == verdict.direction]
    if any(low <= size <= high for size in places):
        return "yes"
    return "open" if high > truth.end and not [p for p in places if p > low] else "no"


def _row(pair: LcdbPair) -> dict[str, Any]:
    verdict, truth = compare(pair.families, ("vit",), ("cnn",), level=0.9), outcome(*pair.dense)
    start, shown = float(pair.first.sizes.min()), float(pair.first.sizes.max())
    came = [(size, direction) for size, direction in truth.crossings if size >= start]
    inside, later = [c for c in came if c[0] <= shown], [c for c in came if c[0] > shown]
    kind = "both" if inside and later else "inside" if inside else "later" if later else "never"
    first = came[0][0] if came else np.nan
    around = (_lead_between(pair, start, first), _lead_between(pair, first, truth.end)) if came else (0.0, 0.0)
    claimed, same = verdict.crossover_size, [size for size, direction in came if direction == verdict.direction]
    nearest = first if claimed is None or not same else min(same, key=lambda size: abs(np.log(size) - np.log(claimed)))
    low, high = verdict.interval if verdict.crossover_size is not None and verdict.interval else (None, None)
    return {
        "data": pair.first.group,
        "first": pair.first.name.split("/")[1],
        "second": pair.second.name.split("/")[1],
        "shown_from": start,
        "shown_to": shown,
        "measured_to": round(truth.end),
        "verdict": verdict.verdict,
        "direction": verdict.direction or "",
        "size": verdict.crossover_size,
        "low": low,
        "high": high,
        "p_crossing": verdict.p_crossing,
        "came": kind,
        "clear": bool(came) and min(around) >= _CLEAR,
        "first_crossing": first,
        "nearest_crossing": nearest,
        "crossings": len(came),
        "ratio_at_end": float(np.exp(truth.gap)),
        "holds": _holds(verdict, truth, start),
    }


def judge_lcdb(path: Path, *, pairs: int, seed: int = 0) -> pd.DataFrame:
    """A row of OUTCOME_COLUMNS per pair; `path` is LCDB's file, or outcomes that were judged before.

    Raises:
        InputError: it is neither.
    """
    head = list(pd.read_csv(path, nrows=1).columns)
    if head == list(OUTCOME_COLUMNS):
        return pd.read_csv(path).fillna({"direction": ""})
    if path.name != SOURCE or not {"dataset", "learner", "n", "test_error", "sd"} <= set(head):
        raise InputError(f"{path}: neither {SOURCE} (dataset, learner, n, test_error, sd) nor an {OUTCOMES} of this")
    found = pd.DataFrame([_row(pair) for pair in fitted_pairs(path.parent, most=pairs, seed=seed)])
    return found[list(OUTCOME_COLUMNS)]


def said(verdict: str) -> str:
    """A verdict in the words of the table, which learner came first left out."""
    return "ahead" if verdict.endswith("_ahead") else "cannot tell" if verdict == "not_identifiable" else verdict


def counts(rows: pd.DataFrame) -> pd.DataFrame:
    """Pairs by what came (rows of CAME) and what was said (columns of SAID)."""
    table = pd.crosstab(rows["came"], rows["verdict"].map(said))
    return table.reindex(index=list(CAME), columns=list(SAID), fill_value=0)


_HEAD = """# How often learners cross, and how often we say so rightly

{pairs:,} pairs of learners on {sets} data sets of LCDB 1.1, shown up to a quarter of their range (8 sizes, 3 runs
each); the rest, smoothed, is the judge.
"""
_TAIL = """
![What was said by what came, and claimed places against the real ones](crossings.png)

*Borne out*: of a crossing, that a real one of its direction lies in the 90% interval (*open*: none came, and the
interval reaches beyond the end); of several, that two or more came; of *ahead*, that this learner led from the
smallest size shown to the end. Leads below 0.5% count as level, so that a flutter around a tie is no crossing.

What this cannot tell: the learners are those of scikit-learn and the like, not CNNs and ViTs; pairs share learners and
data sets, so they are not independent; the estimator's numbers were learned from these data sets among others (with
data sets left out: [docs/estimator.md](../../docs/estimator.md)); the judge is a mean of 25 splits, a little noisy too.

Made by `python -m analysis.public_curves results=lcdb-open.csv.gz out=results/lcdb pairs={pairs}`. Page and figure are
made again from the committed outcomes by `python -m analysis.public_curves results=results/lcdb/outcomes.csv
out=results/lcdb`. Data: LCDB 1.1, NeurIPS 2025, arXiv 2505.15657, CC BY 4.0.
"""


def _share(rows: pd.DataFrame) -> str:
    judged = rows[rows["holds"].isin(["yes", "no"])]
    if judged.empty:
        return "-"
    yes, left = int((judged["holds"] == "yes").sum()), len(rows) - len(judged)
    return f"{yes} of {len(judged)} ({yes / len(judged):.2f})" + (f"; {left} open" if left else "")


def _off(observed: pd.DataFrame) -> list[str]:
    """How far the claimed places are from the real ones, as factors."""
    near = observed[observed["nearest_crossing"].notna()]
    if near.empty:
        return []
    off = np.exp(np.abs(np.log(near["size"].to_numpy(float) / near["nearest_crossing"].to_numpy(float))))
    said = near["holds"] == "yes"
    return [
        f"- **The interval of an observed crossing holds the real one in {said.mean():.2f} of {len(near)}**, where it"
        f" should in .90: it is too narrow on these curves. The place itself is off by a factor of {np.median(off):.2f}"
        f" in the median, and of {np.quantile(off, 0.9):.2f} or less in nine of ten."
    ]


def lcdb_readme(rows: pd.DataFrame) -> str:
    """The page: what came, what was said, and how often that was right."""
    table, crossed = counts(rows), rows[rows["came"] != "never"]
    clear = crossed[crossed["clear"]]
    inside = clear[clear["came"].isin(["inside", "both"])]
    told = int(inside["verdict"].isin(["observed", "multiple"]).sum())
    lines = [
        _HEAD.format(pairs=len(rows), sets=rows["data"].nunique()),
        f"- **{len(crossed):,} pairs change places** at least once ({len(crossed) / len(rows):.2f}), {len(clear):,} of"
        f" them clearly ({len(clear) / len(rows):.2f}): with a lead of 5% before and after.",
        f"- Of {len(inside):,} clear crossings among the sizes shown, {told:,} are claimed as seen.",
        *_off(rows[rows["verdict"] == "observed"]),
        "",
        f"| what came | pairs | {' | '.join(SAID)} |",
        "|---" * (len(SAID) + 2) + "|",
        *(f"| {text} | {table.loc[k].sum()} | {' | '.join(map(str, table.loc[k]))} |" for k, text in CAME.items()),
        f"| **borne out** | | {' | '.join(_share(rows[rows['verdict'].map(said) == s]) for s in SAID)} |",
    ]
    return "\n".join(lines) + "\n" + _TAIL.format(pairs=len(rows))
