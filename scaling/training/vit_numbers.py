"""What one ViT learned, as the numbers and arrays that `scaling.inspect` writes: over the test images of a cell."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from scaling.data.subsets.locality import locality_permutation
from scaling.models import inspection as learned
from scaling.models.inspection import Inspected, grid_places

if TYPE_CHECKING:
    from scaling.config import CellConfig
    from scaling.data.splits import Splits

EXAMPLES = 8  # images whose rollout is kept
_BATCH = 32


def _places(cell: CellConfig, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each token's patch and each of a patch's pixels comes from: (tokens, 2) and (patch_size**2,)."""
    data, patch = cell.data, cell.data.image_size // grid
    if data.locality == 1:
        return grid_places(grid), np.arange(patch**2)
    _, patches, within = locality_permutation(
        image_size=data.image_size, patch_size=patch, locality=data.locality, seed=data.permute_seed
    )
    return grid_places(grid)[patches], within


def vit_numbers(vit: Inspected, cell: CellConfig, splits: Splits, images: int) -> tuple[dict[str, Any], dict[str, Any]]:
    patch = vit.patch_size
    places, within = _places(cell, vit.grid)
    components, share = learned.principal_filters(vit.projection)
    filters = np.empty((len(components), components.shape[1] // patch**2, patch**2), dtype=np.float32)
    filters[:, :, within] = components.reshape(filters.shape)
    arrays: dict[str, Any] = {"filters": filters.reshape(*filters.shape[:2], patch, patch), "places": places}
    numbers: dict[str, Any] = {"filters_variance": share.tolist(), "positions": None}
    if vit.positions is not None:
        similarity = learned.cosine_similarity(vit.positions)
        score = learned.position_score(similarity, places)
        arrays["position_similarity"] = similarity.astype(np.float32)
        numbers["positions"] = score and dataclasses.asdict(score)

    shown, _ = next(splits.test.in_order(images))
    distances: list[np.ndarray] = []
    rollouts: list[np.ndarray] = []
    for start in range(0, len(shown), _BATCH):
        maps = learned.attention_maps(vit.model, splits.inputs(shown[start : start + _BATCH]))
        inner = maps[..., vit.prefix :, vit.prefix :]
        distances.append(learned.attention_distance(inner, places, patch_size=patch))  # (depth, batch, heads)
        for example in range(max(0, min(maps.shape[1], EXAMPLES - len(rollouts)))):
            flow = learned.rollout(maps[:, example])
            # Where the head does not read a class token, it reads the mean of the patches: so does the map.
            rollouts.append(flow[0, vit.prefix :] if vit.class_token else flow[vit.prefix :, vit.prefix :].mean(axis=0))
    distance = np.concatenate(distances, axis=1).mean(axis=1)  # (depth, heads)
    uniform = learned.attention_distance(np.ones((len(places),) * 2), places, patch_size=patch)
    numbers |= {
        "attention_distance": distance.tolist(),  # pixels, [layer][head]
        "attention_distance_uniform": float(uniform),  # of attention that does not care where
        "attention_images": len(shown),
        "rollout_of": "cls token" if vit.class_token else "mean of the patches",
    }
    arrays["attention_distance"] = distance
    arrays["rollout"] = np.array(rollouts, dtype=np.float32)  # (examples, tokens), by token
    arrays["examples"] = shown[:EXAMPLES].numpy()  # uint8 (examples, channels, size, size), unpermuted
    return numbers, arrays
