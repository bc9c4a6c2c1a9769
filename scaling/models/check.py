"""Refuses a model that cannot be built, before anything is loaded: free of torch but for models brought by name."""

from __future__ import annotations

from scaling.config.model_config import ModelConfig, ModelError
from scaling.config.setting import limit_problem


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ModelError(message)


def _check_permutation(patch: int | None, permute_patch: int | None) -> None:
    if permute_patch is not None and patch != permute_patch:
        raise ModelError(
            f"model.patch_size={patch} is not data.permute_patch={permute_patch}: below locality 1 the ViT would "
            "not meet the same distribution"
        )


def _check_vit(model: ModelConfig, image_size: int, permute_patch: int | None) -> None:
    patch = model.patch_size
    _require(patch is not None and patch > 0, f"model.patch_size={patch} is not a size")
    assert patch is not None
    below, above = image_size // patch * patch, -(-image_size // patch) * patch
    nearest = " or ".join(str(size) for size in (below, above) if size > 0)
    divides = f"model.patch_size={patch} does not divide data.image_size={image_size}; {nearest} would do"
    _require(image_size % patch == 0, divides)
    width = model.width
    assert width is not None
    _require(width % model.heads == 0, f"model.heads={model.heads} does not divide model.width={model.width}")
    sines = model.pos_embed != "sincos" or width % 4 == 0
    _require(sines, f"model.pos_embed=sincos needs a model.width that 4 divides, not {model.width}")
    _check_permutation(patch, permute_patch)


def check_model(
    model: ModelConfig, *, image_size: int, channels: int, num_classes: int, permute_patch: int | None
) -> None:
    """Refuses a model that cannot be built for such images; `permute_patch` is None where nothing is permuted.

    Raises:
        ModelError: with what would do.
    """
    problem = limit_problem(model, "model.")
    _require(problem is None, str(problem))
    if model.source in ("torchvision", "timm"):
        from scaling.models.libraries import check_named  # torch, and theirs: loaded only when asked for

        check_named(model.source, model.name, image_size=image_size, channels=channels, num_classes=num_classes)
        if model.family == "vit":
            _check_permutation(model.patch_size, permute_patch)
        return
    width, depth = model.width, model.depth
    sizes = width is not None and depth is not None and width > 0 and depth > 0
    _require(sizes, f"model.width={width} model.depth={depth}: not sizes")
    assert width is not None
    assert depth is not None
    if model.source == "bit":
        _require(model.family == "cnn", "model.source=bit are ResNets: model.family=cnn")
        _require(depth in (50, 101, 152), f"model.depth={depth} is not one of 50, 101, 152 (BiT)")
        _require(width % 32 == 0, f"model.width={width} is not a multiple of 32 (64 times the factor of BiT)")
    elif model.family == "vit":
        _check_vit(model, image_size, permute_patch)
    else:
        fits = depth >= 8 and (depth - 2) % 6 == 0
        _require(fits, f"model.depth={depth} is not 6n+2 (8, 14, 20, 32, 56, 110, ...)")
