"""Checks of runs that start from weights, and of probes on frozen features: from selected rows to a check each.

All of them are left out where nothing started from weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimator.audit.check import Check, few, has
from analysis.estimator.rows.selection import Selection, overrides_of
from analysis.estimator.rows.starts import ADAPT, SOURCE_SIZE, START

AT_EDGE = 0.2  # share of the sizes at which the best strength may lie at its grid's edge
LIKE_SIZE = 1.1  # ratio of multiples of the pre-training resolution, or of numbers of images, that is still alike
SAME = 2e-3  # between means, and between deviations, of inputs in [0, 1]
_NAMES = {"vit": "ViT", "cnn": "CNN"}


def is_started(rows: pd.DataFrame) -> bool:
    """Whether the rows started from weights."""
    return len(rows) > 0 and START in rows.columns and bool(rows[START].eq("pretrained").all())


def is_probe(rows: pd.DataFrame) -> bool:
    """Whether the rows are probes: nothing was trained but the last layer."""
    return is_started(rows) and ADAPT in rows.columns and bool(rows[ADAPT].eq("probe").all())


def _numbers_of(value: Any) -> tuple[float, ...]:
    """A list of numbers, however a table writes it."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(float(v) for v in value)
    return tuple(float(word) for word in re.findall(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|-?\.\d+", str(value)))


def _grid_of(own: pd.DataFrame) -> tuple[float, float, int] | None:
    """Lowest, highest and number of the strengths that a model's probes tried; None where no column says so."""
    if "strengths" not in own.columns or own["strengths"].isna().all():
        return None
    grids = [_numbers_of(v) for v in own["strengths"].dropna()]
    known = [g for g in grids if len(g) == 3]
    return (min(g[0] for g in known), max(g[1] for g in known), int(min(g[2] for g in known))) if known else None


def strength_chosen(selection: Selection, axis: str) -> Check | None:
    """Whether every probe chose its regularisation, with room on both sides: a fixed one decides the answer."""
    rows = selection.fitted
    if not is_probe(rows):
        return None
    if "strength" not in rows.columns or rows["strength"].isna().any():
        return Check("strength_chosen", "unknown", "no column strength: whether each probe's regularisation was chosen")
    fixed, edges, told = [], [], ""
    for model, own in rows.groupby("model"):
        grid = _grid_of(own)
        if (grid is not None and (grid[2] < 2 or grid[0] >= grid[1])) or (
            grid is None and own["strength"].nunique() == 1
        ):
            fixed.append(f"{model} at {own['strength'].iloc[0]:g}")
            continue
        if grid is None:
            continue
        told = f" among {grid[2]} from {grid[0]:g} to {grid[1]:g}"
        at = (own["strength"] <= grid[0] * (1 + 1e-6)) | (own["strength"] >= grid[1] * (1 - 1e-6))
        share = at.groupby(own[axis]).mean() > 0.5
        if share.mean() > AT_EDGE:
            edges.append(f"{model} at {int(share.sum())} of {len(share)} sizes{told.replace('among', 'of')}")
    if fixed:
        return Check(
            "strength_chosen", "failed", f"one strength of the regularisation for all sizes, not chosen: {few(fixed)}"
        )
    if edges:
        return Check("strength_chosen", "failed", f"best strength at the edge of its grid: {few(edges)}")
    return Check("strength_chosen", "passed", f"every probe's strength was chosen{told}")


def _plain(name: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower()).replace("imagenet", "in")


def _data_of(rows: pd.DataFrame) -> dict[str, set[str]]:
    """Per family the names of the data that its weights were trained on."""
    return {str(family): set(map(str, own["pretrain_data"])) for family, own in rows.groupby("family")}


def unlike_starts(rows: pd.DataFrame, axis: str) -> str | None:
    """How the data differ that the families' weights were trained on; None where they do not, or nobody knows."""
    if not is_started(rows) or not has(rows, "pretrain_data") or rows["family"].nunique() < 2:
        return None
    found = _data_of(rows)
    if set(map(_plain, found["vit"])) != set(map(_plain, found["cnn"])):
        return "; ".join(f"{_NAMES[f]}: {few(sorted(found[f]))}" for f in ("vit", "cnn"))
    if axis != SOURCE_SIZE and has(rows, SOURCE_SIZE):
        sizes = rows.groupby("family")[SOURCE_SIZE].agg(["min", "max"])
        low, high = float(sizes["min"].min()), float(sizes["max"].max())
        if low > 0 and high / low > LIKE_SIZE:
            return "; ".join(f"{_NAMES[f]}: {float(sizes['max'][f]):,.0f} images" for f in ("vit", "cnn"))
    return None


def pretraining_data(selection: Selection, axis: str) -> Check | None:
    rows = selection.fitted
    if not is_started(rows):
        return None
    if not has(rows, "pretrain_data"):
        text = "no column pretrain_data: whether both families' weights saw the same data is not known"
        return Check("pretraining_data", "unknown", text)
    unlike = unlike_starts(rows, axis)
    if unlike is None:
        names = few(sorted(set(map(str, rows["pretrain_data"]))))
        return Check("pretraining_data", "passed", f"the weights of both families were trained on {names}")
    text = f"pre-trained on different data ({unlike}): the answer is about these checkpoints, not about two families"
    return Check("pretraining_data", "failed" if axis == SOURCE_SIZE else "unknown", text)


def pretraining_leak(selection: Selection, axis: str) -> Check | None:
    """Whether test pictures are among the source's training pictures, by content (`pretrain_leaks`)."""
    rows = selection.fitted
    if not is_started(rows):
        return None
    if "pretrain_leaks" in rows.columns and (rows["pretrain_leaks"] > 0).any():
        text = f"{rows['pretrain_leaks'].max():,.0f} test images are among the images that the weights were trained on"
        return Check("pretraining_leak", "failed", text)
    if not has(rows, "pretrain_leaks"):
        text = "whether test images are among those that the weights were trained on is not known"
        return Check("pretraining_leak", "unknown", text)
    return Check("pretraining_leak", "passed", "no test image is among those that the weights were trained on")


def input_normalisation(selection: Selection, axis: str) -> Check | None:
    """Whether inputs were normalised by what the weights expect, as far as the rows tell.

    They may be other constants than `pretrain_mean` and `pretrain_std`. Where nobody recorded these, the subset's own
    statistics show in differences between runs of one start.
    """
    rows = selection.fitted
    if not is_started(rows):
        return None
    records: list[Mapping[Any, Any]] = list(rows.to_dict("records"))
    told = [overrides_of(row) for row in records]
    published = [_published(row) for row in records]
    wrong = {
        str(model)
        for model, words, named in zip(rows["model"], told, published, strict=True)
        if named and words is not None and "data.normalize=subset" in words
    }
    known = has(rows, "input_mean", "input_std")
    wrong |= {str(row["model"]) for row in records if known and _unlike_expected(row)}
    for model, own in rows[published].groupby("model") if known else ():
        for column in ("input_mean", "input_std"):
            if np.ptp(np.array(own[column].map(_numbers_of).tolist()), axis=0).max() > SAME:
                wrong.add(str(model))
    if wrong:
        text = (
            f"inputs normalised by other statistics than the weights expect, such as the subset's: {few(sorted(wrong))}"
        )
        return Check("input_normalisation", "failed", text)
    expected = has(rows, "pretrain_mean", "pretrain_std")
    if not known or (not expected and any(words is None for words in told)):
        return Check(
            "input_normalisation", "unknown", "whether inputs were normalised as the weights expect is not known"
        )
    return Check("input_normalisation", "passed", "inputs normalised as the weights expect")


def _unlike_expected(row: Mapping[Any, Any]) -> bool:
    """Whether a row's inputs were normalised by something else than is known to be expected."""
    pairs = [
        (_numbers_of(row.get(f"input_{what}")), _numbers_of(row.get(f"pretrain_{what}"))) for what in ("mean", "std")
    ]
    return any(own and due and (len(own) != len(due) or np.ptp([own, due], axis=0).max() > SAME) for own, due in pairs)


def _published(row: Mapping[Any, Any]) -> bool:
    """Whether a row's weights are published ones, and not those of a run here."""
    source = row.get("init_from")
    return not isinstance(source, str) or re.match(r"[a-z_]{2,}:", source) is not None


def resolution(selection: Selection, axis: str) -> Check | None:
    """Whether the families see pictures at like multiples of the resolution that their weights were trained at."""
    rows = selection.fitted
    if not is_started(rows):
        return None
    if not has(rows, "image_size", "pretrain_image_size"):
        text = "no column pretrain_image_size: at which multiple of it the weights are used is not known"
        return Check("resolution", "unknown", text)
    times = (rows["image_size"] / rows["pretrain_image_size"]).groupby(rows["family"]).agg(["min", "max"])
    text = ", ".join(f"{_NAMES[str(f)]} {_span(row)}" for f, row in times.iterrows())
    if times["max"].max() / times["min"].min() > LIKE_SIZE:
        text = f"families at unlike multiples of their pre-training resolution ({text}): that may decide the lead"
        return Check("resolution", "unknown", text)
    return Check("resolution", "passed", f"multiple of the pre-training resolution: {text}")


def _span(ends: Iterable[float]) -> str:
    low, high = ends
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
