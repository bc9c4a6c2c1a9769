"""Images that look alike on both sides of a split are counted and told, by pilot and trainer; none is dropped."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from analysis.pilot.folder import look
from scaling.config import CellConfig
from scaling.config.data_words import data_config
from scaling.data.identity import data_fields
from scaling.data.pixels.looks import BITS, look_hashes, thumbnail
from scaling.data.pixels.open_images import forget, open_images
from scaling.data.prepare import prepare
from scaling.data.subsets.chosen import chosen
from scaling.data.subsets.near import DISTANCE, near_leaks
from scaling.data.subsets.parts import Chosen

Make = Callable[..., CellConfig]


def scene(seed: int, size: int = 32) -> Image.Image:
    """A picture with large shapes and some grain, as photographs have them."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((size, size), Image.BICUBIC)
    grain = rng.normal(0, 6, (size, size, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


def _folder(root: Path, train: int, test: int, again: Callable[[Image.Image, Path], None] | None) -> Path:
    """`train` scenes of their own in each of two classes and `test` others, which `again` saves into train/, too."""
    for label, name in enumerate("ab"):
        for split in ("train", "test"):
            (root / split / name).mkdir(parents=True)
        for i in range(train):
            scene(10_000 * label + i).save(root / "train" / name / f"{i}.png")
        for i in range(test):
            picture = scene(10_000 * label + 5_000 + i)
            picture.save(root / "test" / name / f"{i}.png")
            if again is not None:
                again(picture, root / "train" / name / f"again{i}")
    return root


def _as_jpeg(picture: Image.Image, path: Path) -> None:
    picture.save(path.with_suffix(".jpg"), quality=75)


def test_every_test_image_that_was_saved_again_is_counted_by_both_roads(make_cell: Make, tmp_path: Path) -> None:
    root = _folder(tmp_path / "own", train=20, test=120, again=_as_jpeg)
    forget()
    data = make_cell("data=folder", f"data.root={root}", "data.image_size=16", "data.train_size=4").data
    fields = data_fields(data, tmp_path)
    assert (fields["near_leaks"], fields["leaks"]) == (240, 0)
    (told,) = [note for note in prepare([data]) if "look like a training image" in note]
    assert f"{root}: 240 test images look like a training image; left as they are" in told
    assert "6 of 63 bits" in told
    assert len(chosen(data, open_images(data)).train) == 224  # a fifth of 280 validates, and none was dropped
    found = look(data_config({"data.root": str(root)}), seconds=0)
    assert "240 test images look like a training image" in "\n".join(found.found.notes)


def test_exact_copies_and_plain_pictures_are_no_near_duplicates(make_cell: Make, tmp_path: Path) -> None:
    root = _folder(tmp_path / "own", 20, 6, lambda picture, path: picture.save(path.with_suffix(".bmp")))
    for split in ("train", "test"):
        for grey in range(5):
            Image.new("L", (32, 32), 40 * grey + (split == "test")).save(root / split / "a" / f"plain{grey}.png")
    for leaks in ("drop", "keep"):
        forget()
        words = ("data=folder", f"data.root={root}", "data.image_size=16", "data.train_size=4", f"data.leaks={leaks}")
        fields = data_fields(make_cell(*words).data, tmp_path)
        assert (fields["near_leaks"], fields["leaks"]) == (0, 12)


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.resize((24, 24), Image.BILINEAR),
        lambda picture: picture.resize((96, 96), Image.BICUBIC),
        lambda picture: picture.point(lambda value: int(value * 0.8)),
        lambda picture: picture.convert("L"),
        lambda picture: Image.open(_saved(picture, "WEBP")),
    ],
)
def test_a_changed_picture_keeps_its_look(change: Callable[[Image.Image], Image.Image]) -> None:
    pictures = [scene(seed) for seed in range(100)]
    before = look_hashes([thumbnail(picture) for picture in pictures])
    after = look_hashes([thumbnail(change(picture).convert("RGB")) for picture in pictures])
    assert (np.bitwise_count(before ^ after) <= DISTANCE).sum() >= 95
    apart = np.bitwise_count(before[:, None] ^ after) > DISTANCE
    assert apart[~np.eye(100, dtype=bool)].all()


def _saved(picture: Image.Image, kind: str) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, kind, quality=90)
    return file


def test_the_hash_is_of_the_lowest_cosines() -> None:
    greys = np.stack([thumbnail(scene(seed)) for seed in range(50)])
    waves = dctn(greys.astype(float), axes=(1, 2))[:, :8, :8].reshape(50, -1)[:, 1:]
    above = waves > np.median(waves, axis=1, keepdims=True)
    assert [int("".join("01"[int(bit)] for bit in row[::-1]), 2) for row in above] == look_hashes(greys).tolist()


def test_bands_find_what_comparing_all_pairs_finds() -> None:
    rng = np.random.default_rng(3)
    looks = rng.integers(1, 1 << BITS, 600, dtype=np.uint64)
    for row in range(400, 600):  # near or just too far from one before
        flips = rng.choice(BITS, rng.integers(0, 2 * DISTANCE), replace=False)
        looks[row] = looks[row - 400] ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64), initial=0)
    rows, labels = rng.permutation(600), rng.integers(0, 3, 600)
    digests = np.stack([np.arange(600), np.arange(600)], axis=1).astype(np.uint64)
    train, val, test = rows[:350], rows[350:450], rows[450:]
    facts = dict(looks=looks, digests=digests, labels=labels)
    found = near_leaks(Chosen(train, val, test), **facts, own_val=True)
    close = np.array([[(int(a) ^ int(b)).bit_count() <= DISTANCE for b in looks] for a in looks])
    other = close & (labels[:, None] != labels)
    assert found.test == close[np.ix_(train, test)].any(0).sum() > 20
    assert found.val == close[np.ix_(train, val)].any(0).sum() > 10
    assert found.val_test == close[np.ix_(test, val)].any(0).sum() > 0
    assert found.other_label == other[np.ix_(train, test)].any(0).sum() + other[np.ix_(train, val)].any(0).sum()
    assert found.held_out == found.test + found.val
    drawn = near_leaks(Chosen(train, val, test), **facts, own_val=False)
    assert drawn.test == close[np.ix_(np.concatenate([train, val]), test)].any(0).sum() > found.test
    assert (drawn.val, drawn.val_test) == (found.val, 0)
