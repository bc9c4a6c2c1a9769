"""What is known of weights that runs start from: the settings under `weights`, and the facts of any start."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.config.setting import declare

RESIZES = ("bilinear", "bicubic")


@dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """A checkpoint of conf/weights/. What of it affects a result is in the start's fingerprint and in `data`."""

    name: str = declare("none", result=False)
    source: str | None = declare(None, result=False)  # timm:NAME, torchvision:NAME, hub:OWNER/NAME or a URL
    file: str | None = declare(None, result=False)  # the same weights in a file of the user's
    model: str | None = declare(None, result=False)  # the one that they are of, in its library
    library: str | None = declare(None, result=False)  # timm or torchvision
    data: str | None = declare(None, result=False)  # what they were trained on
    size: int | None = declare(None, at_least=0, result=False)  # unique images of it
    image_size: int | None = declare(None, above=0, result=False)
    mean: tuple[float, ...] | None = declare(None, result=False)  # what their inputs, in [0, 1], were normalised by
    std: tuple[float, ...] | None = declare(None, result=False)
    resize: str | None = declare(None, choices=RESIZES, result=False)
    crop_share: float | None = declare(None, above=0, at_most=1, result=False)  # of the short side
    params: int | None = declare(None, above=0, result=False)  # with the head that they come with
    flops: float | None = declare(None, above=0, result=False)  # of one image's forward pass at `image_size`


@dataclass(frozen=True, kw_only=True)
class StartFacts:
    """What is known of the weights that a run starts from, wherever they come from; None: unknown."""

    data: str | None = None
    size: int | None = None
    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: str | None = None
    crop_share: float | None = None
