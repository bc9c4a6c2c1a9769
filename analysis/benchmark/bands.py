"""Real curves in, tables of how good the 90% bands beyond the data are out: ours, as before, and a peer's.

Every case is judged by numbers learned without its data set. The interval score (Gneiting and Raftery 2007) is the
width plus 20 times what the truth lies outside; it and the CRPS are in log error, and low is good.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.benchmark.learn import REPLICATES, WEIGHTS, candidates, learn, settings_from, write_learned
from analysis.benchmark.predictive import batches, look_ahead, points_of_case
from analysis.benchmark.real_curves import CUTS, SETS, CutCurve, folds_of, lcdb_cases, lcdb_dense, load_cases
from analysis.benchmark.smoothing import smooth
from analysis.calibrate.table import share_of
from analysis.estimator.arrays import Array
from analysis.estimator.curve.discrepancy import SETTINGS, Settings
from analysis.estimator.curve.fit_curve import fit_points

BAND = 0.9
FOLDS = 5
BOOTSTRAPS = 100  # of the peer, a curve
STRETCHES = np.geomspace(0.5, 5.0, 47)
BEFORE = Settings(  # chosen by hand until real curves were learned from; the rough half only for dense sizes
    form_prior={known: dict.fromkeys(Settings().forms, 1.0) for known in (True, False)},
    discrepancy=(0.0, 0.01, 0.03, 0.1) * 2,
    rough=(0.0,) * 4 + (0.015,) * 4,
    prior=(0.25, 0.35, 0.25, 0.15) * 2,
    beyond=None,
    width=1.0,
    local=(0.0,) * 8,
    growth=0.5,
)
LOCALS = ((0.0, 0.25), (0.5, 0.25), (1.0, 0.25), (2.0, 0.25), (1.0, 0.18), (1.0, 0.35), (1.0, 0.5))  # times, width
JUDGED_WIDTH = 0.06  # of the kernel that smooths what was measured, in ln n: LCDB's sizes are .087 apart
CLOSE = 0.24  # in ln n: sizes nearer to each other than that share their wobble


def interval_score(low: Any, high: Any, truth: Any, level: float = BAND) -> Array:
    outside = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return np.asarray(high - low + 2 / (1 - level) * outside)


def crps(draws: Array, truth: float) -> float:
    """Of equally probable draws: E|x - truth| - E|x - x'| / 2."""
    x, count = np.sort(draws), len(draws)
    return float(np.abs(x - truth).mean() - ((2 * np.arange(1, count + 1) - count - 1) * x).sum() / count**2)


def judge_draws(case: CutCurve, draws: Array) -> dict[str, Any]:
    """One row of the table: draws of the log error at the case's end beside what came."""
    tail = (1 - BAND) / 2
    low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail])
    row = {"of": case.of, "group": case.group, "name": case.name, "cut": case.cut, "truth": case.truth}
    return row | {"low": low, "middle": middle, "high": high, "crps": crps(draws, case.truth)}


def judge_fits(cases: Sequence[CutCurve], settings: Settings, *, seed: int = 0) -> pd.DataFrame:
    """A row per case, in their order: the estimator with these settings."""
    found: dict[int, dict[str, Any]] = {}
    for own in batches(cases):
        points, first = [points_of_case(cases[i]) for i in own], cases[own[0]]
        streams = [[seed, i] for i in range(len(own))]
        fits = fit_points(
            points, metric=first.metric, num_classes=first.num_classes, streams=streams, settings=settings
        )
        for i, fit in zip(own, fits, strict=True):
            found[i] = judge_draws(cases[i], fit.log_draws([cases[i].end])[:, 0])
    return pd.DataFrame([found[i] for i in range(len(cases))], index=range(len(cases)))


def judge_before(cases: Sequence[CutCurve], *, seed: int = 0) -> pd.DataFrame:
    close = [bool(np.median(np.diff(np.log(np.unique(c.sizes)))) < CLOSE) for c in cases]
    parts = []
    for wanted, settings in ((True, BEFORE), (False, BEFORE.smooth())):
        which = [i for i, c in enumerate(close) if c == wanted]
        if which:
            parts.append(judge_fits([cases[i] for i in which], settings, seed=seed).set_axis(which))
    return pd.concat(parts).sort_index()


def judge_peer(cases: Sequence[CutCurve], *, seed: int = 0) -> pd.DataFrame:
    """The usual way: scipy's curve_fit of E + A n^-alpha to raw errors, cases drawn with replacement."""
    from scipy.optimize import OptimizeWarning, curve_fit

    rng, rows = np.random.default_rng(seed), []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", OptimizeWarning)
        for case in cases:
            x, y, ends = case.sizes / case.sizes.max(), case.values, []
            for _ in range(BOOTSTRAPS):
                i = rng.integers(0, len(x), len(x))
                try:
                    fit = curve_fit(_law, x[i], y[i], p0=(y.min(), 0.5, 0.01), maxfev=2000)[0]
                except RuntimeError:
                    continue
                ends.append(float(_law(np.array([case.cut]), *fit)[0]))
            usable = np.array(ends)[np.isfinite(ends)] if ends else np.array([y.min()])
            rows.append(judge_draws(case, np.log(np.clip(usable, 1e-4, None))))
    return pd.DataFrame(rows)


def _law(n: Array, a: float, b: float, e: float) -> Array:
    return np.asarray(e + a * n**-b)


def stretched(rows: pd.DataFrame, factor: float) -> pd.DataFrame:
    """The same bands, each side `factor` times as wide."""
    low, high = (rows.middle + factor * (rows[side] - rows.middle) for side in ("low", "high"))
    return rows.assign(low=low, high=high)


def best_stretch(rows: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    """The factor with the lowest mean interval score on these very rows: more than anybody can know."""

    def score(factor: float) -> float:
        wide = stretched(rows, factor)
        return float(interval_score(wide.low, wide.high, wide.truth).mean())

    best = min(STRETCHES, key=score)
    return float(best), stretched(rows, best)


def _line(name: str, rows: pd.DataFrame) -> str:
    inside = (rows.low <= rows.truth) & (rows.truth <= rows.high)
    score = interval_score(rows.low, rows.high, rows.truth).mean()
    off = (rows.middle - rows.truth).abs().median()
    width = (rows.high - rows.low).median()
    # A CRPS belongs to draws, not to a stretched band.
    points = "" if name.startswith("before, times") else f"{rows.crps.mean():.3f}"
    return f"| {name} | {share_of(int(inside.sum()), len(rows))} | {width:.3f} | {score:.3f} | {points} | {off:.3f} |"


def render_bands(judged: Mapping[str, pd.DataFrame]) -> list[str]:
    """A table per set and cut of what several estimators said of the same cases."""
    lines = []
    first = next(iter(judged.values()))
    for of in SETS:
        for cut in sorted(set(first.cut)):
            own = {name: rows[(rows.of == of) & (rows.cut == cut)] for name, rows in judged.items()}
            if not len(own[next(iter(own))]):
                continue
            lines += [
                "",
                f"{of}, {cut:g} times the largest size, {len(next(iter(own.values())))} curves:",
                "",
                "| bands | coverage (95%) | median width | interval score | CRPS | median error |",
                "|---|---|---|---|---|---|",
                *(_line(name, rows) for name, rows in own.items()),
            ]
            if "before" in own:
                factor, wide = best_stretch(own["before"])
                lines.append(_line(f"before, times {factor:.2f} (best for these rows)", wide))
    return lines


def _weights(cases: Sequence[CutCurve]) -> Array:
    return np.array([WEIGHTS[c.of] for c in cases])


def judge_left_out(cases: Sequence[CutCurve], *, seed: int = 0) -> pd.DataFrame:
    """Each case by the estimator as learned from the folds that its data set is not in."""
    ahead = look_ahead(cases, candidates(), replicates=REPLICATES, seed=seed)
    weight, fold, parts = _weights(cases), folds_of(list(cases), FOLDS), []
    for k in range(FOLDS):
        rest, own = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        settings = settings_from(learn(ahead.of(rest), weight[rest]))
        parts.append(judge_fits([cases[int(i)] for i in own], settings, seed=seed).set_axis(own))
    return pd.concat(parts).sort_index()


def bands_tables(folder: Path, options: dict[str, Any]) -> list[str]:
    cases = load_cases(folder, seed=options["seed"])
    judged = {
        "learned without these data sets": judge_left_out(cases, seed=options["seed"]),
        "before": judge_before(cases, seed=options["seed"]),
        f"curve_fit, {BOOTSTRAPS} bootstraps": judge_peer(cases, seed=options["seed"]),
    }
    return [f"Nominal {BAND:.0%}, {FOLDS} folds of data sets; the two sets of images apart.", *render_bands(judged)]


def learn_tables(folder: Path, options: dict[str, Any]) -> list[str]:
    """Learns from all cases and writes the file; says what stands in it."""
    cases = load_cases(folder, seed=options["seed"])
    ahead = look_ahead(cases, candidates(), replicates=REPLICATES, seed=options["seed"])
    theta = learn(ahead, _weights(cases))
    counts = {of: {"curves": sum(c.of == of for c in cases)} for of in SETS}
    for of in SETS:
        counts[of]["data_sets"] = len({c.group for c in cases if c.of == of})
    provenance = {
        "command": f"python -m analysis.benchmark parts=learn seed={options['seed']}",
        "sources": {
            "lcdb": "LCDB 1.1, lcdb-open.csv.gz, arXiv 2505.15657, CC BY 4.0",
            "vision": "vision-benchmark.csv, arXiv 2209.06640",
            "language": "language-benchmark.csv, arXiv 2209.06640",
        },
        "cut_curves": counts,
        "weight_of_a_curve": WEIGHTS,
    }
    path = Path(options["out"])
    write_learned(path, theta, provenance)
    return [f"Learned from {len(cases)} cut curves; written to {path}."]


def judge_inside(folder: Path, settings: Settings, *, seed: int = 0) -> pd.DataFrame:
    """A row per LCDB curve of 8 sizes and place inside them: the 90% band beside all that was measured there.

    Columns: group, low, high, truth (log error), crps, between (whether the place is the middle of two sizes).
    """
    cases, rows = [c for c in lcdb_cases(folder, seed) if c.cut == max(CUTS)], []
    dense, tail = lcdb_dense(folder), (1 - BAND) / 2
    for own in batches(cases):
        points, streams = [points_of_case(cases[i]) for i in own], [[seed, i] for i in own]
        fits = fit_points(points, metric="error", num_classes=None, streams=streams, settings=settings)
        for i, fit in zip(own, fits, strict=True):
            sizes = fit.points.sizes
            at = np.concatenate([np.sqrt(sizes[1:] * sizes[:-1]), sizes])
            truth, draws = smooth(*dense[cases[i].name], at, width=JUDGED_WIDTH), fit.log_draws(at)
            low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
            for j in range(len(at)):
                row = {"group": cases[i].group, "between": j < len(sizes) - 1, "crps": crps(draws[:, j], truth[j])}
                rows.append(row | {"low": low[j], "high": high[j], "truth": truth[j]})
    return pd.DataFrame(rows)


def inside_tables(folder: Path, options: dict[str, Any]) -> list[str]:
    """How good the bands are inside the data, for several sizes and lengths of the local deviation."""
    lines = [
        "LCDB, 8 sizes of 3 runs each, in the middle between two sizes and at the sizes; judge: all sizes, smoothed."
        " The interval score of either half of the data sets, since the local part was chosen by it.",
        "",
        "| local part times, width | between: coverage | median width | score, one half | the other | CRPS"
        " | at the sizes: coverage | score |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for times, width in LOCALS:
        settings = replace(SETTINGS, local=tuple(times * size for size in SETTINGS.local), local_width=width)
        rows = judge_inside(folder, settings, seed=options["seed"])
        rows["score"] = interval_score(rows.low, rows.high, rows.truth)
        rows["held"] = (rows.low <= rows.truth) & (rows.truth <= rows.high)
        between, at = rows[rows.between], rows[~rows.between]
        half = between.group.isin(sorted(set(between.group))[::2])
        scores = f"{between.score[half].mean():.4f} | {between.score[~half].mean():.4f}"
        lines.append(
            f"| {times:g}, {width:g} | {between.held.mean():.3f} | {(between.high - between.low).median():.3f}"
            f" | {scores} | {between.crps.mean():.5f} | {at.held.mean():.3f} | {at.score.mean():.4f} |"
        )
    return lines
