"""Reports on the public vision benchmark: each ViT-BiT pair's verdict from its first part, and what came then.

python -m analysis.public_curves results=vision-benchmark.csv out=results/vision-benchmark
python -m analysis.public_curves results=lcdb-open.csv.gz out=results/lcdb      # another one, lcdb.py

The curves are 5-, 10- and 25-shot errors on ImageNet and CIFAR-100 against the JFT-300M examples seen in pre-training
("Revisiting Neural Scaling Laws in Language and Vision", Alabdulmohsin et al., 2022). The authors mark the part that is
to be fitted; nothing after it is shown to the estimator, and no setting was chosen by these pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.advise.advice import advise
from analysis.arguments import TABLE_WORDS, InputError, TableArguments, run_command, with_table
from analysis.estimator.crossover.find_crossover import find_crossover
from analysis.estimator.crossover.wording import LABELS
from analysis.public_curves.case import Case, advice_right, verdict_holds
from analysis.public_curves.lcdb import OUTCOMES, SOURCE, judge_lcdb, lcdb_readme
from analysis.public_curves.outcome import CurveOutcome, outcome
from scaling.records.files import write_whole

USAGE = """usage: python -m analysis.public_curves results=vision-benchmark.csv [out=results/vision-benchmark]
       python -m analysis.public_curves results=lcdb-open.csv.gz [out=results/lcdb] [pairs=1000]

Of the vision curves: fits ViT/S/16 and ViT/B/16 against BiT/50/1 and BiT/101/3 on the first part of each public curve,
and writes what the rest of it then showed: table.csv, README.md and a figure per task. Of LCDB's: how often two
learners change places, and what was said of `pairs` of them from a quarter of their range: outcomes.csv, README.md and
a figure, which results=outcomes.csv makes again. The same file gives the same bytes."""
VITS, CNNS = ("ViT/S/16", "ViT/B/16"), ("BiT/50/1", "BiT/101/3")
TASKS = {
    "inet_5": "5-shot ImageNet",
    "inet_10": "10-shot ImageNet",
    "inet_25": "25-shot ImageNet",
    "c_5": "5-shot CIFAR-100",
    "c_10": "10-shot CIFAR-100",
    "c_25": "25-shot CIFAR-100",
}
_COLUMNS = ("Task", "Model", "Seen Examples", "Loss", "Training")


def read(path: Path) -> pd.DataFrame:
    """The benchmark's rows of the four models, named as in this project.

    Raises:
        InputError: the file is not that benchmark.
    """
    if path.is_dir():
        path = path / "vision-benchmark.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    table = pd.read_csv(path)
    missing = [c for c in _COLUMNS if c not in table.columns]
    if missing:
        raise InputError(f"{path}: columns missing: {', '.join(missing)}")
    table = table.rename(columns={"Seen Examples": "seen_examples", "Loss": "test_error", "Model": "model"})
    table = table[table["model"].isin(VITS + CNNS) & table["Task"].isin(list(TASKS))]
    absent = [
        f"{m} on {t}" for t in TASKS for m in VITS + CNNS if not ((table["Task"] == t) & (table["model"] == m)).any()
    ]
    if absent:
        raise InputError(f"{path}: no rows of {absent[0]}")
    return table.assign(family=np.where(table["model"].isin(VITS), "vit", "cnn"))


def _curve(table: pd.DataFrame, task: str, model: str) -> tuple[Any, Any]:
    rows = table[(table["Task"] == task) & (table["model"] == model)]
    return rows["seen_examples"].to_numpy(), rows["test_error"].to_numpy()


def truth_of(table: pd.DataFrame, task: str, vit: str, cnn: str) -> CurveOutcome:
    return outcome(_curve(table, task, vit), _curve(table, task, cnn))


def judge(table: pd.DataFrame, task: str, vit: str, cnn: str, *, up_to: float | None = None) -> Case:
    """One pair, fitted on `Training` = 1, or on the sizes to `up_to`; the advice is for their common end."""
    rows = table[(table["Task"] == task) & table["model"].isin((vit, cnn))]
    truth = truth_of(table, task, vit, cnn)
    shown = rows[rows["Training"] == 1] if up_to is None else rows[rows["seen_examples"] <= up_to]
    crossover = find_crossover(shown[["family", "model", "seen_examples", "test_error"]], axis="seen_examples")
    return Case(task, vit, cnn, crossover, advise(crossover, round(truth.end)), truth)


def judge_all(table: pd.DataFrame) -> list[Case]:
    return [judge(table, task, vit, cnn) for task in TASKS for vit in VITS for cnn in CNNS]


def row(case: Case) -> dict[str, Any]:
    verdict = case.verdict
    low, high = (verdict.interval if verdict.crossover_size is not None else None) or (None, None)
    return {
        "task": case.task,
        "vit": case.vit,
        "cnn": case.cnn,
        "fitted_to": verdict.fit_range[1] if verdict.fit_range else None,
        "measured_to": round(case.truth.end),
        "verdict": verdict.verdict,
        "crossover_size": verdict.crossover_size,
        "interval_low": low,
        "interval_high": high,
        "p_crossing": verdict.p_crossing,
        "advised_at_end": case.advice.family,
        "p_vit_better_at_end": case.advice.p_vit_better,
        "crossings_seen": "; ".join(f"{d} at {s:.3g}" for s, d in case.truth.crossings),
        "log_error_ratio_at_end": case.truth.gap,
        "leader_at_end": case.truth.leader or "tie",
        "verdict_holds": verdict_holds(case),
        "advice_right": advice_right(case),
    }


def _then(case: Case) -> str:
    """What the rest of the curves showed, in a few words."""
    fitted = case.verdict.fit_range[1] if case.verdict.fit_range else 0.0
    name = {"vit_overtakes": case.vit, "cnn_overtakes": case.cnn}
    parts = []
    for size, direction in case.truth.crossings:
        late = " (after the fitted part)" if size > fitted else ""
        parts.append(f"{name[direction]} overtook at {size:.2e}{late}")
    leader = {"vit": case.vit, "cnn": case.cnn, None: "neither"}[case.truth.leader]
    ratio = np.exp(abs(case.truth.gap))
    ending = f"{leader} ahead by {100 * (ratio - 1):.0f}%" if case.truth.leader else "a tie"
    return "; ".join([*parts, f"at the end {ending}"])


def _claim(case: Case) -> str:
    verdict = case.verdict
    text = LABELS[verdict.verdict]
    if verdict.crossover_size is not None and verdict.interval is not None:
        low, high = verdict.interval
        ends = ["" if x is None else f"{x:.2e}" for x in (low, high)]
        text += f" at {verdict.crossover_size:.2e} ({ends[0]} to {ends[1] or 'no upper end'})"
    return text


_HEAD = """# ViT or BiT? The public curves, answered from their first part

Few-shot error of models pre-trained on JFT-300M, against the examples seen: 24 pairs of a ViT and a BiT (a ResNet). The
estimator sees the first part only (the authors' `Training` = 1, about half of each curve); the rest is the judge.
"""
_TAIL = """
*Holds*: an "ahead" verdict holds if the curves do not cross up to their common end; a crossing holds if a real one lies
in its 90% interval; `open`: none so far, and the interval reaches beyond the end; `-`: nothing was claimed. Real
crossings are those of the curves smoothed by a local-linear kernel (width 0.10 in ln x, hysteresis 0.5%).

What this cannot tell: the x-axis is examples *seen* of one huge set, each point a checkpoint of one run, not a separate
training on so many unique images; the models of a pair differ in size and arithmetic (BiT/101/3 is far larger than
ViT/S/16); the fitted points look smoothed, and with one run per model the noise between seeds is a guess; the 24 pairs
are made of 24 curves, each used twice, and are not independent.

Made by `python -m analysis.public_curves results=vision-benchmark.csv out=results/vision-benchmark`; `table.csv` holds
the numbers. Data: Alabdulmohsin, Neyshabur and Zhai, "Revisiting Neural Scaling Laws in Language and Vision", 2022,
arXiv 2209.06640.
"""


def _counts(cases: Sequence[Case]) -> list[str]:
    held, right = [verdict_holds(c) for c in cases], [advice_right(c) for c in cases]
    claimed, named = [h for h in held if h != "-"], [r for r in right if r != "-"]
    real = [(size, c) for c in cases for size, _ in c.truth.crossings]
    late = sum(c.verdict.fit_range is None or size > c.verdict.fit_range[1] for size, c in real)
    return [
        f"- A verdict was given for {len(claimed)} of {len(cases)} pairs: {claimed.count('yes')} were borne out,"
        f" {claimed.count('no')} not, {claimed.count('open')} cannot be judged by the end of the curves.",
        f"- For the end of the curves a family was advised in {len(named)} of {len(cases)} pairs: it led there"
        f" {named.count('yes')} times, trailed {named.count('no')} times, tied {named.count('tie')} times.",
        f"- {len(real)} pairs really cross, {late} of them after the fitted part: what is predicted here is mostly who"
        " leads later, not where the curves cross.",
    ]


def readme(cases: Sequence[Case]) -> str:
    heads: tuple[str, ...] = ("task", "ViT", "CNN", "fitted to", "verdict from the fitted part", "holds")
    heads += ("advised for the end (P(ViT better))", "right", "what the curves showed")
    lines = [_HEAD, *_counts(cases), "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for case in cases:
        fitted = case.verdict.fit_range[1] if case.verdict.fit_range else float("nan")
        advised = {"vit": case.vit, "cnn": case.cnn, None: "none"}[case.advice.family]
        cells: tuple[str, ...] = (TASKS[case.task], case.vit, case.cnn, f"{fitted:.2e}", _claim(case))
        p = "" if case.advice.p_vit_better is None else f" ({case.advice.p_vit_better:.2f})"
        cells += (verdict_holds(case), f"{advised}{p}", advice_right(case), _then(case))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"![{name}: error against examples seen]({task}.png)" for task, name in TASKS.items())]
    return "\n".join(lines) + "\n" + _TAIL


def _run_lcdb(path: Path, out: Path, pairs: str) -> int:
    from analysis.public_curves.lcdb_figure import draw_lcdb

    if not pairs.isdecimal() or int(pairs) < 1:
        raise InputError(f"pairs={pairs}: a number of pairs, 1 or more")
    rows = judge_lcdb(path, pairs=int(pairs))
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / OUTCOMES, rows.to_csv(index=False, float_format="%.5g").encode())
    rows = judge_lcdb(out / OUTCOMES, pairs=len(rows))  # as they were rounded: the file gives the same figure
    (out / "crossings.png").write_bytes(draw_lcdb(rows))
    write_whole(out / "README.md", lcdb_readme(rows).encode())  # last: where it is, the folder is complete
    print(out / "README.md")
    return 0


def run(arguments: TableArguments, own: dict[str, str]) -> int:
    from analysis.public_curves.figure import draw_task

    if len(arguments.results) != 1:
        raise InputError(f"results= is one file here: vision-benchmark.csv, {SOURCE} or {OUTCOMES}")
    path = arguments.results[0]
    lcdb = path.name in (SOURCE, OUTCOMES)
    out = Path(own.get("out") or ("results/lcdb" if lcdb else "results/vision-benchmark"))
    if out.exists() and not out.is_dir():
        raise InputError(f"out={out} is not a folder")
    if lcdb and not path.is_file():
        raise InputError(f"{path}: no such file")
    if lcdb:
        return _run_lcdb(path, out, own.get("pairs") or "1000")
    table = read(path)
    cases = judge_all(table)
    out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([row(case) for case in cases]).to_csv(out / "table.csv", index=False, float_format="%.4g")
    for task in TASKS:
        (out / f"{task}.png").write_bytes(draw_task(table, [c for c in cases if c.task == task], TASKS[task]))
    write_whole(out / "README.md", readme(cases).encode())  # last: where it is, the folder is complete
    print(out / "README.md")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, (*TABLE_WORDS, "out", "pairs"), with_table(run), arguments)
