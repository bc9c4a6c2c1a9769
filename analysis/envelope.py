"""One question's fitted rows in, a curve per model and each family's envelope out.

The envelope is the error of whichever model of the family is best at a size, as `val_error` has it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.noise import summarise
from analysis.power_law import Curve, fit_points

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Families:
    """The curves of one question. `choosers` are curves of `val_error`, for families of several models."""

    models: Mapping[str, tuple[str, ...]]  # family -> models with a curve
    curves: Mapping[str, Curve]  # per model
    choosers: Mapping[str, Curve]
    warnings: list[dict[str, str]]

    def envelope(self, models: tuple[str, ...], n: Array) -> Array:
        """(draws, len(n)) log errors: the models' mean, weighted by the probability that a model is the best at n.

        That probability comes from `val_error`, drawn independently of the test errors: the lowest of several noisy
        test curves would be too low (the winner's curse). Smooth in n: a change of model is no jump to cross at.
        """
        draws = np.stack([self.curves[m].log_draws(n) for m in models])  # (models, draws, n)
        return draws[0] if len(models) == 1 else np.einsum("mdn,mn->dn", draws, self._shares(models, n))

    def best_model(self, models: tuple[str, ...], n: float) -> str:
        """The one of a family's `models` that is most often the best at n."""
        return models[int(np.argmax(self._shares(models, np.array([n]))[:, 0]))] if len(models) > 1 else models[0]

    def _shares(self, models: tuple[str, ...], n: Array) -> Array:
        """(models, len(n)): the probability that a model is the best of its family at n."""
        votes = np.stack([self.choosers[m].log_draws(n) for m in models]).argmin(axis=0)
        return np.stack([(votes == i).mean(axis=0) for i in range(len(models))])


def _fit(
    rows: pd.DataFrame, *, metric: str, axis: str, images: str, num_classes: int | None, stream: list[int]
) -> Curve:
    is_error = metric.endswith("_error")
    test_examples = rows[images] if images in rows.columns and rows[images].notna().all() else None
    points = summarise(rows[axis], rows[metric], test_examples=test_examples, is_error=is_error)
    return fit_points(points, metric="error" if is_error else "loss", num_classes=num_classes, stream=stream)


def fit_families(fitted: pd.DataFrame, *, metric: str, axis: str, seed: int) -> Families:
    """A curve for every model with at least 3 distinct sizes. `seed` seeds the replicates."""
    classes = fitted["num_classes"].dropna() if "num_classes" in fitted.columns else pd.Series(dtype=float)
    num_classes = int(classes.iloc[0]) if classes.nunique() == 1 and classes.iloc[0] >= 2 else None
    options: dict[str, Any] = {"axis": axis, "num_classes": num_classes}
    models: dict[str, tuple[str, ...]] = {"vit": (), "cnn": ()}
    curves: dict[str, Curve] = {}
    choosers: dict[str, Curve] = {}
    warnings: list[dict[str, str]] = []
    for family in models:
        rows_of = {str(m): r for m, r in fitted[fitted["family"] == family].groupby("model", sort=True)}
        thin = [m for m, r in rows_of.items() if r[axis].nunique() < 3]
        warnings += [{"code": "no_curve", "message": f"{m}: fewer than 3 sizes, no curve"} for m in thin]
        models[family] = tuple(m for m in rows_of if m not in thin)
        for model in models[family]:
            rows = rows_of[model]
            stream = [seed, zlib.crc32(model.encode())]  # replicates do not depend on which other models are there
            curves[model] = _fit(rows, metric=metric, images="test_examples", stream=stream, **options)
            warnings += [w | {"message": f"{model}: {w['message']}"} for w in curves[model].warnings]
            if len(models[family]) > 1 and "val_error" in rows.columns and rows["val_error"].notna().all():
                choosers[model] = _fit(rows, metric="val_error", images="val_examples", stream=[*stream, 1], **options)
        if len(models[family]) > 1 and not all(m in choosers for m in models[family]):
            text = f"no val_error to choose the best {family} by: the test errors choose, slightly in its favour"
            warnings.append({"code": "envelope_without_validation", "message": text})
            choosers |= {m: curves[m] for m in models[family]}
    return Families(models, curves, choosers, warnings)
