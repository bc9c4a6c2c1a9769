"""What runs and caches take on disk, and the removal of what is named; records and curves always stay.

python -m scaling.disk [out=runs]                         what there is
python -m scaling.disk remove=checkpoints,wandb           and remove these kinds (sweep=NAME: of one sweep alone)
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling.records.cell_folder import BEST_FILE, CHECKPOINTS, WEIGHTS_FILE
from scaling.records.exit_status import exit_status
from scaling.records.files import TEMPORARY, cache_folder
from scaling.records.lock import Busy, cell_lock
from scaling.records.record import FILE_NAME

# Files of a cell's folder by kind, and folders of a sweep's.
CELL_FILES = {
    "checkpoints": (CHECKPOINTS,),
    "weights": (WEIGHTS_FILE, BEST_FILE),
    "damaged": (f"{FILE_NAME}.damaged-*", "*.damaged-*", TEMPORARY),
}
SWEEP_FOLDERS = {"wandb": "wandb", "tensorboard": "tensorboard", "csv": "csv", "jobs": ".submitit", "report": "report"}
# Folders of the cache; weights were put there by hand and are nobody's to remove, the rest is made again when needed.
CACHE_FOLDERS = {"features": "features", "weights": "other"}
REMOVABLE = (*CELL_FILES, *SWEEP_FOLDERS, "features", "cache")
USAGE = f"""usage: python -m scaling.disk [out=runs] [sweep=NAME] [remove=KIND,KIND]

Says what the sweeps below `out` and the cache of decoded images and of frozen features take.
Kinds: {", ".join(REMOVABLE)}.
Records (record.json, curve.csv, wrong.npz) and recipes are never removed; cells at which a process works are left.
"""


@dataclass(frozen=True)
class Item:
    """A file or folder that may be removed, or what is kept (kind "records")."""

    sweep: str  # "" for the cache
    kind: str
    path: Path
    size: int  # bytes
    cell: Path | None = None  # the cell's folder, for a file in one


def _size(path: Path) -> int:
    """Bytes of a file or of everything below a folder; a link counts as itself."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
        return sum(_size(Path(entry.path)) for entry in os.scandir(path))
    except OSError:
        return 0  # it has just gone


def _cell_items(sweep: str, cell: Path) -> Iterator[Item]:
    seen: set[Path] = set()
    for kind, patterns in CELL_FILES.items():
        for path in sorted({path for pattern in patterns for path in cell.glob(pattern)} - seen):
            seen.add(path)
            yield Item(sweep, kind, path, _size(path), cell)
    for path in sorted(set(cell.iterdir()) - seen):
        yield Item(sweep, "records", path, _size(path), cell)


def _is_cell(folder: Path) -> bool:
    return any((folder / name).exists() for name in (FILE_NAME, "curve.csv")) or any(folder.glob(CHECKPOINTS))


def _is_own(folder: Path) -> bool:
    """Whether a folder lies here; what a link leads to belongs to somebody else."""
    return folder.is_dir() and not folder.is_symlink()


def find_items(out: Path, sweep: str | None = None) -> list[Item]:
    """Everything below `out` (of one sweep if it is named) and in the cache."""
    items: list[Item] = []
    for folder in sorted(path for path in out.iterdir() if _is_own(path)) if out.is_dir() else []:
        if sweep not in (None, folder.name):
            continue
        by_folder = {name: kind for kind, name in SWEEP_FOLDERS.items()}
        for path in sorted(folder.iterdir()):
            if path.name in by_folder:
                items.append(Item(folder.name, by_folder[path.name], path, _size(path)))
            elif _is_own(path) and _is_cell(path):
                items += _cell_items(folder.name, path)
            else:
                items.append(Item(folder.name, "other", path, _size(path)))
    cache = cache_folder(None)
    if sweep is None and cache.is_dir():
        for path in sorted(cache.iterdir()):
            items.append(Item("", CACHE_FOLDERS.get(path.name, "cache"), path, _size(path)))
    return items


def readable(size: int) -> str:
    """Bytes as people say them, in powers of 1,000."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def table(items: Sequence[Item]) -> str:
    """One line a sweep and kind, the largest first, and the sum."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for item in items:
        size, count = sums.get((item.sweep, item.kind), (0, 0))
        sums[item.sweep, item.kind] = (size + item.size, count + 1)
    ranked = sorted(sums.items(), key=lambda entry: (-entry[1][0], entry[0]))
    width = max((len(sweep) for sweep, _ in sums), default=0)
    lines = [f"{readable(size):>10}  {sweep:<{width}}  {kind} ({count})" for (sweep, kind), (size, count) in ranked]
    return "\n".join([*lines, f"{readable(sum(item.size for item in items)):>10}  in all"])


def remove(items: Sequence[Item]) -> int:
    """Removes these items and returns the bytes that this freed; a cell that a process is at is left alone."""
    freed = 0
    for item in items:
        try:
            if item.cell is None:
                shutil.rmtree(item.path) if _is_own(item.path) else item.path.unlink()
            else:
                with cell_lock(item.cell):
                    item.path.unlink(missing_ok=True)
            freed += item.size
        except Busy:
            print(f"left: {item.path} (a process is at this cell)", file=sys.stderr)
        except OSError as error:
            print(f"left: {item.path} ({error.strerror})", file=sys.stderr)
    return freed


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0
    words = dict(word.split("=", 1) for word in arguments if "=" in word)
    strange = [word for word in arguments if "=" not in word] + sorted(set(words) - {"out", "sweep", "remove"})
    kinds = [kind for kind in words.get("remove", "").split(",") if kind]
    unknown = sorted(set(kinds) - set(REMOVABLE))
    out, sweep = Path(words.get("out", "runs")), words.get("sweep")
    if strange:
        print(f"error: {', '.join(strange)}: this takes out=, sweep= and remove=", file=sys.stderr)
        return 2
    if unknown:
        print(f"error: remove={','.join(unknown)}: the kinds are {', '.join(REMOVABLE)}; records stay", file=sys.stderr)
        return 2
    if sweep is not None and (Path(sweep).name != sweep or not _is_own(out / sweep)):
        print(f"error: {out / sweep} is not there, or is no folder of a sweep", file=sys.stderr)
        return 2
    items = find_items(out, sweep)
    print(table(items))
    if kinds:
        freed = remove([item for item in items if item.kind in kinds])
        print(f"removed {', '.join(kinds)}: {readable(freed)} freed")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
