"""Lists what differs between the questions of a report: settings, data, versions and counts, beside each other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.estimator.crossover.find_crossover import Crossover
from analysis.estimator.rows.metric import FITTED, known_metric
from analysis.estimator.rows.selection import overrides_of
from analysis.estimator.rows.sources import PROVENANCE
from analysis.estimator.rows.wrong_files import WRONG

_MOST = 3  # values of one question that are listed
# What tells one run from another, is counted below or is a measurement of the machine.
_ASIDE = {
    "name", "config_hash", "overrides", "model", "family", "seed", "subset_seed", "train_size", "lr", "status",
    "error_text", "train_seconds", "images_per_second", "wandb_url", "width", "depth", "patch_size", "num_params",
    "strength", "run_id", "schema", "purpose", "fitted_spread", FITTED, PROVENANCE, WRONG,
}  # fmt: skip
# Words that a column says, too.
_IN_COLUMNS = ("model=", "seed=", "data.train_size=", "data.subset_seed=", "optim.lr=", "sweep=", "data.locality=",
               "data.image_size=")  # fmt: skip


def _text(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _values(cells: pd.Series) -> str:
    """The values of one question's rows, in a few words."""
    found = cells[cells.notna() & (cells.astype(str) != "")]
    distinct = sorted(set(found), key=lambda v: (isinstance(v, str), v if isinstance(v, str) else float(v)))
    if not distinct:
        return "\N{EN DASH}"
    if len(distinct) <= _MOST:
        return ", ".join(map(_text, distinct))
    if not any(isinstance(v, str) for v in distinct):
        return f"{_text(distinct[0])} to {_text(distinct[-1])}"
    return f"{len(distinct)} values"


def _places(rows: pd.DataFrame) -> str:
    """The files that the rows were read from, those of one folder by the folder's name."""
    if PROVENANCE not in rows.columns:
        return "\N{EN DASH}"
    files = sorted({str(p) for p in rows[PROVENANCE].dropna()})
    if len(files) <= _MOST:
        return ", ".join(files)
    try:
        return os.path.commonpath(files) or f"{len(files)} files"
    except ValueError:  # a folder beside a project of W&B
        return f"{len(files)} files"


def _counts(crossover: Crossover) -> dict[str, str]:
    rows, axis = crossover.selection.fitted, crossover.axis
    found = {"runs fitted": str(len(rows)), "runs left out": str(len(crossover.selection.left_out))}
    for family, name in (("vit", "ViTs"), ("cnn", "CNNs")):
        found[name] = ", ".join(sorted(set(rows.loc[rows["family"] == family, "model"]))) or "\N{EN DASH}"
    sizes = sorted(set(rows[axis]))
    found["sizes"] = f"{len(sizes)}, {_text(sizes[0])} to {_text(sizes[-1])}" if sizes else "\N{EN DASH}"
    if "seed" in rows.columns:
        found["seeds"] = str(rows["seed"].nunique())
    for choice in ("lr",) if "lr" in rows.columns else ():
        found[choice] = _values(crossover.selection.finished[choice])
    return {"read from": _places(crossover.selection.rows)} | found


def _settings(rows: pd.DataFrame) -> dict[str, str]:
    """Settings that the runs' overrides name, with their values."""
    words: dict[str, set[str]] = {}
    for row in rows.to_dict("records") if "overrides" in rows.columns else ():
        for word in overrides_of({str(key): value for key, value in row.items()}) or ():
            if "=" in word and not word.startswith(_IN_COLUMNS):
                key, _, value = word.lstrip("+").partition("=")
                words.setdefault(key, set()).add(value)
    return {key: _values(pd.Series(sorted(values), dtype=object)) for key, values in words.items()}


def _columns(rows: pd.DataFrame) -> dict[str, str]:
    kept = [c for c in rows.columns if c not in _ASIDE and (c == "precision" or known_metric(str(c)) is None)]
    return {str(c): _values(rows[c]) for c in kept}


def _unequal(found: Sequence[Mapping[str, str]], names: Iterable[str]) -> list[dict[str, Any]]:
    table = [{"name": name, "values": [f.get(name, "\N{EN DASH}") for f in found]} for name in dict.fromkeys(names)]
    return [row for row in table if len(set(row["values"])) > 1]


def differences(crossovers: Sequence[Crossover]) -> list[dict[str, Any]]:
    """Per thing that differs its name and its value in every question; nothing where there is one question.

    The runs of a question are those that finished; their learning rates are all that were tried.
    """
    if len(crossovers) < 2:
        return []
    done = [c.selection.finished for c in crossovers]
    found = [_counts(c) | _columns(rows) | _settings(rows) for c, rows in zip(crossovers, done, strict=True)]
    return _unequal(found, [name for own in found for name in own])
