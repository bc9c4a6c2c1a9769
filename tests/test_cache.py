"""The cache of decoded images: made once, whole or not at all, again when damaged, done without where impossible."""

import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaling.data import cache, pixels
from scaling.data.cache import Damaged, Decoded, Loader, open_decoded
from scaling.data.catalogue import Catalogue
from scaling.data.pixels import Square

SQUARE = Square(image_size=4, channels=3)


def _files(folder: Path, count: int = 6) -> tuple[str, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (4, 4), (10 * i, 0, 255)).save(folder / f"{i}.png")
    return tuple(str(folder / f"{i}.png") for i in range(count))


def _loader(paths: tuple[str, ...]) -> Loader:
    keys = tuple(os.path.basename(path) for path in paths)
    sizes = {"train": len(paths), "val": 0, "test": 0}
    return lambda: (Catalogue(("a", "b"), keys, np.arange(len(paths)) % 2, sizes, paths), None)


def _open(folder: Path, paths: tuple[str, ...], **options: object) -> Decoded:
    values = dict(rows=len(paths), paths=paths, limit=10**9) | options
    return open_decoded(folder, "content", SQUARE, _loader(paths), **values)


def _reds(decoded: Decoded) -> list[int]:
    assert decoded.images is not None
    return decoded.images[:, 0, 0, 0].tolist()


@pytest.fixture
def paths(tmp_path: Path) -> tuple[str, ...]:
    return _files(tmp_path / "images")


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every file that is decoded in this process."""
    decoded: list[str] = []
    real = pixels.decode
    monkeypatch.setattr(pixels, "decode", lambda path, **options: decoded.append(path) or real(path, **options))
    return decoded


def test_images_are_decoded_once_and_mapped_after_that(tmp_path: Path, paths: tuple, once: list[str]) -> None:
    first, second = (_open(tmp_path / "cache", paths) for _ in range(2))
    assert _reds(first) == _reds(second) == [0, 10, 20, 30, 40, 50]
    assert len(once) == 6
    assert isinstance(second.images, np.memmap)
    assert second.catalogue.keys == first.catalogue.keys == tuple(f"{i}.png" for i in range(6))
    assert second.facts.sums[3].tolist() == [[16 * 30, 16 * 900], [0, 0], [16 * 255, 16 * 255**2]]


def test_another_content_size_or_number_of_channels_is_another_entry() -> None:
    squares = (Square(4, 3), Square(8, 3), Square(4, 1))
    names = {cache.entry_name(content, square) for content in ("a", "b") for square in squares}
    assert len(names) == 6


def test_unreadable_files_are_remembered_with_their_reason(tmp_path: Path, paths: tuple) -> None:
    Path(paths[2]).write_text("no image")
    for _ in range(2):
        found = _open(tmp_path / "cache", paths)
        assert found.unreadable == {2: "not an image"}
        assert _reds(found)[2] == 0


@pytest.mark.parametrize("damage", ["a byte", "cut off", "gone", "catalogue", "rows", "empty folder"])
def test_a_damaged_entry_is_made_again(
    tmp_path: Path, paths: tuple, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = _open(tmp_path / "cache", paths)
    place = first.place
    assert place is not None
    del first
    images = place / "images.u8"
    if damage == "a byte":
        content = bytearray(images.read_bytes())
        content[100] ^= 255
        images.write_bytes(content)
    elif damage == "cut off":
        images.write_bytes(images.read_bytes()[:-1])
    elif damage == "gone":
        images.unlink()
    elif damage == "empty folder":
        for file in place.iterdir():
            file.unlink()
    else:
        file = place / {"catalogue": "catalogue.json", "rows": "rows.i8"}[damage]
        file.write_bytes(file.read_bytes().replace(b"0", b"1", 1)[:-1] + b"x")
    assert _reds(_open(tmp_path / "cache", paths)) == [0, 10, 20, 30, 40, 50]
    assert "made again" in capsys.readouterr().err
    assert _reds(_open(tmp_path / "cache", paths)) == [0, 10, 20, 30, 40, 50]
    assert capsys.readouterr().err == ""


def test_large_entries_are_checked_where_they_are_read(
    tmp_path: Path, paths: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_CHECK_ALL", 0)
    place = _open(tmp_path / "cache", paths).place
    assert place is not None
    content = bytearray((place / "images.u8").read_bytes())
    content[3 * 48] ^= 1
    (place / "images.u8").write_bytes(content)
    found = _open(tmp_path / "cache", paths)
    found.check(np.array([0, 1, 2, 4, 5]))
    with pytest.raises(Damaged, match=r"image 3 \(3\.png\) is damaged"):
        found.check(np.array([2, 3]))


def test_half_an_entry_is_never_seen(tmp_path: Path, paths: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str, **options: object) -> np.ndarray:
        if path.endswith("4.png"):
            raise KeyboardInterrupt
        return np.zeros((3, 4, 4), np.uint8)

    monkeypatch.setattr(pixels, "decode", fail)
    with pytest.raises(KeyboardInterrupt):
        _open(tmp_path / "cache", paths)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path, paths: tuple) -> None:
    left = tmp_path / "cache" / f".making-{cache.entry_name('content', SQUARE)}-1"
    left.mkdir(parents=True)
    (left / "images.u8").write_bytes(b"half")
    assert len(_reds(_open(tmp_path / "cache", paths))) == 6
    assert not left.exists()


_SLOW = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_cache
from scaling.data import pixels
real = pixels.decode
def slow(path, **options):
    with open({log!r}, "a") as log:
        log.write(path + "\\n")
    time.sleep(0.05)
    return real(path, **options)
pixels.decode = slow
print(test_cache._reds(test_cache._open(Path({folder!r}), {paths!r})))
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
    code = code.replace("0.05", "5").replace("pixels.decode = slow", "pixels.decode = slow; " + _MANY_HELPERS)
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
    assert _reds(_open(tmp_path / "cache", paths)) == [0, 10, 20, 30, 40, 50]


_MANY_HELPERS = "pixels._MANY, pixels._CHUNK, pixels.cores = 1, 3, lambda: 2"


def test_without_locks_both_make_it_and_one_is_kept(
    tmp_path: Path, paths: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    def no_locks(self: object, *args: object, **kwargs: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    place = _open(tmp_path / "cache", paths).place
    assert place is not None
    cache._make_entry(place, SQUARE, _loader(paths), keep=True)  # as a second process would, a moment later
    assert len(_reds(_open(tmp_path / "cache", paths))) == 6
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [place.name]


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
    assert len(_reds(_open(place, paths))) == 6
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    assert _open(place, paths).note is None  # what is there can be used
    assert len(once) == 6
    others = _files(tmp_path / "others", 3)
    found = open_decoded(place, "another", SQUARE, _loader(others), rows=3, paths=others, limit=10**9)
    assert found.images is not None
    assert found.note is not None
    assert "Read-only file system" in found.note
    assert "data.cache=DIR" in found.note


def test_a_full_disk_is_done_without_and_left_as_it_was(paths: tuple, mounted: Callable) -> None:
    place = mounted("size=64k")
    room = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    (place / "filler").write_bytes(bytes(room - 8192))
    large = Square(image_size=64, channels=3)
    found = open_decoded(place, "content", large, _loader(paths), rows=6, paths=paths, limit=10**9)
    assert found.images is not None
    assert found.images.shape == (6, 3, 64, 64)
    assert found.note is not None
    assert "No space left" in found.note
    assert not [path for path in place.iterdir() if path.is_dir()]


def _under_a_limit(folder: Path, paths: tuple[str, ...]) -> str | None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    large = Square(image_size=64, channels=3)
    return open_decoded(folder, "content", large, _loader(paths), rows=6, paths=paths, limit=10**9).note


def test_a_limit_on_file_sizes_is_like_a_full_disk(tmp_path: Path, paths: tuple) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        note = pool.submit(_under_a_limit, tmp_path / "cache", paths).result(60)
    assert note is not None
    assert "File too large" in note


def test_a_place_that_cannot_be_a_folder_is_done_without(tmp_path: Path, paths: tuple) -> None:
    (tmp_path / "file").write_text("")
    found = _open(tmp_path / "file" / "cache", paths)
    assert _reds(found) == [0, 10, 20, 30, 40, 50]
    assert found.note is not None
    assert _open(tmp_path / "file" / "cache", paths, in_memory=False).images is None


def test_sets_above_the_limit_stay_in_their_files(tmp_path: Path, paths: tuple, once: list[str]) -> None:
    Path(paths[1]).write_bytes(b"")
    for _ in range(2):
        found = _open(tmp_path / "cache", paths, limit=10)
        assert found.images is None
        assert found.unreadable == {1: "an empty file"}
    assert len(once) == 6
    assert _open(tmp_path / "cache", paths).images is not None  # with a higher limit they are kept
    assert _open(tmp_path / "cache", paths, limit=10).images is not None  # and used, since they are there


def test_many_files_are_decoded_side_by_side_to_the_same_pixels(
    tmp_path: Path, paths: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "_MANY", 1)
    monkeypatch.setattr(pixels, "_CHUNK", 2)
    monkeypatch.setattr(pixels, "cores", lambda: 2)
    Path(paths[3]).write_bytes(b"")
    found = _open(tmp_path / "cache", paths)
    assert _reds(found) == [0, 10, 20, 0, 40, 50]
    assert found.unreadable == {3: "an empty file"}
    found.check(np.arange(6))


def test_a_mapped_set_is_sent_to_another_process_by_name(tmp_path: Path, paths: tuple) -> None:
    import pickle

    found = _open(tmp_path / "cache", paths)
    sent = pickle.dumps(found)
    assert len(sent) < 3000
    assert _reds(pickle.loads(sent)) == _reds(found)


def test_an_entry_is_opened_without_looking_at_the_files(tmp_path: Path, paths: tuple) -> None:
    _open(tmp_path / "cache", paths)
    for path in paths:
        os.unlink(path)
    assert len(_reds(_open(tmp_path / "cache", paths))) == 6
