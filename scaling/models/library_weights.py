"""Published weights by name: what a name means, whether it fits, what its inputs should be like, and the weights.

`timm:NAME`, `torchvision:NAME`, `hub:OWNER/NAME` (of the Hugging Face hub) or the address of a file.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn

from scaling.config.weights_config import RESIZES, StartFacts
from scaling.data.sources.published import reachable
from scaling.models.weights import State, WeightsError, fit_weights, read_weights
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


def _skeleton(name: str) -> State | None:
    """Names and shapes of the weights, without their values and without a network; None where only a download tells.

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
    if library not in ("hub", "https"):
        raise WeightsError(f"{name} is neither timm:NAME, torchvision:NAME, hub:OWNER/NAME nor an https:// address")
    return None


def check_named_weights(name: str, model: nn.Module, *, mode: str) -> None:
    """Holds the shapes of published weights against a model, which may be on the meta device; nothing is downloaded.

    Raises:
        WeightsError: an unknown name (the nearest are listed), or weights of another shape (the keys are named).
    """
    try:
        skeleton = _skeleton(name)
        if skeleton is not None:
            fit_weights(model, skeleton, mode=mode)
    except WeightsError as error:
        raise WeightsError(str(error) if name in str(error) else f"{name}: {error}") from error


def published_facts(name: str) -> StartFacts:
    """What a library says of the inputs of weights of its own.

    Raises:
        WeightsError: an unknown name.
    """
    library, _, model = name.partition(":")
    if library == "timm":
        about = _timm(name, model).get_pretrained_cfg(model)
        resize = about.interpolation if about.interpolation in RESIZES else None
        size, share = about.input_size[-1], about.crop_pct
        return StartFacts(mean=about.mean, std=about.std, image_size=size, resize=resize, crop_share=share)
    how = _torchvision(name, model).transforms()
    resize = how.interpolation.value if how.interpolation.value in RESIZES else None
    (size,), share = how.crop_size, how.crop_size[0] / how.resize_size[0]
    return StartFacts(mean=tuple(how.mean), std=tuple(how.std), image_size=size, resize=resize, crop_share=share)


def address_of(name: str) -> str:
    """Where a person with a network can get the file of published weights."""
    library, _, model = name.partition(":")
    if library == "timm":
        about = _timm(name, model).get_pretrained_cfg(model)
        if not about.hf_hub_id:
            return str(about.url)
        library, model = "hub", about.hf_hub_id
    if library == "hub":
        return f"https://huggingface.co/{model}/resolve/main/model.safetensors"
    return str(_torchvision(name, model).url) if library == "torchvision" else name


def _kept(name: str) -> str | None:
    """The file of published weights that its library keeps on this machine."""
    address = address_of(name)
    if not address.startswith("https://huggingface.co/"):
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(address).path).name
        return str(path) if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    repository = "/".join(urlsplit(address).path.split("/")[1:3])
    found = (try_to_load_from_cache(repository, file) for file in ("model.safetensors", "pytorch_model.bin"))
    return next((path for path in found if isinstance(path, str)), None)


def _state_of(name: str) -> State:
    library, _, model = name.partition(":")
    kept = _kept(name)
    if kept is None and not reachable(address_of(name)):
        raise WeightsError(f"{name}: not on this machine, and {urlsplit(address_of(name)).netloc} cannot be reached")
    if library == "timm":
        overlay = {"file": kept} if kept and kept.endswith((".safetensors", ".bin")) else None
        return dict(
            _timm(name, model).create_model(model, pretrained=True, pretrained_cfg_overlay=overlay).state_dict()
        )
    if library == "torchvision":
        return dict(_torchvision(name, model).get_state_dict(progress=False, check_hash=True, weights_only=True))
    if library == "hub":
        from timm.models import load_state_dict_from_hf

        return read_weights(Path(kept)) if kept else dict(load_state_dict_from_hf(model, weights_only=True))
    return dict(torch.hub.load_state_dict_from_url(name, map_location="cpu", progress=False, weights_only=True))


def named_weights(name: str) -> State:
    """The weights of that name; downloaded unless they are in the library's cache.

    Raises:
        WeightsError: an unknown name, or no network.
    """
    try:
        return _state_of(name)
    except WeightsError:
        raise
    except Exception as error:  # each library has errors of its own for a missing network
        raise WeightsError(f"{name}: cannot be loaded ({first_line(error)[:160]})") from error
