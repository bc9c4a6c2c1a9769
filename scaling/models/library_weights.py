"""Published weights by name, `timm:NAME` or `torchvision:NAME`: what a name means, whether it fits, and the weights."""

from __future__ import annotations

import difflib
from typing import Any

import torch
from torch import nn

from scaling.models.weights import State, WeightsError, fit_weights
from scaling.records.files import first_line


def _unknown(name: str, library: str, known: list[str]) -> WeightsError:
    nearest = difflib.get_close_matches(name.partition(":")[2], known, n=4, cutoff=0.4)
    hint = f"nearest: {', '.join(nearest)}" if nearest else f"there are {len(known)}, such as {', '.join(known[:3])}"
    return WeightsError(f"{name}: {library} has no weights of that name; {hint}")


def _timm(name: str, model: str) -> Any:
    try:
        import timm
    except ImportError as error:
        raise WeightsError(f"{name}: needs timm (pip install 'vit-scaling[timm]')") from error
    if not timm.models.is_model_pretrained(model):
        tags = timm.list_pretrained()
        raise _unknown(name, "timm", sorted({tag.partition(".")[0] for tag in tags}) + tags)
    return timm


def _torchvision(name: str, model: str) -> Any:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if model not in known:
        raise _unknown(name, "torchvision", known)
    return torchvision.models.get_model_weights(model).DEFAULT


def _skeleton(name: str) -> State:
    """Names and shapes of the weights, without their values and without a network.

    Raises:
        WeightsError: an unknown name.
    """
    library, _, model = name.partition(":")
    if library == "timm":
        timm = _timm(name, model)
        with torch.device("meta"):
            return dict(timm.create_model(model, pretrained=False).state_dict())
    if library == "torchvision":
        import torchvision

        weights = _torchvision(name, model)
        # Some ViTs were published at other sizes than 224, and only ViTs want to know.
        options = {"image_size": weights.meta["min_size"][0]} if model.startswith("vit_") else {}
        with torch.device("meta"):
            return dict(torchvision.models.get_model(model, weights=None, **options).state_dict())
    raise WeightsError(f"{name}: neither a file nor timm:NAME or torchvision:NAME")


def check_named_weights(name: str, model: nn.Module, *, mode: str) -> None:
    """Holds the shapes of published weights against a model, which may be on the meta device; nothing is downloaded.

    Raises:
        WeightsError: an unknown name (the nearest are listed), or weights of another shape (the keys are named).
    """
    try:
        fit_weights(model, _skeleton(name), mode=mode)
    except WeightsError as error:
        raise WeightsError(str(error) if name in str(error) else f"{name}: {error}") from error


def named_weights(name: str) -> State:
    """The weights of that name; downloaded unless they are in the library's cache.

    Raises:
        WeightsError: an unknown name, or no network.
    """
    library, _, model = name.partition(":")
    try:
        if library == "timm":
            return dict(_timm(name, model).create_model(model, pretrained=True).state_dict())
        if library == "torchvision":
            return dict(_torchvision(name, model).get_state_dict(progress=False, check_hash=True))
    except WeightsError:
        raise
    except Exception as error:  # each library has errors of its own for a missing network
        raise WeightsError(f"{name}: cannot be loaded ({first_line(error)[:160]})") from error
    raise WeightsError(f"{name}: neither a file nor timm:NAME or torchvision:NAME")
