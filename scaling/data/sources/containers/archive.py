"""Zip and tar files of class folders, unpacked into the cache."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from pathlib import Path

from scaling.data.errors import DataError
from scaling.data.sources.containers.unpack import unpacked

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_DEEPEST = 4


def is_archive(root: str) -> bool:
    """Whether a path is that of a zip or tar file."""
    return os.path.isfile(root) and root.lower().endswith((".zip", *_TAR))


def _extract(root: str, into: Path) -> None:
    """Raises:
    DataError: the archive is damaged, or encrypted.
    """
    try:
        if root.lower().endswith(".zip"):
            with zipfile.ZipFile(root) as archive:
                for member in archive.infolist():
                    if "\\" in member.filename and "/" not in member.filename:  # as some programs of Windows write them
                        member.filename = member.filename.replace("\\", "/")
                    archive.extract(member, into)  # names that lead outside are kept inside
        else:
            with tarfile.open(root) as archive:
                archive.extractall(into, filter="data")  # refuses names and links that lead outside
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(f"{root} is damaged, or no archive of its kind ({error}); copy it again") from error
    except RuntimeError as error:  # zipfile's word for a password
        raise DataError(f"{root} cannot be unpacked ({error}): unpack it, and give the folder as data.root") from error


def _by_hand(root: str) -> str:
    command = f"unzip {root} -d DIR" if root.lower().endswith(".zip") else f"tar xf {root} -C DIR"
    return f"{command} unpacks it, and data.root=DIR reads it"


def open_archive(root: str, cache: Path) -> str:
    """The folder with what the archive holds; of a lone folder in it, that.

    Raises:
        DataError: it is damaged, or cannot be unpacked.
    """
    folder = unpacked([root], cache, lambda place: _extract(root, place), by_hand=_by_hand(root))
    for _ in range(_DEEPEST):
        entries = [entry for entry in os.scandir(folder) if entry.name[0] != "." and entry.name != "__MACOSX"]
        folders = [entry for entry in entries if entry.is_dir()]
        inner = [entry for entry in os.scandir(folders[0].path) if entry.is_dir()] if len(folders) == 1 else []
        if not inner or folders[0].name.lower() in ("train", "training"):
            break
        folder = Path(folders[0].path)
    return str(folder)
