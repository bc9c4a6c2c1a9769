"""Frozen features on disk: rows of numbers by the picture that they were computed from, each computed once."""
