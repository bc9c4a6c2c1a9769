"""The drawn data: a prefix never changes, classes are balanced, and the pixels are the same everywhere."""

import hashlib

import numpy as np
import pytest

from scaling.config.strokes_config import StrokesConfig
from scaling.data.sources.strokes import draw


def test_prefix_of_a_stream_does_not_change() -> None:
    long, labels = draw(StrokesConfig(), image_size=16, stream=2, count=1100)
    short, short_labels = draw(StrokesConfig(), image_size=16, stream=2, count=130)
    assert np.array_equal(long[:130], short)
    assert np.array_equal(labels[:130], short_labels)


def test_every_prefix_is_balanced_to_within_one() -> None:
    _, labels = draw(StrokesConfig(num_classes=7), image_size=8, stream=0, count=600)
    for count in (7, 10, 128, 599):
        sizes = np.bincount(labels[:count], minlength=7)
        assert sizes.max() - sizes.min() <= 1


def test_streams_and_seeds_differ() -> None:
    base = draw(StrokesConfig(), image_size=16, stream=0, count=20)[0]
    assert not np.array_equal(base, draw(StrokesConfig(), image_size=16, stream=1, count=20)[0])
    assert not np.array_equal(base, draw(StrokesConfig(seed=1), image_size=16, stream=0, count=20)[0])


def test_pixels_are_pinned() -> None:
    """A change of the pixels must raise strokes.STROKES_VERSION, or old records would pass for new ones."""
    images, _ = draw(StrokesConfig(noise=0.0), image_size=12, stream=3, count=40)
    coarse = np.round(images / 16).astype(np.uint8)  # platforms may round the last bit of a float differently
    assert hashlib.sha256(coarse.tobytes()).hexdigest()[:12] == "f0dc141903d8"


def test_ink_lies_on_the_stroke_and_nowhere_else() -> None:
    """Without noise the background is .1 grey and the ink .1 + .8 x contrast in [.5, 1]."""
    images, _ = draw(StrokesConfig(noise=0.0, scale=0.0), image_size=24, stream=0, count=50)
    assert images.min() == pytest.approx(0.1 * 255, abs=1)
    brightest = images.reshape(50, -1).max(1)
    assert brightest.min() >= 0.3 * 255
    assert brightest.max() <= 0.9 * 255 + 1
    assert 0.5 < (images < 0.15 * 255).mean() < 0.98


def test_other_pictures_of_the_same_classes() -> None:
    """Without noise, pose and jitter every picture of a class is its shape: the same for another seed."""
    still = {"noise": 0.0, "scale": 0.0, "rotation": 0.0, "shift": 0.0, "jitter": 0.0, "thinnest": 0.2, "thickest": 0.2}
    first, other = (
        draw(StrokesConfig(seed=s, shapes=7, **still), image_size=12, stream=0, count=10)[0] for s in (7, 8)
    )
    alone = draw(StrokesConfig(seed=7, **still), image_size=12, stream=0, count=10)[0]
    assert np.array_equal(first, alone)
    assert not np.array_equal(first, other)  # the contrast still differs
    assert np.array_equal(first > 25, other > 25)  # ink where there is ink
