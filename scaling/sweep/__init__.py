"""Brings cells to their records, in worker processes."""
