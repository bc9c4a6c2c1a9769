"""Fails a question in which a curve rises with n beyond its noise, as a probe's error does where n nears its features.

Such a peak of interpolation comes from a regularisation that is too weak; forms that fall with n have nothing to say
of what lies around it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.estimator.audit.check import Check, few
from analysis.estimator.curve.fit_curve import Curve

PEAK = 3.0  # standard deviations of a rise between neighbouring sizes
NEAR = 4.0  # a rise that ends at a quarter of the number of features may come from them


def _features(fitted: pd.DataFrame, model: str) -> float | None:
    if "feature_dim" not in fitted.columns:
        return None
    known = fitted.loc[fitted["model"] == model, "feature_dim"].dropna()
    return float(known.iloc[0]) if known.nunique() == 1 else None


def interpolation_peak(curves: Mapping[str, Curve], fitted: pd.DataFrame, axis: str) -> tuple[Check, ...]:
    """A failed check where a mean error rises between neighbouring sizes by more than its noise; else none.

    The number of features, where it is known, only names the cause.
    """
    found, dims = [], []
    for model, curve in curves.items():
        points = curve.points
        rise = points.rises
        steps = np.flatnonzero(rise > PEAK)
        if axis != "train_size" or not len(steps):
            continue
        start, end = points.sizes[steps[0]], points.sizes[steps[0] + 1]
        found.append(f"{model} from {start:,.0f} to {end:,.0f}")
        dim = _features(fitted, model)
        if dim is not None and end >= dim / NEAR and start <= dim:
            dims.append(f"{dim:,.0f}")
    if not found:
        return ()
    cause = "a peak of interpolation, or a bad recipe"
    if dims:
        cause = f"n nears the number of features ({few(dict.fromkeys(dims))}) and the regularisation is too weak"
    return (Check("interpolation_peak", "failed", f"the error rises with n beyond its noise: {few(found)}; {cause}"),)
