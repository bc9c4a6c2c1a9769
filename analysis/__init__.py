"""Fits scaling curves to records or tables of results and decides where a ViT overtakes a CNN. Free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.estimator.crossover.find_crossover import find_crossover
    from analysis.estimator.curve.fit_curve import fit_curve

__all__ = ["find_crossover", "fit_curve"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: `--help` of a command should not wait for numpy and pandas.
    if name == "fit_curve":
        from analysis.estimator.curve.fit_curve import fit_curve

        return fit_curve
    if name == "find_crossover":
        from analysis.estimator.crossover.find_crossover import find_crossover

        return find_crossover
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
