"""Models of torchvision and timm by name, built for the data's image size, channels and classes, without weights."""

from __future__ import annotations

import difflib
from typing import Any

import torch
from torch import nn

from scaling.config.model_config import ModelError
from scaling.records.files import one_line

SMALL = "_small"  # after a torchvision ResNet's name: a 3x3 stem without pooling, which is another model


def _unknown(name: str, source: str, known: list[str]) -> ModelError:
    nearest = difflib.get_close_matches(name, known, n=4, cutoff=0.4)
    hint = f"nearest: {', '.join(nearest)}" if nearest else f"it has {len(known)}, such as {', '.join(known[:3])}"
    return ModelError(f"model.name={name} is no model of {source}; {hint}")


def _fit_channels(model: nn.Module, channels: int) -> None:
    """Puts a convolution for other than three channels in place of the first one."""
    if channels == 3:
        return
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            options: dict[str, Any] = {key: getattr(module, key) for key in ("stride", "padding", "dilation")}
            has_bias = module.bias is not None
            first = nn.Conv2d(channels, module.out_channels, module.kernel_size, bias=has_bias, **options)  # type: ignore[arg-type]
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, first)
            return


def _torchvision(name: str, *, image_size: int, channels: int, num_classes: int) -> nn.Module:
    import torchvision

    known: list[str] = torchvision.models.list_models(module=torchvision.models)
    resnets = [model for model in known if model.startswith(("resnet", "resnext", "wide_resnet"))]
    base = name.removesuffix(SMALL)
    if base not in known or (base != name and base not in resnets):
        raise _unknown(name, "torchvision", known + [model + SMALL for model in resnets])
    # Only its ViTs want to know the image size.
    options: dict[str, Any] = {"image_size": image_size} if base.startswith("vit_") else {}
    model = torchvision.models.get_model(base, weights=None, num_classes=num_classes, **options)
    if base != name:  # as for CIFAR: He et al.'s first layer, so that 32 pixels are not 8 before the first block
        model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        model.maxpool = nn.Identity()
    _fit_channels(model, channels)
    return model


def _timm(name: str, *, image_size: int, channels: int, num_classes: int) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ModelError("model=timm needs timm (pip install 'vit-scaling[timm]')") from error
    known = timm.list_models()
    if name not in known:
        raise _unknown(name, "timm", known)
    config = timm.models.get_pretrained_cfg(name)
    # Models of one size only (such as ViTs) have to be told; the others take any and do not know the argument.
    options: dict[str, Any] = {"img_size": image_size} if config is not None and config.fixed_input_size else {}
    return timm.create_model(name, pretrained=False, in_chans=channels, num_classes=num_classes, **options)


_SOURCES = {"torchvision": _torchvision, "timm": _timm}


def named_model(source: str, name: str, *, image_size: int, channels: int, num_classes: int) -> nn.Module:
    """The model `name` of "torchvision" or "timm"; `resnet18_small` and its like are torchvision's with a 3x3 stem.

    Raises:
        ModelError: an unknown name (the nearest are listed), or a model that cannot be built for such images.
    """
    try:
        return _SOURCES[source](name, image_size=image_size, channels=channels, num_classes=num_classes)
    except ModelError:
        raise
    except Exception as error:  # the libraries raise assertions, ValueErrors and RuntimeErrors of their own
        reason = one_line(error)
        text = f"{source}'s {name} cannot be built for {channels}x{image_size}x{image_size} images"
        raise ModelError(f"{text} ({reason[:160]})") from error


def check_named(source: str, name: str, *, image_size: int, channels: int, num_classes: int) -> None:
    """Builds the model without memory and passes two images through, so that what cannot work is refused early.

    Raises:
        ModelError: see `named_model`.
    """
    with torch.device("meta"):
        model = named_model(source, name, image_size=image_size, channels=channels, num_classes=num_classes)
        try:
            logits = model(torch.zeros(2, channels, image_size, image_size))
        except Exception as error:  # a map that shrinks to nothing, a size that is not taken: each raises its own
            reason = one_line(error)
            raise ModelError(
                f"{source}'s {name} does not take {image_size}x{image_size} images ({reason[:160]})"
            ) from error
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if shape != (2, num_classes):
        raise ModelError(f"{source}'s {name} gives {shape}, not one logit a class")
