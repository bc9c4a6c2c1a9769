"""Reads the Hydra overrides that a row of results holds: the words that run its cell again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any


def overrides_of(row: Mapping[str, Any]) -> list[str] | None:
    """The row's overrides, or None where it has none that could be run."""
    value = row.get("overrides")
    if value is None or value != value:
        return None
    words = list(map(str, value)) if isinstance(value, (list, tuple)) else shlex.split(str(value))
    return words if any(w.startswith("model=") for w in words) else None
