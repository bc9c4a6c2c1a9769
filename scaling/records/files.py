"""Where decoded images and remembered hashes lie, and how a file gets there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "SCALING_CACHE"


def cache_folder(setting: str | None) -> Path:
    """`data.cache`, else the variable SCALING_CACHE, else the user's cache folder (~/.cache/vit-scaling on Linux)."""
    import platformdirs

    chosen = setting or os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("vit-scaling")


def write_atomically(path: Path, content: bytes) -> bool:
    """Whether it could be written; a cache that cannot be written only costs time."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        return False
    return True
