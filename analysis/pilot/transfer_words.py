"""Words what a pilot from weights found: which frozen family today, what fine-tuning adds, and what it all cost."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.advise.advice import Advice
from analysis.advise.wording import DASH, TIMES, duration
from analysis.estimator.audit.of_weights import unlike_starts
from analysis.estimator.crossover.wording import FAMILY, choose_otherwise, number, reason, verdict_sentence
from analysis.pilot.folder import Look
from analysis.pilot.transfer import CHAINS, FASTEST, TransferDesign
from analysis.pilot.transfer_run import TransferProgress
from scaling.records.record import Record


def _errors(advice: Advice) -> str:
    if advice.sides is None:
        return ""
    parts = [
        f"{FAMILY[f]} {s.error[0]:.3f} ({s.error[1]:.3f}{DASH}{s.error[2]:.3f})"
        for f, s in sorted(advice.sides.items(), key=lambda item: item[1].error[0])
    ]
    return f"errors {' and '.join(parts)}, P(ViT better) = {advice.p_vit_better:.2f}"


def _frozen(advice: Advice) -> str:
    """What frozen features say at one number of images."""
    if advice.family is not None and advice.sides is not None:
        return f"the frozen {FAMILY[advice.family]} ({advice.sides[advice.family].model}): {_errors(advice)}"
    if advice.sides is None or (advice.held_back and not _errors(advice)):
        return f"this pilot cannot tell: {reason(advice.crossover)}"
    if advice.too_far:
        return f"this pilot cannot tell: {number(advice.extrapolation_factor or 0.0)}{TIMES} the largest size measured"
    if advice.held_back:
        return f"this pilot cannot tell: {reason(advice.crossover)}; the curves alone say {_errors(advice)}"
    if advice.level:
        return f"either, frozen they are level, {_errors(advice)}: {choose_otherwise(advice.crossover)}"
    return f"this pilot cannot tell which family to freeze: {_errors(advice)}, neither is clearly better"


def tuned_table(found: Sequence[Record]) -> pd.DataFrame:
    """A row per family and size that was fine-tuned: the run whose rate validates best, beside the probes' mean."""
    rows = pd.DataFrame([r.to_dict() for r in found if r.status == "finished"])
    columns = ["family", "train_size", "tuned", "frozen", "lr", "rates"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    table = []
    for (family, size), own in rows[rows["adapt"] == "full"].groupby(["family", "train_size"]):
        best = own.sort_values(["val_error", "lr"]).iloc[0]
        probes = rows[(rows["adapt"] == "probe") & (rows["family"] == family) & (rows["train_size"] == size)]
        table.append([family, size, best["test_error"], probes["test_error"].mean(), best["lr"], len(own)])
    return pd.DataFrame(table, columns=columns)


def _tuned(table: pd.DataFrame) -> list[str]:
    """A sentence per size, the largest first: which of the four is best there."""
    lines = []
    for size, own in sorted(table.groupby("train_size"), key=lambda item: -float(str(item[0]))):
        both = own.set_index("family")
        scores = {("fine-tuned", f): both.loc[f, "tuned"] for f in both.index}
        scores |= {("frozen", f): both.loc[f, "frozen"] for f in both.index}
        order = sorted(scores, key=lambda k: scores[k])
        told = ", ".join(f"{mode} {FAMILY[f]} {scores[mode, f]:.3f}" for mode, f in order)
        mode, family = order[0]
        lines.append(f"Fine-tuned at {size:,} images, too: the {mode} {FAMILY[family]} is best there ({told}).")
    return lines


def _speed(design: TransferDesign) -> str:
    told = [
        f"{design.models[name]} {f'{1 / s:,.0f}' if s > FASTEST else f'more than {1 / FASTEST:,.0f}'} images/s"
        for name, s in design.seconds_per_image.items()
    ]
    return f"{', '.join(told)} at {design.image_size} pixels"


def _cost(design: TransferDesign, progress: TransferProgress, table: pd.DataFrame) -> list[str]:
    lines = [
        f"extraction ({_speed(design)}), which is done once, and"
        f" {len(design.models) * len(design.sizes) * CHAINS} probes"
        f" took {duration(progress.probe_seconds)} in this call"
    ]
    if len(table):
        low, high = table["rates"].min(), table["rates"].max()
        rates = f"{low} learning rates" if low == high else f"{low} to {high} learning rates"
        lines.append(
            f"fine-tuning took {duration(progress.tune_seconds)} in this call: one run for each of {rates}, the best by"
            " validation; that says which way it leans, no more"
        )
    return lines


def transfer_report(
    advices: Sequence[Advice], runs: Sequence[Record], *, found: Look, design: TransferDesign,
    progress: TransferProgress, limit: float,
) -> str:  # fmt: skip
    """The whole answer: three numbers of images from frozen features, then the other two modes, then the basis."""
    today, table = advices[0], tuned_table(runs)
    lines = [*_tuned(table), f"Frozen, with today's {today.train_size:,} images: {_frozen(today)}."]
    for factor, advice in zip((3, 10), advices[1:], strict=True):
        lines.append(f"Frozen, with {factor}{TIMES} as many ({advice.train_size:,}): {_frozen(advice)}.")
    if table.empty:
        lines.append(f"Fine-tuned: not tried ({progress.why_not or 'the time was over'}).")
    lines.append("From scratch: not tried here; start=scratch tries small models without weights.")
    names = ", ".join(f"{model} ({FAMILY[design.families[name]]})" for name, model in design.models.items())
    basis = [*found.lines(), f"frozen features of {names} on {design.sizes[0]:,} to {design.sizes[-1]:,} images,"
             f" {CHAINS} nested chains, a ridge whose strength is chosen on validation images"]  # fmt: skip
    basis += _cost(design, progress, table)
    if progress.stopped:
        basis.append("stopped early: the same command goes on")
    if not today.held_back:
        basis.append(verdict_sentence(today.crossover))
    if unlike_starts(today.crossover.selection.fitted, "train_size"):
        basis.append("the checkpoints were pre-trained on different data: this compares them, not two families")
    if design.sizes[-1] < today.train_size:
        basis.append(f"measured up to {design.sizes[-1]:,} images only, for want of time")
    silent = [c.message for c in today.crossover.checks if c.status == "unknown"]
    basis += [f"not known: {'; '.join(dict.fromkeys(silent))}"] if silent else []
    basis.append(f"all within {duration(limit)}; other checkpoints can answer differently")
    return "\n".join([*lines, "What this rests on:", *(f"  - {line}" for line in basis)])
