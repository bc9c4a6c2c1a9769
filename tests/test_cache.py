"""The cache of decoded images: made once, whole or not at all, again when damaged, done without where impossible."""

import os
from pathlib import Path

import numpy as np
import pytest
from small_cache import SQUARE, loader_of, open_small, reds, write_files

from scaling.data.pixels import cache
from scaling.data.pixels import decode_all as pixels
from scaling.data.pixels.cache import Damaged
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


def test_images_are_decoded_once_and_mapped_after_that(tmp_path: Path, paths: tuple, once: list[str]) -> None:
    first, second = (open_small(tmp_path / "cache", paths) for _ in range(2))
    assert reds(first) == reds(second) == [0, 10, 20, 30, 40, 50]
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
        found = open_small(tmp_path / "cache", paths)
        assert found.unreadable == {2: "not an image"}
        assert reds(found)[2] == 0


@pytest.mark.parametrize("damage", ["a byte", "cut off", "gone", "catalogue", "rows", "empty folder"])
def test_a_damaged_entry_is_made_again(
    tmp_path: Path, paths: tuple, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = open_small(tmp_path / "cache", paths)
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
    assert reds(open_small(tmp_path / "cache", paths)) == [0, 10, 20, 30, 40, 50]
    assert "made again" in capsys.readouterr().err
    assert reds(open_small(tmp_path / "cache", paths)) == [0, 10, 20, 30, 40, 50]
    assert capsys.readouterr().err == ""


def test_large_entries_are_checked_where_they_are_read(
    tmp_path: Path, paths: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_CHECK_ALL", 0)
    place = open_small(tmp_path / "cache", paths).place
    assert place is not None
    content = bytearray((place / "images.u8").read_bytes())
    content[3 * 48] ^= 1
    (place / "images.u8").write_bytes(content)
    found = open_small(tmp_path / "cache", paths)
    found.check(np.array([0, 1, 2, 4, 5]))
    with pytest.raises(Damaged, match=r"image 3 \(3\.png\) is damaged"):
        found.check(np.array([2, 3]))


def test_half_an_entry_is_never_seen(tmp_path: Path, paths: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pixels.see

    def fail(path: str, *options: object) -> object:
        if path.endswith("4.png"):
            raise KeyboardInterrupt
        return real(path, *options)

    monkeypatch.setattr(pixels, "see", fail)
    with pytest.raises(KeyboardInterrupt):
        open_small(tmp_path / "cache", paths)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path, paths: tuple) -> None:
    left = tmp_path / "cache" / f".making-{cache.entry_name('content', SQUARE)}-1"
    left.mkdir(parents=True)
    (left / "images.u8").write_bytes(b"half")
    assert len(reds(open_small(tmp_path / "cache", paths))) == 6
    assert not left.exists()


def test_without_locks_both_make_it_and_one_is_kept(
    tmp_path: Path, paths: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    def no_locks(self: object, *args: object, **kwargs: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    place = open_small(tmp_path / "cache", paths).place
    assert place is not None
    cache._make_entry(place, SQUARE, loader_of(paths), keep=True)  # as a second process would, a moment later
    assert len(reds(open_small(tmp_path / "cache", paths))) == 6
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [place.name]


def test_a_place_that_cannot_be_a_folder_is_done_without(tmp_path: Path, paths: tuple) -> None:
    (tmp_path / "file").write_text("")
    found = open_small(tmp_path / "file" / "cache", paths)
    assert reds(found) == [0, 10, 20, 30, 40, 50]
    assert found.note is not None
    assert open_small(tmp_path / "file" / "cache", paths, in_memory=False).images is None


def test_sets_above_the_limit_stay_in_their_files(tmp_path: Path, paths: tuple, once: list[str]) -> None:
    Path(paths[1]).write_bytes(b"")
    for _ in range(2):
        found = open_small(tmp_path / "cache", paths, limit=10)
        assert found.images is None
        assert found.unreadable == {1: "an empty file"}
    assert len(once) == 6
    assert open_small(tmp_path / "cache", paths).images is not None  # with a higher limit they are kept
    assert open_small(tmp_path / "cache", paths, limit=10).images is not None  # and used, since they are there


def test_many_files_are_decoded_side_by_side_to_the_same_pixels(
    tmp_path: Path, paths: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "_MANY", 1)
    monkeypatch.setattr(pixels, "_CHUNK", 2)
    monkeypatch.setattr(pixels, "cores", lambda: 2)
    Path(paths[3]).write_bytes(b"")
    found = open_small(tmp_path / "cache", paths)
    assert reds(found) == [0, 10, 20, 0, 40, 50]
    assert found.unreadable == {3: "an empty file"}
    found.check(np.arange(6))


def test_a_mapped_set_is_sent_to_another_process_by_name(tmp_path: Path, paths: tuple) -> None:
    import pickle

    found = open_small(tmp_path / "cache", paths)
    sent = pickle.dumps(found)
    assert len(sent) < 3000
    assert reds(pickle.loads(sent)) == reds(found)


def test_an_entry_is_opened_without_looking_at_the_files(tmp_path: Path, paths: tuple) -> None:
    open_small(tmp_path / "cache", paths)
    for path in paths:
        os.unlink(path)
    assert len(reds(open_small(tmp_path / "cache", paths))) == 6
