"""Files written whole, the cache's folder, the machine's cores, and the few ways in which errors, names and durations
are put into one line. Free of torch; both halves of the project use it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

VARIABLE = "SCALING_CACHE"
TEMPORARY = ".*.tmp"  # files being written; those of a process that was killed are removed by the next one

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Content = bytes | memoryview | Callable[[IO[bytes]], object]


def cache_folder(setting: str | None) -> Path:
    """`data.cache`, else the variable SCALING_CACHE, else the user's cache folder (~/.cache/vit-scaling on Linux)."""
    import platformdirs

    chosen = setting or os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("vit-scaling")


def write_whole(path: Path, content: Content) -> None:
    """Writes a file in one step, to the disk, and makes its folder; a process killed here leaves a TEMPORARY file.

    Args:
        path: a reader sees there what was there before, or the whole new file.
        content: bytes, or a function that writes them to an open file (for what is too large to hold twice).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def make_private(folder: Path) -> None:
    """Makes a folder and those above it that are missing, for this user alone: a cache is believed later."""
    for part in (*reversed(folder.parents), folder):
        if not part.exists():
            part.mkdir(mode=0o700, exist_ok=True)


def try_write_whole(path: Path, content: Content) -> bool:
    """Does what `write_whole` does and says whether it worked: a cache that cannot be written only costs time."""
    try:
        make_private(path.parent)
        write_whole(path, content)
    except OSError:
        return False
    return True


def first_written(path: Path, content: bytes, *, valid: Callable[[bytes], object]) -> bytes | None:
    """Writes a cache's file unless a valid one is there already, and returns what is there then: of several processes
    all get what came first. None where the file cannot be written."""
    beside = path.with_name(f".{path.stem}-{os.getpid()}-{threading.get_ident()}.tmp")
    if not try_write_whole(beside, content):
        return None
    try:
        for _ in range(2):
            with contextlib.suppress(FileExistsError):
                os.link(beside, path)
            found = path.read_bytes()
            if valid(found):
                return found
            path.unlink(missing_ok=True)  # damaged
    except OSError:  # a file system without links, most likely
        os.replace(beside, path)
        return content
    finally:
        beside.unlink(missing_ok=True)
    return None


@functools.cache
def _umask() -> int:
    """What files of this process are not allowed; mkstemp ignores it, and results are often read by others."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_together(folder: Path, files: Mapping[str, Content]) -> None:
    """Writes several files, by their paths below `folder`, so that an end in between leaves the older ones whole: all
    are written beside it first, then moved, the last one last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
    try:
        for name, content in files.items():
            write_whole(stage / name, content)
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(stage / name, folder / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def sealed(content: bytes) -> bytes:
    """The content of a cache's file: after a line with its checksum."""
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def unsealed(content: bytes) -> bytes:
    """What was sealed.

    Raises:
        ValueError: it is not what was written.
    """
    digest, _, inside = content.partition(b"\n")
    if hashlib.sha256(inside).hexdigest().encode() != digest:
        raise ValueError("its checksum does not match")
    return inside


def set_aside(path: Path) -> Path:
    """Renames a damaged file, so that nothing reads it again and nothing of it is lost; returns the new path."""
    for number in itertools.count(1):
        aside = path.with_name(f"{path.name}.damaged-{number}")
        if not aside.exists():
            path.rename(aside)
            return aside
    raise AssertionError("unreachable")


def cores() -> int:
    """Counts the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_line(error: BaseException) -> str:
    """Puts an error's whole text into one line; the name of its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: object) -> str:
    """Returns the first line of an error's text; the name of its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def last_line(text: str | None, *, otherwise: str = "no message") -> str:
    """Returns the last line of a text, such as a traceback; `otherwise` where there is none."""
    lines = (text or "").strip().splitlines()
    return lines[-1] if lines else otherwise


def printable(name: str) -> str:
    """Escapes control characters and bytes that are no text, so that a name fits into one line."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)


def defused(value: Any) -> Any:
    """A cell of a CSV file that no spreadsheet takes for a formula: a text that begins like one gets a quote before it,
    unless it is a number."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def undefused(value: Any) -> Any:
    """What `defused` was given."""
    quoted = isinstance(value, str) and value[:1] == "'" and value[1:].startswith(_FORMULA)
    return value[1:] if quoted else value


def some(names: Sequence[str], *, at_most: int = 3) -> str:
    """Lists the first few names, and how many there are beyond."""
    shown = ", ".join(map(printable, names[:at_most]))
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most:,} more"


def duration(seconds: float) -> str:
    """Writes a duration as people say it: 80 s, 12 min, 3.5 h, 2.0 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
