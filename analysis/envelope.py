"""One question's fitted rows in, a curve per model and each family's envelope out.

The envelope is the error of whichever model of the family is best at a size, as `val_error` has it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.never import NeverMeet, never_meet
from analysis.noise import Points, summarise
from analysis.power_law import Curve, fit_points

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Lead:
    """`difference` (draws, n): log error of the ViT minus the CNN's; in the first `never` draws they never meet."""

    difference: Array
    never: int


@dataclass(frozen=True)
class Families:
    """The curves of one question. `choosers` are curves of `val_error`, for families of several models."""

    models: Mapping[str, tuple[str, ...]]  # family -> models with a curve
    curves: Mapping[str, Curve]  # per model
    choosers: Mapping[str, Curve]
    warnings: list[dict[str, str]]
    seed: int = 0
    never: dict[tuple[str, str], NeverMeet] = field(default_factory=dict, repr=False)  # what was asked so far

    def envelope(self, models: tuple[str, ...], n: Array) -> Array:
        """(draws, len(n)) log errors: the models' mean, weighted by the probability that a model is the best at n.

        That probability comes from `val_error`, drawn independently of the test errors: the lowest of several noisy
        test curves would be too low (the winner's curse). Smooth in n: a change of model is no jump to cross at.
        """
        draws = np.stack([self.curves[m].log_draws(n) for m in models])  # (models, draws, n)
        return draws[0] if len(models) == 1 else np.einsum("mdn,mn->dn", draws, self._shares(models, n))

    def lead(self, vit: tuple[str, ...], cnn: tuple[str, ...], n: Array) -> Lead:
        """Draws of the log error of the ViT's envelope minus the CNN's, knowing of curves that never meet.

        How probable that is, is asked of the families' best models; where a family's best changes with n, it is not.
        """
        difference = self.envelope(vit, n) - self.envelope(cnn, n)
        best, first = ((self.best_model(vit, float(m)), self.best_model(cnn, float(m))) for m in (n[-1], n[0]))
        if best != first:
            return Lead(difference, 0)
        if best not in self.never:
            self.never[best] = never_meet(self.curves[best[0]], self.curves[best[1]])
        count = round(self.never[best].probability * len(difference))
        if count:
            difference[:count] = self.never[best].difference(n, draws=count, stream=[self.seed, 2])
        return Lead(difference, count)

    def best_model(self, models: tuple[str, ...], n: float) -> str:
        """The model that is most often the best of them at n."""
        return models[int(np.argmax(self._shares(models, np.array([n]))[:, 0]))] if len(models) > 1 else models[0]

    def _shares(self, models: tuple[str, ...], n: Array) -> Array:
        """(models, len(n)): the probability that a model is the best of its family at n."""
        votes = np.stack([self.choosers[m].log_draws(n) for m in models]).argmin(axis=0)
        return np.stack([(votes == i).mean(axis=0) for i in range(len(models))])


def _points(rows: pd.DataFrame, *, metric: str, axis: str, images: str) -> Points:
    test_examples = rows[images] if images in rows.columns and rows[images].notna().all() else None
    return summarise(rows[axis], rows[metric], test_examples=test_examples, is_error=metric.endswith("_error"))


def fit_families(fitted: pd.DataFrame, *, metric: str, axis: str, seed: int) -> Families:
    """A curve for every model with at least 3 distinct sizes. `seed` seeds the replicates."""
    classes = fitted["num_classes"].dropna() if "num_classes" in fitted.columns else pd.Series(dtype=float)
    num_classes = int(classes.iloc[0]) if classes.nunique() == 1 and classes.iloc[0] >= 2 else None
    models: dict[str, tuple[str, ...]] = {"vit": (), "cnn": ()}
    warnings: list[dict[str, str]] = []
    points: dict[tuple[str, str], Points] = {}  # of a model's metric, and of the val_error to choose it by
    for family in models:
        rows_of = {str(m): r for m, r in fitted[fitted["family"] == family].groupby("model", sort=True)}
        thin = [m for m, r in rows_of.items() if r[axis].nunique() < 3]
        warnings += [{"code": "no_curve", "message": f"{m}: fewer than 3 sizes, no curve"} for m in thin]
        models[family] = tuple(m for m in rows_of if m not in thin)
        several = len(models[family]) > 1
        can_choose = all("val_error" in rows_of[m] and rows_of[m]["val_error"].notna().all() for m in models[family])
        for model in models[family]:
            points[model, metric] = _points(rows_of[model], metric=metric, axis=axis, images="test_examples")
            if several and can_choose:
                points[model, "choice"] = _points(rows_of[model], metric="val_error", axis=axis, images="val_examples")
        if several and not can_choose:
            text = f"no val_error to choose the best {family} by: the test errors choose, slightly in its favour"
            warnings.append({"code": "envelope_without_validation", "message": text})
    fits: dict[tuple[str, str], Curve] = {}
    for kind in ("error", "loss"):
        keys = [k for k in points if ("error" if k[1] == "choice" or k[1].endswith("_error") else "loss") == kind]
        # Replicates do not depend on which other models are there.
        streams = [[seed, zlib.crc32(m.encode())] + ([1] if what == "choice" else []) for m, what in keys]
        if keys:
            fitted_ones = fit_points([points[k] for k in keys], metric=kind, num_classes=num_classes, streams=streams)
            fits |= dict(zip(keys, fitted_ones, strict=True))
    curves = {m: fits[m, metric] for family in models.values() for m in family}
    warnings += [w | {"message": f"{m}: {w['message']}"} for m, c in curves.items() for w in c.warnings]
    choosers = {
        m: fits.get((m, "choice"), fits[m, metric]) for family in models.values() if len(family) > 1 for m in family
    }
    return Families(models, curves, choosers, warnings, seed)
