"""Draws what the inspected ViTs in folders of results have learned, for the report's page."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.arguments import InputError
from analysis.estimator.crossover.find_crossover import Crossover
from analysis.figures.mechanism import draw_run, read_run
from analysis.figures.mechanism_sweep import KEY, draw_sweep, group_runs
from scaling.records.question import IN_EVERY_KEY


def pictures(paths: Sequence[Path], crossovers: Sequence[Crossover]) -> list[list[dict[str, str]]]:
    """Per question {caption, png in base64} of its inspected ViTs: all sizes, and the run on most images alone."""
    found = {}
    for path in paths:
        for file in sorted(path.rglob("inspect.json")) if path.is_dir() else []:
            try:
                found[file.parent] = read_run(file.parent)
            except InputError as error:  # the rest of the report does not need it
                print(f"warning: left out of the report: {error}", file=sys.stderr)
    shown: list[list[dict[str, str]]] = [[] for _ in crossovers]
    for kind, runs in group_runs([numbers for numbers, _ in found.values()]).items():
        about = dict(zip(KEY, kind, strict=True))
        for i, crossover in enumerate(crossovers):
            if any(crossover.key.get(k, about[k]) not in (about[k], None) for k in IN_EVERY_KEY):
                continue
            largest = max(runs, key=lambda run: (run["train_size"], -run["seed"]))
            numbers, arrays = next(pair for pair in found.values() if pair[0] is largest)
            cnns = (a for n, a in found.values() if n["family"] == "cnn" and n["train_size"] == largest["train_size"])
            if len({run["train_size"] for run in runs}) > 1:
                caption = f"{about['model']}: attention distance and position embeddings against training images"
                shown[i].append({"caption": caption, "png": _png(draw_sweep(runs, crossover))})
            caption = (
                f"{about['model']} after {largest['train_size']:,} images: filters, positions, attention distances"
            )
            shown[i].append({"caption": caption, "png": _png(draw_run(numbers, arrays, cnn=next(cnns, None)))})
    return shown


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode()
