"""Fits one scaling curve, with the uncertainty of its form."""
