"""Results and a number of images in, one sentence out: CNN or ViT?

python -m analysis.advise results=runs/quickstart train_size=20000
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.arguments import TABLE_KEYS, InputError, TableArguments, run_command, whole_number
from analysis.crossings import AHEAD, HORIZON
from analysis.crossover import Crossover, find_crossovers
from analysis.words import Advice, advice_sentence

USAGE = f"""usage: python -m analysis.advise results=PATH train_size=N [key=value ...] [--json]

Says for N images which family to use, one sentence per question in the results (filters.data=... keeps one).
  train_size=N         number of training images that you have (of the axis, if that is another)
  --json               the sentence and its numbers as JSON
{TABLE_KEYS}"""


def _summary(draws: np.ndarray, level: float) -> tuple[float, float, float]:
    low, middle, high = np.quantile(draws, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return float(middle), float(low), float(high)


def advise(crossover: Crossover, train_size: int) -> Advice:
    """What the families' envelopes say at `train_size`; `family` stays None below P = 0.9 or if held back."""
    fit_range = crossover.verdict.fit_range
    if fit_range is None:
        return Advice(crossover, train_size, None, None, {}, None, {}, None, None)
    at = np.array([float(train_size)])
    draws = {f: np.exp(crossover.families.envelope(crossover.families.models[f], at)[:, 0]) for f in ("vit", "cnn")}
    p_vit = float((draws["vit"] < draws["cnn"]).mean())
    factor = train_size / fit_range[1]
    held_back = (crossover.audited and bool(crossover.failed_checks)) or factor > HORIZON
    sure = max(p_vit, 1 - p_vit) >= AHEAD
    family = ("vit" if p_vit > 0.5 else "cnn") if sure and not held_back else None
    gap = draws["cnn"] - draws["vit"] if p_vit > 0.5 else draws["vit"] - draws["cnn"]
    return Advice(
        crossover,
        train_size,
        family,
        p_vit,
        {f: _summary(d, crossover.level) for f, d in draws.items()},
        _summary(gap, crossover.level),
        {f: crossover.families.best_model(f, at[0]) for f in draws},
        factor,
        fit_range[0] if train_size < fit_range[0] else None,
    )


def to_dict(advice: Advice) -> dict[str, Any]:
    return {
        "sentence": advice_sentence(advice),
        "train_size": advice.train_size,
        "use": advice.family,
        "models": dict(advice.models),
        "p_vit_better": advice.p_vit_better,
        "errors": {f: {"median": e[0], "interval": list(e[1:])} for f, e in advice.errors.items()},
        "gap": None if advice.gap is None else {"median": advice.gap[0], "interval": list(advice.gap[1:])},
        "extrapolation_factor": advice.extrapolation_factor,
        "group": advice.crossover.to_dict(),
    }


def run(arguments: TableArguments, own: dict[str, str]) -> int:
    if "train_size" not in own:
        raise InputError("train_size= is missing: the number of training images that you have")
    size = whole_number("train_size", own["train_size"])
    advices = [advise(crossover, size) for crossover in find_crossovers(arguments)]
    if "--json" in own:
        print(json.dumps({"schema": 1, "advice": [to_dict(a) for a in advices]}, indent=1, allow_nan=False))
    else:
        for advice in advices:
            print(advice_sentence(advice))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, ("train_size", "--json"), run, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
