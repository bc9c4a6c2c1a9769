"""Finds the columns that make several questions of one table, and rows that no column tells apart.

Runs of one model, size and seed that differ are no repeats. Where a column of few values tells them apart (a task, a
regime, a variant, the file), each of its values is a question of its own; curves are never averaged over them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.estimator.rows.files.sections import TITLE
from analysis.estimator.rows.metric import known_metric
from analysis.estimator.rows.sources import PROVENANCE
from analysis.estimator.rows.starts import ADAPT, START, mode_column
from scaling.records.record import COLUMNS

MOST_VALUES = 20  # values of a column that tells questions apart
CLEAR = 1e-3  # p-value at which a column's effect is none of chance, where there are no seeds
_REPEATS = re.compile(
    r"^(fold|run|runs|trial|rep|repeat|repetition|replicate|iteration|iter|split|cv|index|idx|id|job)"
    r"([_ ]?(id|nr|no|number|index|idx))?$"
)
_OVER_TIME = re.compile(r"^_?(trainer/)?(global_)?(epoch|step|iteration|iter)s?$", re.IGNORECASE)
_ASIDE = re.compile(
    r"(^|_)(id|uuid|hash|date|time|timestamp|created|created_at|updated|runtime|duration|start_time|end_time|user|author"
    r"|notes?|comment|comments|tags|host|hostname|node|machine|gpu|path|url|log|logdir|version|commit|seconds|epoch_ran"
    r"|epochs_ran|best_epoch|name|run_name|display_name|experiment_id|_step|step|steps)$"
)


def _base(rows: pd.DataFrame, axis: str, question: Sequence[str]) -> list[str]:
    # A foreign column that tells the modes apart stays a question's own, under its own name.
    starts = (START, ADAPT) if mode_column(rows) is None else ()
    named = ("model", axis, "train_size", *question, *starts, "seed", "subset_seed", "budget_factor")
    return [c for c in dict.fromkeys(named) if c in rows.columns]


def _candidates(rows: pd.DataFrame, base: Sequence[str], metric: str) -> list[str]:
    """Columns that could tell questions apart: few values, no metric, no measurement, nothing about the machine."""
    found = []
    for column in rows.columns:
        name = re.sub(r"[^0-9a-z]+", "_", str(column).lower()).strip("_")
        record = column in COLUMNS and column not in ("precision",)
        ours = record or column in (metric, "status", "family", "lr", "pretrained", START)
        if column in base or ours or known_metric(column):
            continue
        if column != PROVENANCE and (_ASIDE.search(name) or column.endswith("_spread")):
            continue
        values = rows[column].dropna()
        numeric = pd.api.types.is_numeric_dtype(values)
        if _REPEATS.match(name) and (numeric or not values.nunique() <= 3):
            continue
        if 2 <= rows[column].nunique(dropna=False) <= min(MOST_VALUES, max(2, len(rows) // 4)):
            found.append(str(column))
    return found


def _repeated(rows: pd.DataFrame, by: Sequence[str]) -> int:
    """How many rows share their values of these columns with another one."""
    return int(rows.duplicated(list(by), keep=False).sum())


def _telling(rows: pd.DataFrame, base: list[str], candidates: Sequence[str]) -> tuple[list[str], int]:
    """The fewest columns, one after another, after which the fewest rows repeat; and how many still do."""
    chosen: list[str] = []
    left = _repeated(rows, base)
    while left:
        trials = [
            (_repeated(rows, [*base, *chosen, c]), pd.api.types.is_numeric_dtype(rows[c]), rows[c].nunique(), i, c)
            for i, c in enumerate(candidates)
            if c not in chosen
        ]
        if not trials or min(trials)[0] >= left:
            break
        left, chosen = min(trials)[0], [*chosen, min(trials)[-1]]
    return chosen, left


def _p_value(rows: pd.DataFrame, base: list[str], column: str, metric: str) -> float:
    """Of the F test that a column, per model, says nothing about the metric beyond model and size."""
    from scipy.special import fdtrc  # 0.2 s to import, and only needed here

    value = np.log(np.maximum(rows[metric].to_numpy(float), 1e-6))
    cell = rows.groupby(base, dropna=False).ngroup().to_numpy()
    counts = np.bincount(cell)
    away = value - (np.bincount(cell, value) / counts)[cell]
    several = counts[cell] > 1
    part = rows.groupby(["model", column], dropna=False).ngroup().to_numpy()[several]
    away, kept = away[several], np.unique(cell[several])
    size = np.bincount(part)
    means = np.bincount(part, away) / np.maximum(size, 1)
    between, total = float((size * means**2).sum()), float((away**2).sum())
    models = rows["model"][several].nunique()
    dof = (int((size > 0).sum()) - models, len(away) - len(kept) - (int((size > 0).sum()) - models))
    if dof[0] < 1 or total <= 0:
        return 1.0
    if dof[1] < 1 or between >= total:
        return 0.0
    return float(fdtrc(dof[0], dof[1], (between / dof[0]) / ((total - between) / dof[1])))


def question_columns(rows: pd.DataFrame, *, metric: str, axis: str, question: Sequence[str]) -> list[str]:
    """The columns, beyond the usual ones, whose values are questions of their own.

    Args:
        rows: finished rows of a foreign table; `metric`: the column that is fitted.
        question: the usual columns of a question.
    """
    # Whoever wrote titles told the parts apart: no test of an effect is asked.
    titled = [TITLE] if TITLE in rows.columns and rows[TITLE].nunique() > 1 else []
    base = _base(rows, axis, [*question, *titled])
    return [*titled, *_beyond(rows, base, _candidates(rows, base, metric), metric)]


def _beyond(rows: pd.DataFrame, base: list[str], candidates: list[str], metric: str) -> list[str]:
    """Of the candidates those that tell apart what the columns of `base` leave together."""
    if not _repeated(rows, base):
        return []
    if "seed" not in base:
        return _by_effect(rows, base, candidates, metric)
    chosen, left = _telling(rows, base, candidates)
    if "lr" not in rows.columns:
        return chosen
    if chosen and not left and rows.groupby(["model", *chosen], dropna=False)["lr"].nunique().max() <= 1:
        return chosen  # the rate follows from it
    return [] if not _repeated(rows, [*base, "lr"]) else _telling(rows, [*base, "lr"], candidates)[0]


def _by_effect(rows: pd.DataFrame, base: list[str], candidates: Sequence[str], metric: str) -> list[str]:
    """Without seeds rows may repeat; a column is a question of its own if the metric clearly depends on it."""
    chosen: list[str] = []
    while _repeated(rows, [*base, *chosen]):
        trials = [
            (_p_value(rows, [*base, *chosen], c, metric), i, c) for i, c in enumerate(candidates) if c not in chosen
        ]
        if not trials or min(trials)[0] > CLEAR:
            break
        chosen.append(min(trials)[-1])
    return chosen


def last_of_each_run(rows: pd.DataFrame, *, metric: str, axis: str, question: Sequence[str]) -> tuple[pd.Series, str]:
    """Which rows are the last of their run, where a table has a row per epoch or step, and that column's name."""
    everything = pd.Series(True, rows.index)
    base = _base(rows, axis, question)
    over = [c for c in rows.columns if _OVER_TIME.match(str(c)) and pd.api.types.is_numeric_dtype(rows[c])]
    if not over or not _repeated(rows, base):
        return everything, ""
    named = [c for c in _candidates(rows, base, metric) if c not in over] + ["lr"] * ("lr" in rows.columns)
    by = [*base, *named]
    for column in over:
        if _repeated(rows, by) and not _repeated(rows, [*by, column]) and rows[column].notna().all():
            last = rows.groupby(by, dropna=False)[column].transform("max")
            return rows[column] == last, str(column)
    return everything, ""


def unexplained(rows: pd.DataFrame, *, metric: str, axis: str) -> pd.DataFrame:
    """Rows of one model, size, seed and rate with different values, that no column tells apart; none without seeds."""
    by = [c for c in ("model", axis, "train_size", "seed", "subset_seed", "lr") if c in rows.columns]
    by = list(dict.fromkeys(by))
    if "seed" not in by:
        return rows[:0]
    again = rows[rows.duplicated(by, keep=False)]
    return again if again.empty else again[again.groupby(by, dropna=False)[metric].transform("nunique") > 1]
