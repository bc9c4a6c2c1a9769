"""What can be wrong with data; free of torch and of image libraries."""

from __future__ import annotations


class DataError(ValueError):
    """Data that cannot be used; the message says in one line what to do."""


class UnreadableImage(ValueError):
    """One file that is no image, or a damaged one; the message says what is wrong with it."""
