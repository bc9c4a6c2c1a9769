"""What the columns of a user's table or Parquet file are called."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of columns; `split` and `group` need not be there."""

    path: str = "path"
    image: str = "image"  # of Parquet files
    label: str = "label"
    split: str = "split"
    group: str = "group"
