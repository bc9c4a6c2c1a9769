"""The locality knob: a fixed permutation of pixels that a ViT of the same patch size cannot notice and a CNN can.

At `locality` L the share 1 - L of the patches changes places, and so does the share 1 - L of the pixel positions
inside every patch alike. What has moved at .75 has moved at .5 too.
"""

from __future__ import annotations

import numpy as np


def _partial_permutation(count: int, locality: float, rng: np.random.Generator) -> np.ndarray:
    """`source[i]` is the place whose content moves to i. Every chosen place really moves: a cycle in random order."""
    order = rng.permutation(count)
    moved = round((1 - locality) * count)
    source = np.arange(count)
    if moved >= 2:  # a single place has nowhere to go
        source[order[:moved]] = np.roll(order[:moved], 1)
    return source


def locality_permutation(*, image_size: int, patch_size: int, locality: float, seed: int) -> tuple[np.ndarray, ...]:
    """The permutation of one image's pixels, with the two it is made of.

    Args:
        image_size: side of the square image in pixels; `patch_size` divides it.
        locality: 1 leaves the image as it is, 0 moves every patch and every pixel inside the patches.

    Returns:
        pixels: (image_size**2,) index such that `flat[..., pixels]` is the permuted image, row by row.
        patches: (tokens,) the source patch of each patch.
        within: (patch_size**2,) the source position of each position inside a patch.
    """
    if image_size % patch_size:
        raise ValueError(f"permute_patch={patch_size} does not divide image_size={image_size}")
    grid = image_size // patch_size
    patches = _partial_permutation(grid**2, locality, np.random.Generator(np.random.PCG64([seed, 1])))
    within = _partial_permutation(patch_size**2, locality, np.random.Generator(np.random.PCG64([seed, 2])))
    index = np.arange(image_size**2).reshape(grid, patch_size, grid, patch_size).transpose(0, 2, 1, 3)
    tokens = index.reshape(grid**2, patch_size**2)[patches][:, within]  # (tokens, pixels of a patch)
    pixels = tokens.reshape(grid, grid, patch_size, patch_size).transpose(0, 2, 1, 3).reshape(-1)
    return pixels, patches, within
