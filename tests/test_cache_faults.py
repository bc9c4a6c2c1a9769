"""The cache among other processes, on disks that are full or read-only, and under limits: real ones, not pretended."""

import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from small_cache import SQUARE, loader_of, open_small, reds, write_files

from scaling.data.pixels import decode_all as pixels
from scaling.data.pixels.cache import Source, open_decoded
from scaling.data.pixels.square import Square


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, ...]:
    return write_files(tmp_path / "images")


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every file that is decoded in this process."""
    decoded: list[str] = []
    real = pixels.see
    monkeypatch.setattr(pixels, "see", lambda path, *options: decoded.append(path) or real(path, *options))
    return decoded


_SLOW = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from small_cache import open_small, reds
from scaling.data.pixels import decode_all as pixels
real = pixels.see
def slow(path, *options):
    with open({log!r}, "a") as log:
        log.write(path + "\\n")
    time.sleep(0.05)
    return real(path, *options)
pixels.see = slow
print(reds(open_small(Path({folder!r}), {paths!r})))
"""


def test_two_processes_that_want_one_entry_make_it_once(tmp_path: Path, paths: tuple) -> None:
    log = tmp_path / "log"
    tests = str(Path(__file__).parent)
    code = _SLOW.format(tests=tests, log=str(log), folder=str(tmp_path / "cache"), paths=paths)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert said == ["[0, 10, 20, 30, 40, 50]\n"] * 2
    assert len(log.read_text().splitlines()) == 6


def test_helpers_end_with_a_parent_that_is_killed_and_the_next_process_makes_the_entry(
    tmp_path: Path, paths: tuple
) -> None:
    """SIGKILL while four helpers decode: all are gone, the lock is free, and nothing half-made is taken for whole."""
    log = tmp_path / "log"
    code = _SLOW.format(tests=str(Path(__file__).parent), log=str(log), folder=str(tmp_path / "cache"), paths=paths)
    code = code.replace("path + ", "str(os.getpid()) + ").replace("import sys, time", "import os, sys, time")
    code = code.replace("0.05", "5").replace("pixels.see = slow", "pixels.see = slow; " + _MANY_HELPERS)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    helpers: set[str] = set()
    deadline = time.monotonic() + 60
    while len(helpers) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        helpers = set(log.read_text().split()) if log.exists() else set()
    parent.kill()
    parent.wait()
    assert len(helpers) == 2
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in helpers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in helpers if Path(f"/proc/{pid}/cmdline").exists()]
    assert reds(open_small(tmp_path / "cache", paths)) == [0, 10, 20, 30, 40, 50]


_MANY_HELPERS = "pixels._MANY, pixels._CHUNK, pixels.cores = 1, 3, lambda: 2"


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small file system of its own, where this user may make one."""
    places: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"mounted{len(places)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("may not mount a file system")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def test_a_read_only_cache_is_read_and_done_without(
    tmp_path: Path, paths: tuple, mounted: Callable, once: list[str]
) -> None:
    place = mounted("size=4m")
    assert len(reds(open_small(place, paths))) == 6
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    assert open_small(place, paths).note is None  # what is there can be used
    assert len(once) == 6
    others = write_files(tmp_path / "others", 3)
    found = open_decoded(place, Source("another", 3, others, loader_of(others)), SQUARE, limit=10**9)
    assert found.images is not None
    assert found.note is not None
    assert "Read-only file system" in found.note
    assert "data.cache=DIR" in found.note


def test_a_full_disk_is_done_without_and_left_as_it_was(paths: tuple, mounted: Callable) -> None:
    place = mounted("size=64k")
    room = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    (place / "filler").write_bytes(bytes(room - 8192))
    large = Square(image_size=64, channels=3)
    found = open_decoded(place, Source("content", 6, paths, loader_of(paths)), large, limit=10**9)
    assert found.images is not None
    assert found.images.shape == (6, 3, 64, 64)
    assert found.note is not None
    assert "No space left" in found.note
    assert not [path for path in place.iterdir() if path.is_dir()]


def _under_a_limit(folder: Path, paths: tuple[str, ...]) -> str | None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    large = Square(image_size=64, channels=3)
    return open_decoded(folder, Source("content", 6, paths, loader_of(paths)), large, limit=10**9).note


def test_a_limit_on_file_sizes_is_like_a_full_disk(tmp_path: Path, paths: tuple) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        note = pool.submit(_under_a_limit, tmp_path / "cache", paths).result(60)
    assert note is not None
    assert "File too large" in note
