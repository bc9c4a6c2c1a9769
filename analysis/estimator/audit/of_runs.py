"""Checks that the runs were enough, complete and long enough: from one question's selected rows to a check each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.estimator.audit.check import COUNTS, Check, few, has, is_foreign
from analysis.estimator.rows.selection import Selection
from scaling.records.design_plan import DESIGN

MIN_SIZES = 5
MIN_PASSES = 10.0  # each image seen this often: enough steps to fit a training set that the model can fit
UNDERFIT = 0.5  # share of the test error
UNDERFIT_FLOOR = 0.05
NO_CHANGE = 0.05  # fall of the log error with twice the budget: less is nothing


def sizes_enough(selection: Selection, axis: str) -> Check:
    counts = {"vit": 0, "cnn": 0}
    for (family, _), rows in selection.fitted.groupby(["family", "model"]):
        counts[str(family)] = max(counts[str(family)], rows[axis].nunique())
    text = f"{counts['vit']} for the ViT and {counts['cnn']} for the CNN"
    if min(counts.values()) < MIN_SIZES:
        return Check("sizes", "failed", f"distinct sizes: {text}; a curve that may bend needs at least {MIN_SIZES}")
    return Check("sizes", "passed", f"distinct sizes: {text}")


def _longer_runs(selection: Selection) -> pd.DataFrame:
    """Finished runs of another budget_factor, with the mean error of the usual ones in `usual`; may be empty."""
    left = selection.left_out
    longer = left[(left["status"] == "finished") & left["reason"].str.startswith("budget_factor")]
    if longer.empty or not has(longer, "train_size", "test_error"):
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


def train_fit(selection: Selection, axis: str) -> Check:
    """Judged by the best model of a family on its training set: a small model of the family may well be too small.

    A run that saw every image 10 times had the steps to fit them; if it then still errs on more than half as large a
    share of its training images as of the test images, its steps, its rate or its size limit it, and not the data.
    It was not the steps where twice as many changed nothing.
    """
    rows = selection.fitted
    if not has(rows, "train_error", "seen_examples", "train_size", "test_error"):
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
        return Check("train_fit", "failed", f"far from fitting their training images: {few(bad)}")
    if not judged:
        return Check("train_fit", "unknown", f"no run saw its images {MIN_PASSES:.0f} times")
    if answered:
        text = f"the budget is not what limits runs far from fitting their images: doubled, it changes {few(answered)}"
        return Check("train_fit", "passed", text)
    return Check("train_fit", "passed", f"training images fitted in all {judged} families and sizes")


def cells_complete(selection: Selection, axis: str) -> Check:
    rows, finished = selection.rows, selection.finished
    recorded = [c for c in ("seed", "name", "config_hash") if c in rows.columns]
    if axis not in COUNTS or not recorded or not has(finished, axis):
        return Check("cells_complete", "unknown", "no columns that say which cells were meant to run")
    cell = [c for c in ("model", axis, "lr", "seed", "subset_seed") if c in rows.columns]
    # A tuner's trials have values, sizes and seeds of their own: they may fill the design, and do not make it.
    trial = rows["purpose"] == "tune" if "purpose" in rows.columns else pd.Series(False, rows.index)
    broken = selection.left_out[(selection.left_out["status"] != "finished") & ~trial[selection.left_out.index]]
    done = set(finished[cell].astype(str).itertuples(index=False, name=None)) if len(broken) else set()
    missing = [
        f"{r['model']} at {r[axis]:,.0f} ({r['status']})"
        for _, r in broken.iterrows()
        if tuple(r[cell].astype(str)) not in done
    ]
    seeds = finished["seed"] if "seed" in finished.columns else pd.Series(0, finished.index)
    present = {(m, n): set(s) for (m, n), s in seeds.groupby([finished["model"], finished[axis]])}
    meant = finished[~trial[finished.index]] if not trial[finished.index].all() else finished
    designed = DESIGN in finished.columns and bool((finished[DESIGN] == "adaptive").all())
    # A design is meant to be unequal: only cells that it chose and that came to nothing are missing.
    for model in sorted(set(meant["model"])) if not designed else ():
        for size in sorted(set(meant[axis])):
            # Seeds that another model has there: more seeds at one size are no fault, as long as all models have them.
            absent = set(seeds[meant.index[meant[axis] == size]]) - present.get((model, size), set())
            if absent:
                which = f" seed {few(f'{s:g}' for s in sorted(absent))}" if (model, size) in present else ""
                missing.append(f"{model} at {size:,.0f}{which}")
    if missing and is_foreign(selection):
        text = f"not all models at all sizes with equal seeds: {few(missing)}; whether that was planned is not known"
        return Check("cells_complete", "unknown", text)
    if missing:
        return Check("cells_complete", "failed", f"cells missing: {few(missing)}")
    if designed:
        return Check("cells_complete", "passed", f"all cells that the design chose have run ({len(present)})")
    return Check("cells_complete", "passed", f"every model at every size with the same seeds ({len(present)} cells)")


def several_seeds(selection: Selection, axis: str) -> Check:
    counts = selection.fitted.groupby(["model", axis]).size()
    if (counts < 2).all():
        return Check("seeds", "unknown", "one run per model and size: the noise between seeds is a guess")
    return Check("seeds", "passed", f"{counts.min()} to {counts.max()} runs per model and size")


def budget_doubled(selection: Selection, axis: str) -> Check:
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
    factors = few(f"{f:g}" for f in sorted(set(pairs["budget_factor"])))
    vit, cnn = (f"{round(100 * np.expm1(change[f])):+d}%" for f in ("vit", "cnn"))
    text = f"budget_factor {factors} changes the error of the ViT by {vit}, of the CNN by {cnn}"
    apart = abs(change["vit"] - change["cnn"])
    return Check("budget_doubled", "passed" if apart < 0.1 else "unknown", text)
