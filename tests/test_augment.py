"""Flip and crop: each output is a window of the padded image or of its mirror image."""

import torch
import torch.nn.functional as F

from scaling.data.augment import augment, flip_crop


def test_each_output_is_a_window_of_the_padded_image_or_its_mirror() -> None:
    images = torch.randint(0, 256, (24, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    out = flip_crop(images, torch.rand(3, 24, generator=torch.Generator().manual_seed(1)), padding=2)
    padded = F.pad(images.float(), (2, 2, 2, 2), mode="reflect").to(torch.uint8)
    kinds = set()
    for i in range(24):
        windows = {
            (top, left, flip): (window.flip(-1) if flip else window)
            for top in range(5)
            for left in range(5)
            for window in [padded[i, :, top : top + 8, left : left + 8]]
            for flip in (False, True)
        }
        found = [place for place, window in windows.items() if torch.equal(window, out[i])]
        assert found
        kinds.add(found[0])
    assert len(kinds) > 10
    assert {flip for *_, flip in kinds} == {False, True}


def test_none_changes_nothing() -> None:
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    assert augment(images, torch.rand(3, 2), name="none") is images
