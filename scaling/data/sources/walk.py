"""Lists folders without what is no part of a data set, and remembers what was left out, why, and how many files.

Left out are hidden files, thumbnails of file servers, checkpoints of notebooks, links to a folder above, and this
project's own output.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scaling.data.sources.catalogue import portable
from scaling.records.files import printable

# torchvision's IMG_EXTENSIONS, and more of what Pillow reads.
SUFFIXES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
SUFFIXES += (".gif", ".jfif", ".jpe", ".jp2", ".avif", ".dib", ".pbm", ".pnm", ".tga")
# Folders that programs put among pictures, by lower-case name.
_NOT_DATA = {
    "__macosx": "resource forks of macOS",
    "@eadir": "thumbnails of a file server",
    "@thumb": "thumbnails of a file server",
    "@recycle": "bins of a file server",
    "@recently-snapshot": "snapshots of a file server",
    "@tmp": "files of a file server",
    "#recycle": "bins of a file server",
    "#snapshot": "snapshots of a file server",
    "$recycle.bin": "bins of Windows",
    "system volume information": "files of Windows",
    "lost+found": "files of the file system",
    "__pycache__": "files of Python",
    ".ipynb_checkpoints": "checkpoints of notebooks",
}
_NOT_FILES = ("thumbs.db", "desktop.ini")
# What the folders hold that this project's commands write, for output that no setting names (an earlier out=, say).
_OWN_FILES = ("crossover.json", "advice.json", "pilot.log", "latest-run")


@dataclass(frozen=True)
class LeftOut:
    """Files that are not used: what they are, how many, and the first names, of which three are shown."""

    what: str
    count: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        shown = [*map(printable, self.names[:3]), *(["..."] if len(self.names) > 3 else [])]
        return f"{self.count:,} {self.what} ({', '.join(shown)})"


def is_image(name: str) -> bool:
    """Whether a file's name ends like an image's."""
    return name.lower().endswith(SUFFIXES)


class Walk:
    """Lists folders below a root.

    Args:
        own: folders of this project's output that may lie below the root.
    """

    def __init__(self, own: Iterable[str] = ()) -> None:
        self._own = {os.path.realpath(path) for path in own}
        self.ignored: Counter[str] = Counter()  # files that are no images, by suffix
        self._left: dict[str, tuple[int, list[str]]] = {}
        self._known: set[str] = set()  # paths that were left out: a folder may be listed more than once

    def leave_out(self, what: str, path: str, count: int = 1, *, folder: bool = False) -> None:
        """Remembers files that are not used, or a folder of so many, and the first few names."""
        if path not in self._known:
            self._known.add(path)
            before, names = self._left.get(what, (0, []))
            name = os.path.basename(path) + "/" * folder
            self._left[what] = (before + count, [*names, name] if len(names) < 4 else names)

    def left_out(self) -> tuple[LeftOut, ...]:
        """Everything that was left out so far."""
        found = [LeftOut(what, count, tuple(names)) for what, (count, names) in self._left.items()]
        if self.ignored:
            names = [
                f"{suffix}: {count:,}"
                for suffix, count in sorted(self.ignored.items(), key=lambda item: (-item[1], item[0]))[:4]
            ]
            found.append(LeftOut("files that do not end like images", self.ignored.total(), tuple(names)))
        return tuple(found)

    def _is_data(self, entry: os.DirEntry[str]) -> bool:
        """Whether a folder's entry may be data; what is not is remembered, hidden files are not."""
        name = entry.name
        if name[0] not in ".@#$_SsLl":  # most names: quickly
            return name.lower() not in _NOT_FILES
        reason = _NOT_DATA.get(name.lower())
        if reason is not None:
            if entry.is_dir():
                self.leave_out(reason, entry.path, self.count_images(entry.path, hidden=True), folder=True)
            return False
        return not name.startswith(".")

    def _leads_up(self, entry: os.DirEntry[str]) -> bool:
        """Whether a link leads to a folder that it lies in."""
        if not entry.is_symlink():
            return False
        here, target = os.path.realpath(os.path.dirname(entry.path)), os.path.realpath(entry.path)
        up = here == target or here.startswith(target.rstrip(os.sep) + os.sep)
        if up:
            self.leave_out("links to a folder above", entry.path, folder=True)
        return up

    def count_images(self, folder: str, *, hidden: bool = False) -> int:
        """How many files below a folder end like images, links to folders not followed."""
        count = 0
        for _, folders, files in os.walk(folder):
            if not hidden:
                folders[:] = [name for name in folders if not name.startswith(".") and name.lower() not in _NOT_DATA]
            count += sum(is_image(name) and (hidden or not name.startswith(".")) for name in files)
        return count

    def folders(self, folder: str) -> list[os.DirEntry[str]]:
        """The folders in a folder that may be splits or classes, in one order on every machine."""
        entries = [e for e in os.scandir(folder) if e.is_dir() and self._is_data(e) and not self._leads_up(e)]
        kept = []
        for entry in sorted(entries, key=lambda entry: portable(entry.name)):
            if os.path.realpath(entry.path) in self._own or _is_own_output(entry.path):
                count = self.count_images(entry.path)
                self.leave_out("pictures in this project's own output", entry.path, count, folder=True)
            else:
                kept.append(entry)
        return kept

    def loose(self, folder: str) -> list[str]:
        """Names of the images that lie in a folder itself; its other files are counted."""
        found = []
        for entry in os.scandir(folder):
            if not entry.is_dir() and (entry.is_file() or entry.is_symlink()) and self._is_data(entry):
                if is_image(entry.name):
                    found.append(entry.name)
                else:
                    self._ignore(entry)
        return sorted(found)

    def _ignore(self, entry: os.DirEntry[str]) -> None:
        if entry.path not in self._known:
            self._known.add(entry.path)
            self.ignored[os.path.splitext(entry.name)[1].lower() or entry.name] += 1

    def images(self, folder: str, seen: frozenset[tuple[int, int]] = frozenset()) -> list[str]:
        """Every image below a folder; links are followed, but not upwards and not in circles."""
        found: list[str] = []
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in seen:
            return found
        for entry in os.scandir(folder):
            if not self._is_data(entry):
                continue
            if entry.is_dir():
                if not self._leads_up(entry):
                    found += self.images(entry.path, seen | {here})
            elif entry.is_file() or entry.is_symlink():  # a link that leads nowhere is a damaged image, a pipe nothing
                if is_image(entry.name):
                    found.append(entry.path)
                else:
                    self._ignore(entry)
        return found


def _is_own_output(folder: str) -> bool:
    """Whether a folder holds records, a report or a pilot of this project, or W&B's files."""
    place = Path(folder)
    if any((place / name).exists() for name in _OWN_FILES):
        return True
    inside = [entry for entry in os.scandir(folder) if entry.is_dir()][:50]
    for entry in inside:
        if any(os.path.exists(os.path.join(entry.path, name)) for name in ("record.json", *_OWN_FILES)):
            return True
        if any(os.path.exists(os.path.join(below.path, "record.json")) for below in _some_folders(entry.path)):
            return True
    return False


def _some_folders(folder: str, at_most: int = 20) -> list[os.DirEntry[str]]:
    found: list[os.DirEntry[str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(found) == at_most:
                break
            if entry.is_dir():
                found.append(entry)
    return found
