"""Reads results and a number of images and prints advice, a sentence first: CNN or ViT?

python -m analysis.advise results=runs/quickstart train_size=20000
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from analysis.advise.advice import Advice, Limits, advise
from analysis.advise.next_runs import NextRuns, next_runs
from analysis.advise.wording import advice_sentence, recipe, text, train_command
from analysis.arguments import (
    TABLE_KEYS,
    TABLE_WORDS,
    InputError,
    TableArguments,
    run_command,
    whole_number,
    with_table,
)
from analysis.estimator.crossover.modes import contest_sentence, mode_contests
from analysis.estimator.crossover.questions import find_crossovers
from analysis.estimator.crossover.tables import law_contest
from analysis.report.law_words import law_advice

USAGE = f"""usage: python -m analysis.advise results=PATH train_size=N [key=value ...] [--json]

Says for N images which family to use: a sentence first, evidence, caveats and commands below it; one answer per
question in the results (filters.data=... keeps one).
  train_size=N         number of training images that you have (of the axis, if that is another)
  train_flops=X        compare only models that train on N images within X FLOPs; with 3 model sizes of each
                       family their joint laws say who leads there, too
  num_params=X         compare only models of at most X parameters
  --json               the same as JSON
{TABLE_KEYS}"""
_OWN = ("train_size", "train_flops", "num_params", "--json")


def advice_to_dict(advice: Advice, plan: NextRuns | None) -> dict[str, Any]:
    sides = advice.sides or {}
    return {
        "sentence": advice_sentence(advice, plan),
        "train_size": advice.train_size,
        "limits": dataclasses.asdict(advice.limits),
        "use": advice.family,
        "p_vit_better": advice.p_vit_better,
        "models": {f: s.model for f, s in sides.items()},
        "recipes": {f: recipe(s, advice.train_size) for f, s in sides.items()},
        "errors": {f: {"median": s.error[0], "interval": list(s.error[1:])} for f, s in sides.items()},
        "gap": None if advice.gap is None else {"median": advice.gap[0], "interval": list(advice.gap[1:])},
        "flip": None if advice.flip is None else dataclasses.asdict(advice.flip),
        "extrapolation_factor": advice.extrapolation_factor,
        "train_command": train_command(advice),
        "next_runs": None
        if plan is None
        else {
            "cells": [dataclasses.asdict(c) for c in plan.cells],
            "commands": list(plan.commands),
            "seconds": plan.seconds,
            "chance": plan.chance,
            "unmended": list(plan.unfixed),
        },
        **({"joint_laws": said} if (said := _laws(advice)) else {}),
        "group": advice.crossover.to_dict(),
    }


def _laws(advice: Advice) -> str | None:
    """What the joint laws say within the arithmetic, if one was given."""
    flops = advice.limits.train_flops
    if flops is None:
        return None
    return law_advice(advice.crossover, law_contest(advice.crossover), flops, advice.train_size)


def _amount(own: dict[str, str], key: str) -> float | None:
    if key not in own:
        return None
    try:
        value = float(own[key].replace("_", ""))
    except ValueError:
        raise InputError(f"{key}={own[key]} is not a number") from None
    if not 0 < value < float("inf"):
        raise InputError(f"{key}={own[key]} must be positive")
    return value


def run(arguments: TableArguments, own: dict[str, str]) -> int:
    if "train_size" not in own:
        raise InputError("train_size= is missing: the number of training images that you have")
    size = whole_number("train_size", own["train_size"])
    limits = Limits(_amount(own, "train_flops"), _amount(own, "num_params"))
    crossovers = find_crossovers(arguments)
    modes = [contest_sentence(contest, size) for contest in mode_contests(crossovers)]
    advices = [advise(crossover, size, limits=limits) for crossover in crossovers]
    plans = [next_runs(advice, arguments.results) for advice in advices]
    if "--json" in own:
        found = [advice_to_dict(advice, plan) for advice, plan in zip(advices, plans, strict=True)]
        whole = {"schema": 1, "advice": found} | ({"modes": modes} if modes else {})
        print(json.dumps(whole, indent=1, allow_nan=False, ensure_ascii=False))
        return 0
    print("".join(f"{sentence}\n\n" for sentence in modes), end="")
    said = [f"\nModel sizes:\n  {laws}" if (laws := _laws(advice)) else "" for advice in advices]
    print("\n\n".join(text(a, plan) + laws for a, plan, laws in zip(advices, plans, said, strict=True)))
    if len(advices) > 1:
        varying = [k for k in advices[0].crossover.key if len({str(a.crossover.key.get(k)) for a in advices}) > 1]
        print(f"\n{len(advices)} questions in these results; filters.{varying[0]}=... keeps one of them")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, (*TABLE_WORDS, *_OWN), with_table(run), arguments)
