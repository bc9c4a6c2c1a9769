"""Turns words and YAML into checked cells."""
