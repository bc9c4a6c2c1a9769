"""Checks the rows behind a verdict and returns a list of checks: does this comparison deserve a verdict?

A check *fails* where the column is there and bad, which holds the verdict back; it is *unknown* where the column is
absent, which warns. `budget_doubled` and `seeds` never fail: they say how far the answer can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis.estimator.rows.mixed import unexplained
from analysis.estimator.rows.selection import Choice, Selection, overrides_of

CheckStatus = Literal["passed", "failed", "unknown"]

MIN_SIZES = 5
MIN_PASSES = 10.0  # each image seen this often: enough steps to fit a training set that the model can fit
UNDERFIT = 0.5  # share of the test error
UNDERFIT_FLOOR = 0.05
NO_CHANGE = 0.05  # fall of the log error with twice the budget: less is nothing
RISES = 0.5  # rank correlation with n from which on a metric counts as rising


@dataclass(frozen=True)
class Check:
    code: str
    status: CheckStatus
    message: str


def _has(rows: pd.DataFrame, *columns: str) -> bool:
    return all(c in rows.columns and rows[c].notna().all() for c in columns) and len(rows) > 0


def _few(items: Iterable[str], limit: int = 3) -> str:
    """The first few of many, for a message of one line."""
    listed = list(items)
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")


def _sizes(selection: Selection, axis: str) -> Check:
    counts = {"vit": 0, "cnn": 0}
    for (family, _), rows in selection.fitted.groupby(["family", "model"]):
        counts[str(family)] = max(counts[str(family)], rows[axis].nunique())
    text = f"{counts['vit']} for the ViT and {counts['cnn']} for the CNN"
    if min(counts.values()) < MIN_SIZES:
        return Check("sizes", "failed", f"distinct sizes: {text}; a curve that may bend needs at least {MIN_SIZES}")
    return Check("sizes", "passed", f"distinct sizes: {text}")


def is_foreign(selection: Selection) -> bool:
    """Whether the rows are another program's: then nobody knows here what was planned."""
    return "config_hash" not in selection.rows.columns


def _learning_rate_varied(selection: Selection, axis: str) -> Check:
    if not selection.choices:
        return Check(
            "learning_rate_varied", "unknown", "no column lr: whether the learning rates were tuned is not known"
        )
    tried: dict[str, set[float]] = {}
    for choice in selection.choices:
        if len(choice.tried) > 1:
            tried.setdefault(choice.model, set()).update(choice.tried)
    never = sorted({c.model for c in selection.choices} - set(tried))
    if never and is_foreign(selection) and not tried:
        text = f"one learning rate for each model: whether it was tuned is not known ({_few(never)}); tuned=yes says so"
        return Check("learning_rate_varied", "unknown", text)
    if never:
        return Check(
            "learning_rate_varied", "failed", f"one learning rate only, never varied at any size: {_few(never)}"
        )
    text = _few(f"{model} {min(rates):g} to {max(rates):g}" for model, rates in sorted(tried.items()))
    return Check("learning_rate_varied", "passed", f"learning rates varied: {text}")


def _grids(choices: Iterable[Choice]) -> list[Choice]:
    """Per model the sizes with at least three rates, or where there are none, those with two."""
    choices = list(choices)
    wide = {c.model for c in choices if len(c.tried) > 2}
    return [c for c in choices if len(c.tried) > 2 or (len(c.tried) == 2 and c.model not in wide)]


def _learning_rate_edge(selection: Selection, axis: str) -> Check:
    grids = _grids(selection.choices)
    if not grids:
        return Check("learning_rate_edge", "unknown", "no learning-rate grid")
    at_edge = []
    for choice in grids:
        # The chosen rate's, not the lowest: a rate with fewer seeds may have a lower mean and still not be better.
        best = choice.val_errors[choice.tried.index(choice.lr)]
        winners = [i for i, v in enumerate(choice.val_errors) if v == best]
        if not any(0 < i < len(choice.tried) - 1 for i in winners):
            side = "lowest" if winners[0] == 0 else "highest"
            at_edge.append(
                f"{choice.model} at {choice.train_size:,.0f}: {choice.lr:g} is the {side} of {len(choice.tried)}"
            )
    if at_edge:
        return Check("learning_rate_edge", "failed", f"best learning rate at the edge of its grid: {_few(at_edge)}")
    return Check("learning_rate_edge", "passed", f"best learning rate inside its grid in all {len(grids)} grids")


def _learning_rate_range(selection: Selection, axis: str) -> Check:
    """The rates at sizes without a grid, against what the model's grids cover and found best."""
    grids = _grids(selection.choices)
    bare = [c for c in selection.choices if len(c.tried) == 1 and c.model in {g.model for g in grids}]
    if not grids:
        return Check("learning_rate_range", "unknown", "no learning-rate grid")
    outside, worst = [], 1.0
    for choice in bare:
        own = [g for g in grids if g.model == choice.model]
        covered = [lr for g in own for lr in g.tried]
        if not min(covered) <= choice.lr <= max(covered):
            outside.append(f"{choice.model} at {choice.train_size:,.0f}: {choice.lr:g}")
        nearest = min(own, key=lambda g: (abs(np.log(g.train_size / choice.train_size)), g.train_size))
        worst = max(worst, choice.lr / nearest.lr, nearest.lr / choice.lr)
    if outside:
        return Check("learning_rate_range", "failed", f"learning rate outside what the grids cover: {_few(outside)}")
    if not bare:
        return Check("learning_rate_range", "passed", "a grid at every size")
    text = f"sizes without a grid use rates within a factor {worst:.3g} of the best at the nearest grid"
    return Check("learning_rate_range", "passed", text)


def _longer_runs(selection: Selection) -> pd.DataFrame:
    """Finished runs of another budget_factor, with the mean error of the usual ones in `usual`; may be empty."""
    left = selection.left_out
    longer = left[(left["status"] == "finished") & left["reason"].str.startswith("budget_factor")]
    if longer.empty or not _has(longer, "train_size", "test_error"):
        return longer.iloc[:0]
    keys = [c for c in ("family", "model", "train_size", "lr") if c in longer.columns]
    usual = selection.finished.groupby(keys)["test_error"].mean().rename("usual")
    pairs = longer.merge(usual.reset_index(), on=keys)
    return pairs[(pairs["usual"] > 0) & (pairs["test_error"] > 0)]


def _longer(selection: Selection) -> dict[tuple[str, float], float]:
    """By model and size the change of the log error where at least twice the budget was tried."""
    pairs = _longer_runs(selection)
    if pairs.empty or not len(pairs := pairs[pairs["budget_factor"] >= 2 * selection.budget_factor]):
        return {}
    found = {}
    for (model, size), own in pairs.groupby(["model", "train_size"]):
        found[str(model), float(str(size))] = float(np.log(own["test_error"] / own["usual"]).mean())
    return found


def _train_fit(selection: Selection, axis: str) -> Check:
    """Judged by the best model of a family on its training set: a small model of the family may well be too small.

    A run that saw every image 10 times had the steps to fit them; if it then still errs on more than half as large a
    share of its training images as of the test images, its steps, its rate or its size limit it, and not the data.
    It was not the steps where twice as many changed nothing.
    """
    rows = selection.fitted
    if not _has(rows, "train_error", "seen_examples", "train_size", "test_error"):
        return Check(
            "train_fit", "unknown", "no train_error and seen_examples: whether runs fitted their images is not known"
        )
    passes = rows["seen_examples"] / rows["train_size"]
    means = rows.assign(passes=passes).groupby(["family", "train_size", "model"], sort=True)
    cells = means[["train_error", "test_error", "passes"]].mean().reset_index()
    bad, judged, answered, longer = [], 0, [], _longer(selection)
    for (_, size), models in cells.groupby(["family", "train_size"]):
        best = models.sort_values(["train_error", "model"]).iloc[0]
        if best["passes"] < MIN_PASSES:
            continue
        judged += 1
        if best["train_error"] > max(UNDERFIT_FLOOR, UNDERFIT * best["test_error"]):
            where = f"{best['model']} at {size:,.0f}"
            change = longer.get((str(best["model"]), float(best["train_size"])), -np.inf)
            if change > -NO_CHANGE:
                answered.append(f"{where} ({round(100 * np.expm1(change)):+d}%)")
            else:
                bad.append(f"{where}: train error {best['train_error']:.3f}, test {best['test_error']:.3f}")
    if bad:
        return Check("train_fit", "failed", f"far from fitting their training images: {_few(bad)}")
    if not judged:
        return Check("train_fit", "unknown", f"no run saw its images {MIN_PASSES:.0f} times")
    if answered:
        text = f"the budget is not what limits runs far from fitting their images: doubled, it changes {_few(answered)}"
        return Check("train_fit", "passed", text)
    return Check("train_fit", "passed", f"training images fitted in all {judged} families and sizes")


def _test_set(selection: Selection, axis: str) -> Check:
    if not _has(selection.fitted, "test_examples"):
        return Check("test_set", "unknown", "no column test_examples: whether all used one test set is not known")
    counts = sorted(set(selection.fitted["test_examples"]))
    if len(counts) > 1:
        return Check("test_set", "failed", f"test sets of {_few(f'{c:,.0f}' for c in counts)} images")
    return Check("test_set", "passed", f"{counts[0]:,.0f} test images for every run")


def _cells_complete(selection: Selection, axis: str) -> Check:
    rows, finished = selection.rows, selection.finished
    recorded = [c for c in ("seed", "name", "config_hash") if c in rows.columns]
    if axis != "train_size" or not recorded or not _has(finished, "train_size"):
        return Check("cells_complete", "unknown", "no columns that say which cells were meant to run")
    cell = [c for c in ("model", "train_size", "lr", "seed", "subset_seed") if c in rows.columns]
    done = set(finished[cell].astype(str).itertuples(index=False, name=None))
    # A tuner's trials have values, sizes and seeds of their own: they may fill the design, and do not make it.
    trial = rows["purpose"] == "tune" if "purpose" in rows.columns else pd.Series(False, rows.index)
    broken = selection.left_out[(selection.left_out["status"] != "finished") & ~trial[selection.left_out.index]]
    missing = [
        f"{r['model']} at {r['train_size']:,.0f} ({r['status']})"
        for _, r in broken.iterrows()
        if tuple(r[cell].astype(str)) not in done
    ]
    seeds = finished["seed"] if "seed" in finished.columns else pd.Series(0, finished.index)
    present = {(m, n): set(s) for (m, n), s in seeds.groupby([finished["model"], finished["train_size"]])}
    meant = finished[~trial[finished.index]] if not trial[finished.index].all() else finished
    for model in sorted(set(meant["model"])):
        for size in sorted(set(meant["train_size"])):
            # Seeds that another model has there: more seeds at one size are no fault, as long as all models have them.
            absent = set(seeds[meant.index[meant["train_size"] == size]]) - present.get((model, size), set())
            if absent:
                which = f" seed {_few(f'{s:g}' for s in sorted(absent))}" if (model, size) in present else ""
                missing.append(f"{model} at {size:,.0f}{which}")
    if missing and is_foreign(selection):
        text = f"not all models at all sizes with equal seeds: {_few(missing)}; whether that was planned is not known"
        return Check("cells_complete", "unknown", text)
    if missing:
        return Check("cells_complete", "failed", f"cells missing: {_few(missing)}")
    return Check("cells_complete", "passed", f"every model at every size with the same seeds ({len(present)} cells)")


def _subsets_nested(selection: Selection, axis: str) -> Check:
    if not _has(selection.finished, "subset_seed") or axis != "train_size":
        return Check(
            "subsets_nested", "unknown", "no column subset_seed: whether models saw the same images is not known"
        )
    sets = [set(s) for _, s in selection.finished.groupby(["model", "train_size"])["subset_seed"]]
    common = set.intersection(*sets)
    if not common:
        return Check(
            "subsets_nested", "failed", "no subset_seed runs through all models and sizes: subsets are not nested"
        )
    return Check(
        "subsets_nested", "passed", f"subset_seed {_few(f'{s:g}' for s in sorted(common))} at every size of every model"
    )


def _seeds(selection: Selection, axis: str) -> Check:
    counts = selection.fitted.groupby(["model", axis]).size()
    if (counts < 2).all():
        return Check("seeds", "unknown", "one run per model and size: the noise between seeds is a guess")
    return Check("seeds", "passed", f"{counts.min()} to {counts.max()} runs per model and size")


def _budget_doubled(selection: Selection, axis: str) -> Check:
    """What longer training does to the families' ratio, where it was tried (another budget_factor)."""
    pairs = _longer_runs(selection)
    if pairs.empty:
        return Check(
            "budget_doubled", "unknown", "no runs of another budget_factor: what longer training does is not known"
        )
    ratio = pd.Series(np.log(pairs["test_error"] / pairs["usual"]), pairs.index)
    change = ratio.groupby(pairs["family"]).mean()
    if set(change.index) != {"vit", "cnn"}:
        return Check("budget_doubled", "unknown", "another budget_factor was tried for one family only")
    factors = _few(f"{f:g}" for f in sorted(set(pairs["budget_factor"])))
    vit, cnn = (f"{round(100 * np.expm1(change[f])):+d}%" for f in ("vit", "cnn"))
    text = f"budget_factor {factors} changes the error of the ViT by {vit}, of the CNN by {cnn}"
    apart = abs(change["vit"] - change["cnn"])
    return Check("budget_doubled", "passed" if apart < 0.1 else "unknown", text)


def _rises(selection: Selection, axis: str, metric: str) -> Check | None:
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


def _mixed(selection: Selection, axis: str, metric: str) -> Check | None:
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


def _leaks(selection: Selection, axis: str) -> Check | None:
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


CHECKS: tuple[Callable[[Selection, str], Check | None], ...] = (
    _sizes,
    _learning_rate_varied,
    _learning_rate_edge,
    _learning_rate_range,
    _train_fit,
    _test_set,
    _cells_complete,
    _subsets_nested,
    _seeds,
    _budget_doubled,
    _leaks,
)


def audit(
    selection: Selection, *, axis: str = "train_size", metric: str = "test_error", tuned: bool = False
) -> list[Check]:
    """All checks of one question's rows, in a fixed order.

    Args:
        metric: the column that is fitted.
        tuned: the user says that the rates of a foreign table were tuned: then they are unknown, whatever it holds.
    """
    found = [c for check in CHECKS if (c := check(selection, axis)) is not None]
    if tuned and is_foreign(selection):
        text = "said to be tuned (tuned=yes); how is not known"
        found = [Check(c.code, "unknown", text) if c.code.startswith("learning_rate") else c for c in found]
    return found + [c for c in (_rises(selection, axis, metric), _mixed(selection, axis, metric)) if c is not None]
