"""Tries the estimator on public curves, and measures its speed."""
