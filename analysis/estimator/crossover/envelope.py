"""Fits a curve per model to one question's rows, and builds each family's envelope.

The envelope is the error of whichever model of the family is best at a size, as `val_error` has it.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.estimator.arrays import Array
from analysis.estimator.crossover.image_scores import image_scores
from analysis.estimator.crossover.paired_draws import TIE, Pairs, pair_draws
from analysis.estimator.crossover.shared_noise import Alike, how_alike
from analysis.estimator.crossover.verdict import MeasuredSizes
from analysis.estimator.curve.average import DRAWS
from analysis.estimator.curve.fit_curve import Curve, fit_points
from analysis.estimator.curve.noise import Points, join, summarise
from analysis.estimator.rows.check import SPREAD
from analysis.estimator.rows.metric import Metric, metric_of
from analysis.estimator.rows.selection import overlaps
from analysis.estimator.rows.wrong_files import WRONG

Models = tuple[str, ...]
ASSUMED = (
    "the runs do not say which test images they got wrong: taken to be the same images, on which right and wrong of "
    "two runs correlate by a third or less"
)


@dataclass(frozen=True)
class Lead:
    """(draws, n) log errors of the two families' envelopes, paired."""

    vit: Array
    cnn: Array

    @property
    def difference(self) -> Array:
        """(draws, n): log error of the ViT minus the CNN's."""
        return self.vit - self.cnn

    def p_vit_better(self) -> Array:
        """(n,) P(the ViT's error is the lower one)."""
        return np.asarray(((self.difference < 0) + 0.5 * (self.difference == 0)).mean(axis=0))


def common_range(vit: Sequence[Curve], cnn: Sequence[Curve]) -> tuple[float, float]:
    """Sizes that both sides measured, or those of either where none are common."""
    ranges = [(min(c.fit_range[0] for c in side), max(c.fit_range[1] for c in side)) for side in (vit, cnn)]
    low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
    return (low, high) if low < high else (min(r[0] for r in ranges), max(r[1] for r in ranges))


@dataclass(frozen=True)
class Families:
    """The curves of one question. `choosers` are curves of `val_error`, for families of several models."""

    models: Mapping[str, tuple[str, ...]]  # family -> models with a curve
    curves: Mapping[str, Curve]  # per model
    choosers: Mapping[str, Curve]
    warnings: list[dict[str, str]]
    seed: int = 0
    tie: float = TIE
    alike: Mapping[tuple[str, str], Alike] = field(default_factory=dict, repr=False)  # per ViT and CNN, where anything
    _pairs: dict[tuple[Models, Models], Pairs] = field(default_factory=dict, repr=False)  # what was asked so far

    def envelope(self, models: Models, n: Array) -> Array:
        """(draws, len(n)) log errors: the models' mean, weighted by the probability that a model is the best at n.

        That probability comes from `val_error`, drawn independently of the test errors: the lowest of several noisy
        test curves would be too low (the winner's curse). Smooth in n: a change of model is no jump to cross at.
        """
        draws = np.stack([self.curves[m].log_draws(n) for m in models])  # (models, draws, n)
        return draws[0] if len(models) == 1 else np.einsum("mdn,mn->dn", draws, self._shares(models, n))

    def sizes(self, vit: Models, cnn: Models) -> MeasuredSizes:
        """What both sides measured: the sizes of either within the range of both."""
        low, high = self.range(vit, cnn)
        sides = [[self.curves[m].points.sizes for m in models] for models in (vit, cnn)]
        every = np.unique(np.concatenate([*sides[0], *sides[1]]))
        first = max(min(s[0] for s in own) for own in sides)
        last = min(max(s[-1] for s in own) for own in sides)
        return MeasuredSizes(low, high, every[(every >= first) & (every <= last)])

    def range(self, vit: Models, cnn: Models) -> tuple[float, float]:
        return common_range([self.curves[m] for m in vit], [self.curves[m] for m in cnn])

    def lead(self, vit: Models, cnn: Models, n: Array) -> Lead:
        """Draws of both envelopes at n, paired: the same pairs at every n."""
        pairs = self.pairs(vit, cnn)
        return Lead(self.envelope(vit, n)[pairs.first], self.envelope(cnn, n)[pairs.second])

    def pairs(self, vit: Models, cnn: Models) -> Pairs:
        """Which draw of the ViTs' envelope goes with which of the CNNs'."""
        if (vit, cnn) not in self._pairs:
            low, high = self.range(vit, cnn)
            self._pairs[vit, cnn] = pair_draws(
                lambda at: self.envelope(vit, at),
                lambda at: self.envelope(cnn, at),
                low=low,
                high=high,
                stream=[self.seed, 2],
                tie=self.tie,
                alike=self.alike.get((vit[0], cnn[0])) if len(vit) == len(cnn) == 1 else None,
            )
        return self._pairs[vit, cnn]

    def best_model(self, models: Models, n: float) -> str:
        """The model that is most often the best of them at n."""
        return models[int(np.argmax(self._shares(models, np.array([n]))[:, 0]))] if len(models) > 1 else models[0]

    def _shares(self, models: Models, n: Array) -> Array:
        """(models, len(n)): the probability that a model is the best of its family at n."""
        votes = np.stack([self.choosers[m].log_draws(n) for m in models]).argmin(axis=0)
        return np.stack([(votes == i).mean(axis=0) for i in range(len(models))])


def stream_of(seed: int, model: str) -> list[int]:
    """Seeds a model's replicates, which then do not depend on what other models there are."""
    return [seed, zlib.crc32(model.encode())]


def classes_of(rows: pd.DataFrame) -> int | None:
    """How many classes the rows' data have, None where they do not say or disagree."""
    classes = rows["num_classes"].dropna() if "num_classes" in rows.columns else pd.Series(dtype=float)
    return int(classes.iloc[0]) if classes.nunique() == 1 and classes.iloc[0] >= 2 else None


def points_of(
    rows: pd.DataFrame,
    *,
    metric: str | Metric,
    axis: str,
    images: str = "test_examples",
    scores: Array | None = None,
) -> Points:
    """One model's rows as points; `images`: the column with the number of images behind the metric, `scores`: (r, F)
    what each of them adds to each row, where that is known."""
    measure = metric_of(metric) if isinstance(metric, str) else metric
    known = measure.rate and images in rows.columns and rows[images].notna().all()
    return summarise(
        rows[axis],
        rows[measure.column],
        test_examples=rows[images] if known else None,
        is_error=measure.kind == "error",
        spread=rows[SPREAD] if SPREAD in rows.columns and rows[SPREAD].notna().all() else None,
        shared=overlaps(rows),
        scores=scores,
    )


def _scores_to_choose_by(rows: pd.DataFrame) -> Array | None:
    """What the validation images add to each row, where a family has several models and the runs kept their bits."""
    if WRONG not in rows.columns or "val_error" not in rows.columns or rows["val_error"].isna().any():
        return None
    return image_scores(rows, "val") if (rows.groupby("family")["model"].nunique() > 1).any() else None


def fit_families(
    fitted: pd.DataFrame, *, metric: str | Metric, axis: str, seed: int, tie: float = TIE, draws: int = DRAWS
) -> Families:
    """A curve for every model with at least 3 distinct sizes. `seed` seeds the `draws` replicates of each; `tie`:
    paired_draws.py."""
    measure = metric_of(metric) if isinstance(metric, str) else metric
    scores = None
    if WRONG in fitted.columns:
        fitted = fitted.sort_values("config_hash", kind="stable")  # sums then do not depend on the order of the rows
        scores = image_scores(fitted) if measure.column == "test_error" else None
    val_scores = _scores_to_choose_by(fitted)
    num_classes = classes_of(fitted)
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
            at = fitted.index.get_indexer(rows_of[model].index)
            own, to_choose = (None if s is None else s[at] for s in (scores, val_scores))
            points[model, "metric"] = points_of(rows_of[model], metric=measure, axis=axis, scores=own)
            if several and can_choose:
                points[model, "choice"] = points_of(
                    rows_of[model], metric="val_error", axis=axis, images="val_examples", scores=to_choose
                )
        if several and not can_choose:
            text = f"no val_error to choose the best {family} by: the test errors choose, slightly in its favour"
            warnings.append({"code": "envelope_without_validation", "message": text})
    measured, choices = ([key for key in points if key[1] == what] for what in ("metric", "choice"))
    for keys, of_images in ((measured, scores), (choices, val_scores)):
        if of_images is not None:
            points |= dict(zip(keys, join([points[key] for key in keys]), strict=True))
    if scores is None and any(points[key].common.any() for key in measured):
        warnings.append({"code": "assumed_test_noise", "message": ASSUMED})
    fits: dict[tuple[str, str], Curve] = {}
    for kind in ("error", "loss"):
        keys = [k for k in points if ("error" if k[1] == "choice" else measure.kind) == kind]
        streams = [stream_of(seed, m) + ([1] if what == "choice" else []) for m, what in keys]
        if keys:
            guessed = measure.classes(num_classes) if kind == measure.kind else num_classes
            fitted_ones = fit_points(
                [points[k] for k in keys], metric=kind, num_classes=guessed, streams=streams, draws=draws
            )
            fits |= dict(zip(keys, fitted_ones, strict=True))
    curves = {m: dataclasses.replace(fits[m, "metric"], measure=measure) for family in models.values() for m in family}
    warnings += [w | {"message": f"{m}: {w['message']}"} for m, c in curves.items() for w in c.warnings]
    choosers = {
        m: fits.get((m, "choice"), fits[m, "metric"]) for family in models.values() if len(family) > 1 for m in family
    }
    rows = {m: r for m, r in fitted.groupby("model") if m in curves}
    found = {
        (v, c): how_alike(rows[v], rows[c], (curves[v].points, curves[c].points), metric=measure.column, axis=axis)
        for v in models["vit"]
        for c in models["cnn"]
    }
    alike = {pair: a for pair, a in found.items() if a is not None}
    return Families(models, curves, choosers, warnings, seed, tie, alike)
