"""Random arrays for `fit_curve` and `find_crossover`, for as long as one likes: no exception but ValueError, no NaN,
and the same bits for shuffled rows.

    python tests/fuzz.py [minutes=20] [calls=N] [seed=0]

Prints a line for each finding and how many calls there were; exit status 1 with a finding. Another PYTHONHASHSEED with
the same seed and calls has to give the same digest.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import find_crossover, fit_curve

ODD = (0.0, 1.0, 0.5, 1e-12, 1 - 1e-12, 5e-324, 1.5, -0.1, math.nan, math.inf, 1e300)
SIZES = (1, 2, 3, 5, 10, 100, 101, 1_000, 1e5, 1e9, 0, -3, 2.5, math.nan, 1e308)


def accident(error: ValueError) -> bool:
    """Whether the error came from within a library's call, and not from a line of ours that refuses something."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return "analysis" not in Path(last.filename).parts or not (last.line or "").startswith("raise ")


def _error(draw: random.Random, size: float, exponent: float) -> float:
    if draw.random() < 0.04:
        return draw.choice(ODD)
    with np.errstate(all="ignore"):
        value = 0.9 * abs(size or 1) ** -exponent * math.exp(draw.gauss(0, 0.05))
    return min(max(value, 0.0), 1.0) if value == value else 0.5


def _column(draw: random.Random, exponent: float) -> tuple[list[float], list[float]]:
    usual = [10 * 2.0**k for k in range(draw.randint(1, 9))]
    odd = draw.random() < 0.3
    sizes = [draw.choice(SIZES) if odd and draw.random() < 0.3 else n for n in usual for _ in range(draw.randint(1, 3))]
    return sizes, [_error(draw, n, exponent) for n in sizes]


def _curve(draw: random.Random) -> tuple[str, str]:
    sizes, errors = _column(draw, draw.uniform(-0.2, 1.0))
    order = list(range(len(sizes)))
    answers = []
    for _ in range(2):
        curve = fit_curve([sizes[i] for i in order], [errors[i] for i in order])
        grid = [min(sizes), max(sizes), min(10 * max(sizes), 1e300)]
        answers.append(repr((curve.predict(grid).tolist(), curve.interval(grid).tolist(), curve.forms)))
        draw.shuffle(order)
    return answers[0], answers[1]


def _crossover(draw: random.Random) -> tuple[str, str]:
    rows = []
    for family, exponent in (("vit", draw.uniform(0, 0.7)), ("cnn", draw.uniform(0, 0.7))):
        for model in range(draw.randint(1, 2)):
            sizes, errors = _column(draw, exponent)
            rows += [dict(family=family, model=f"{family}{model}", train_size=n, test_error=e, seed=i)
                     for i, (n, e) in enumerate(zip(sizes, errors, strict=True))]  # fmt: skip
    answers = []
    for _ in range(2):
        found = find_crossover(pd.DataFrame(rows), audit=len(rows) % 2 == 0).to_dict()
        answers.append(json.dumps(found, allow_nan=False, default=float))
        draw.shuffle(rows)
    return answers[0], answers[1]


def main() -> int:
    values = dict(word.split("=", 1) for word in sys.argv[1:])
    until = time.monotonic() + 60 * float(values.get("minutes", 20))
    draw, calls, refused, found = random.Random(int(values.get("seed", 0))), 0, 0, 0
    digest = hashlib.sha256()
    warnings.simplefilter("ignore", RuntimeWarning)
    most = int(values.get("calls", 10**9))
    while time.monotonic() < until and calls < most:
        state, calls = draw.getstate(), calls + 1
        work = draw.choice((_curve, _crossover))
        try:
            first, second = work(draw)
            digest.update(first.encode())
            if first != second or "nan" in first.lower().replace("nano", ""):
                found += 1
                print(
                    f"{work.__name__} call {calls}: {'shuffled rows differ' if first != second else 'NaN'}", flush=True
                )
        except ValueError as error:
            refused += 1
            if accident(error):
                found += 1
                print(f"{work.__name__} call {calls}: {error}", flush=True)
        except Exception as error:
            found += 1
            print(f"{work.__name__} call {calls}: {type(error).__name__}: {error}", flush=True)
        draw.setstate(state)
        draw.seed(draw.random())
    print(f"{calls} calls, {refused} refused, {found} findings; digest {digest.hexdigest()[:16]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
