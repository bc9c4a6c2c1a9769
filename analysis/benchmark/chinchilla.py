"""Fits and bootstraps the joint law on the published Chinchilla runs, beside the replication's numbers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.estimator.curve.joint_law import LAW_NAMES, bootstrap_joint, fit_joint

PUBLISHED_LAW = (482.01, 2085.43, 1.81686, 0.34781, 0.36585)  # Besiroglu et al. 2024: stopped short of the optimum
_ERRORS = (123.0, 1281.0, 0.0255, 0.0152, 0.0205)  # standard errors of the same replication
EXCLUDED = 5  # runs with the largest losses


def load_runs(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Model sizes, tokens (FLOP / 6N) and losses of the 240 runs that the replication keeps."""
    runs = pd.read_csv(folder / "chinchilla-runs.csv")
    runs = runs[runs["loss"] < runs["loss"].nlargest(EXCLUDED).iloc[-1]]
    size = runs["Model Size"].to_numpy(dtype=float)
    return size, runs["Training FLOP"].to_numpy(dtype=float) / (6 * size), runs["loss"].to_numpy(dtype=float)


def chinchilla_tables(folder: Path, options: dict[str, Any]) -> list[str]:
    runs = load_runs(folder)
    started = time.process_time()
    law = fit_joint(*runs, seed=options["seed"])
    fitted = time.process_time() - started
    started = time.process_time()
    draws = bootstrap_joint(law, *runs, replicates=options["draws"], seed=options["seed"])
    again = time.process_time() - started
    lines = [
        f"{len(runs[0])} runs; objective {law.objective:.12f}. Processor time: {fitted:.1f} s for the fit from all"
        f" starts, {again:.1f} s for {options['draws']} replicates.",
        "",
        "| parameter | fit | replication | standard error | replication's |",
        "|---|---|---|---|---|",
    ]
    for name, published, error, spread in zip(LAW_NAMES, PUBLISHED_LAW, _ERRORS, draws.std(axis=0), strict=True):
        lines.append(f"| {name} | {getattr(law, name):.6g} | {published:g} | {spread:.4g} | {error:g} |")
    return lines
