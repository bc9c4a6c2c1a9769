"""Checks of the images and the values that are compared: from one question's selected rows to a check each."""

from __future__ import annotations

from analysis.estimator.audit.check import COUNTS, Check, few, has
from analysis.estimator.rows.mixed import unexplained
from analysis.estimator.rows.selection import Selection, overlaps, overrides_of

RISES = 0.5  # rank correlation with n from which on a metric counts as rising


def test_set(selection: Selection, axis: str) -> Check:
    if not has(selection.fitted, "test_examples"):
        return Check("test_set", "unknown", "no column test_examples: whether all used one test set is not known")
    counts = sorted(set(selection.fitted["test_examples"]))
    if len(counts) > 1:
        return Check("test_set", "failed", f"test sets of {few(f'{c:,.0f}' for c in counts)} images")
    return Check("test_set", "passed", f"{counts[0]:,.0f} test images for every run")


def subsets_nested(selection: Selection, axis: str) -> Check:
    if not has(selection.finished, "subset_seed") or axis not in COUNTS:
        return Check(
            "subsets_nested", "unknown", "no column subset_seed: whether models saw the same images is not known"
        )
    sets = [set(s) for _, s in selection.finished.groupby(["model", axis])["subset_seed"]]
    common = set.intersection(*sets)
    if not common:
        return Check(
            "subsets_nested", "failed", "no subset_seed runs through all models and sizes: subsets are not nested"
        )
    return Check(
        "subsets_nested", "passed", f"subset_seed {few(f'{s:g}' for s in sorted(common))} at every size of every model"
    )


def subsets_overlap(selection: Selection, axis: str) -> Check | None:
    """Above half of the images there are chains overlap: how little they differ says little of the noise."""
    shares = overlaps(selection.fitted)
    if shares is None:
        return None
    rows = selection.fitted
    at = [f"{n:,.0f}" for n in sorted(set(rows.loc[shares > 0, "train_size"]))]
    if not at:
        return Check("subsets_overlap", "passed", "at most half of the images there are in every subset")
    text = (
        f"n above half of the {rows['available_images'].max():,.0f} images there are ({few(at)}): subsets overlap, and"
        " their spread there is not counted as noise"
    )
    return Check("subsets_overlap", "unknown", text)


def leaks_kept_out(selection: Selection, axis: str) -> Check | None:
    """Whether test or validation images were trained on. A run drops such copies unless it was told data.leaks=keep;
    a table that does not say what its runs were told may have trained on them. Does not apply without the column."""
    rows = selection.fitted
    if "leaks" not in rows.columns or rows["leaks"].isna().all():
        return None
    leaking = rows[rows["leaks"] > 0]
    if leaking.empty:
        return Check("leaks", "passed", "no training image is a copy of a test or validation image")
    count = f"{leaking['leaks'].max():,.0f} training images are exact copies of test or validation images"
    told = [overrides_of(dict(row)) for _, row in leaking.iterrows()]
    if any(words is None or "data.leaks=keep" in words for words in told):
        return Check("leaks", "failed", f"{count}, and were left in; data.leaks=drop keeps them out")
    return Check("leaks", "passed", f"{count}; they were kept out of training")


def rises_with_n(selection: Selection, axis: str, metric: str) -> Check | None:
    """Errors that grow with n in both families: most likely more is better, and the metric was taken for an error."""
    rows = selection.fitted
    if metric not in rows.columns:
        return None
    for _, own in rows.groupby("family"):
        means = own.groupby(axis)[metric].mean()
        if means.nunique() < 3 or means.iloc[-1] <= means.iloc[0]:
            return None
        if means.index.to_series().corr(means, method="spearman") < RISES:
            return None
    if rows["family"].nunique() < 2:
        return None
    what = "what is compared gets worse as n grows, in both families: is more of it better (better=higher)?"
    return Check("rises_with_n", "failed", what)


def mixed_questions(selection: Selection, axis: str, metric: str) -> Check | None:
    """Rows of one model, size and seed that differ, and nothing that tells why."""
    rows = selection.fitted
    foreign = rows[rows["config_hash"].isna()] if "config_hash" in rows.columns else rows
    again = unexplained(foreign, metric=metric, axis=axis) if metric in rows.columns else foreign[:0]
    if again.empty:
        return None
    first = again.iloc[0]
    text = (
        f"{len(again)} rows share model, size and seed with another one and differ ({first['model']} at"
        f" {first[axis]:,.0f}, seed {first['seed']:g}, ...): several questions in one table?"
        " filters.COLUMN=VALUE keeps one, columns.data=COLUMN tells them apart, columns.seed= says that they are"
        " repeats"
    )
    return Check("mixed_questions", "failed", text)
