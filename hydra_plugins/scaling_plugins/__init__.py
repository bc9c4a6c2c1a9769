"""Hydra plugins of this project; the namespace package above them must have no __init__.py."""
