"""Unequal classes: the balanced error (every class counts the same) beside the error, where the two differ."""

from __future__ import annotations

import pandas as pd

BALANCED, ERROR = "test_balanced_error", "test_error"
_APART = 0.01  # a point of error: with classes of equal size the two are one number


def balanced_matters(rows: pd.DataFrame, metric: str) -> bool:
    """Whether rows that are fitted by their error have balanced errors that say something else."""
    if metric != ERROR or BALANCED not in rows.columns:
        return False
    known = rows[[ERROR, BALANCED]].dropna().astype(float)
    return len(known) > 0 and bool(abs(known[BALANCED] - known[ERROR]).mean() >= _APART)


def balanced_notes(rows: pd.DataFrame, metric: str, axis: str) -> list[dict[str, str]]:
    """A warning with both errors at the largest size that both families measured; none where they agree."""
    if not balanced_matters(rows, metric):
        return []
    known = rows.dropna(subset=[ERROR, BALANCED])
    sizes = [set(known.loc[known["family"] == family, axis]) for family in ("vit", "cnn")]
    at = max(sizes[0] & sizes[1], default=None)
    if at is None:
        return []
    means = known[known[axis] == at].groupby("family")[[ERROR, BALANCED]].mean().astype(float)
    said = [f"{means.loc[family, column]:.3f}" for column in (BALANCED, ERROR) for family in ("vit", "cnn")]
    text = (
        f"the classes are unequal: at {at:,.0f} the balanced error, in which every class counts the same, is {said[0]}"
        f" (ViT) and {said[1]} (CNN) beside errors of {said[2]} and {said[3]}; metric={BALANCED} judges by it"
    )
    return [{"code": "unequal_classes", "message": text}]
