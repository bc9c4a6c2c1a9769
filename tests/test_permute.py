"""The locality knob: a permutation, nested, that a ViT of the same patch size cannot notice."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from scaling.data.subsets.locality import locality_permutation
from scaling.models.vit import ViT

IMAGE, PATCH = 12, 4


def _permutation(locality: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    return locality_permutation(image_size=IMAGE, patch_size=PATCH, locality=locality, seed=seed)


def test_locality_one_moves_nothing() -> None:
    assert np.array_equal(_permutation(1.0)[0], np.arange(IMAGE**2))


def test_locality_zero_moves_every_patch_and_position() -> None:
    pixels, patches, within = _permutation(0.0)
    assert sorted(pixels) == list(range(IMAGE**2))
    assert np.all(patches != np.arange(len(patches)))
    assert np.all(within != np.arange(len(within)))


@pytest.mark.parametrize("locality", [0.75, 0.5, 0.25])
def test_share_moved(locality: float) -> None:
    _, patches, within = _permutation(locality)
    assert np.sum(within != np.arange(16)) == round((1 - locality) * 16)
    assert np.sum(patches != np.arange(9)) == round((1 - locality) * 9)


def test_what_moved_at_a_higher_locality_has_moved_at_a_lower_one() -> None:
    moved = [
        set(np.flatnonzero(_permutation(locality)[2] != np.arange(16))) for locality in (0.9, 0.75, 0.5, 0.25, 0.0)
    ]
    for before, after in pairwise(moved):
        assert before <= after


def test_positions_move_alike_in_every_patch() -> None:
    """Pixel by pixel: where the output's patch t, position j came from, by the definition."""
    pixels, patches, within = _permutation(0.0, seed=4)
    flat = np.arange(IMAGE**2)[pixels].reshape(IMAGE, IMAGE)
    grid = IMAGE // PATCH
    for token in range(grid**2):
        for position in range(PATCH**2):
            row = token // grid * PATCH + position // PATCH
            column = token % grid * PATCH + position % PATCH
            source_row = patches[token] // grid * PATCH + within[position] // PATCH
            source_column = patches[token] % grid * PATCH + within[position] % PATCH
            assert flat[row, column] == source_row * IMAGE + source_column


@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("locality", [0.0, 0.5])
def test_a_vit_with_moved_weights_gives_the_same_logits(pool: str, locality: float) -> None:
    """The exact invariance: permuting the projection's inputs and the position embeddings undoes the permutation."""
    torch.manual_seed(0)
    size = dict(image_size=IMAGE, channels=3, num_classes=5, patch_size=PATCH, width=32, depth=2, heads=2, pool=pool)
    plain, moved = ViT(**size, pos_embed_std=0.5).eval(), ViT(**size).eval()
    torch.nn.init.normal_(plain.head.weight)
    moved.load_state_dict(plain.state_dict())
    pixels, patches, within = (torch.from_numpy(a) for a in _permutation(locality))
    with torch.no_grad():
        weight = plain.patch_embed.proj.weight.view(32, 3, PATCH**2)
        moved.patch_embed.proj.weight.copy_(weight[:, :, within].reshape(32, -1))
        first = 1 if pool == "cls" else 0
        moved.pos_embed[:, first:] = plain.pos_embed[:, first:][:, patches]
        images = torch.randn(4, 3, IMAGE, IMAGE)
        permuted = images.flatten(2)[:, :, pixels].view_as(images)
        assert not torch.allclose(plain(images), plain(permuted), atol=1e-3)
        assert torch.allclose(plain(images), moved(permuted), atol=1e-5)


def test_patch_must_divide_the_image() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        locality_permutation(image_size=10, patch_size=4, locality=0.0, seed=0)
