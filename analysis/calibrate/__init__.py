"""Tries the estimator on simulated sweeps whose crossing is known."""
