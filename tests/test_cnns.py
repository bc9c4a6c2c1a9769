"""CNN baselines and models by name, held to timm, to torchvision and to the numbers that torchvision publishes."""

from collections.abc import Callable

import pytest
import timm
import torch
import torchvision

from scaling.config.model_config import ModelError
from scaling.models.bit import BiT
from scaling.models.build import build_model, multiply_adds, num_params, train_flops_per_example
from scaling.models.libraries import check_named, named_model


def _meta(make_cell: Callable, *words: str, image_size: int = 224, channels: int = 3) -> torch.nn.Module:
    model = make_cell(*words, "data.image_size=66", "data.permute_patch=6").model
    with torch.device("meta"):
        return build_model(model, image_size=image_size, channels=channels, num_classes=1000)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032),
        ("resnet101", 44_549_160), ("resnet152", 60_192_808),
    ],
)  # fmt: skip
def test_torchvisions_resnets_have_the_published_sizes(make_cell: Callable, name: str, published: int) -> None:
    model = _meta(make_cell, f"model={name}")
    assert num_params(model) == published
    meta = torchvision.models.get_model_weights(name).IMAGENET1K_V1.meta  # type: ignore[attr-defined]
    assert multiply_adds(model, image_size=224, channels=3) == pytest.approx(1e9 * meta["_ops"], rel=0.005)


@pytest.mark.parametrize(("depth", "factor"), [(50, 1), (50, 3), (101, 1), (152, 2)])
def test_bit_has_timms_number_of_parameters(make_cell: Callable, depth: int, factor: int) -> None:
    with torch.device("meta"):
        theirs = timm.create_model(f"resnetv2_{depth}x{factor}_bit", num_classes=1000)
    assert num_params(_meta(make_cell, f"model=bit_r{depth}x{factor}")) == num_params(theirs)


def test_bit_computes_what_timm_computes() -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("resnetv2_50x1_bit", num_classes=6).eval()
    for name, parameter in theirs.named_parameters():
        if "norm" in name or "head" in name:  # those that start at 0 or 1
            torch.nn.init.normal_(parameter, mean=0.5, std=0.2)
    state = {key.replace("head.fc", "head"): value for key, value in theirs.state_dict().items()}
    ours = BiT(channels=3, num_classes=6, depth=50, width=64).eval()
    ours.load_state_dict(state | {"head.weight": state["head.weight"].flatten(1)})
    images = torch.randn(2, 3, 65, 65)
    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), atol=1e-4)


def test_small_stems_keep_the_image_and_are_other_models(make_cell: Callable) -> None:
    standard, small = _meta(make_cell, "model=resnet18"), _meta(make_cell, "model=resnet18_small")
    assert num_params(standard) - num_params(small) == (7 * 7 - 3 * 3) * 3 * 64
    model = named_model("torchvision", "resnet18_small", image_size=32, channels=1, num_classes=4).eval()
    assert model.conv1.weight.shape == (64, 1, 3, 3)
    x = torch.zeros(1, 1, 32, 32)
    assert model.maxpool(model.relu(model.bn1(model.conv1(x)))).shape == (1, 64, 32, 32)
    bit = BiT(channels=1, num_classes=4, depth=50, width=32, small_stem=True)
    assert bit.stem(x).shape == (1, 32, 32, 32)
    standard, small = _meta(make_cell, "model=bit_r50x1"), _meta(make_cell, "model=bit_r50x1_small")
    assert num_params(standard) - num_params(small) == (7 * 7 - 3 * 3) * 3 * 64


@pytest.mark.parametrize(
    ("name", "image_size", "published"), [("convnext_tiny", 32, 28_589_128), ("vit_tiny_patch16_224", 224, 5_717_416)]
)
def test_timms_models_by_name(name: str, image_size: int, published: int) -> None:
    with torch.device("meta"):
        model = named_model("timm", name, image_size=image_size, channels=3, num_classes=1000)
    assert num_params(model) == published


def test_models_by_name_are_built_for_the_image_size_channels_and_classes() -> None:
    torch.manual_seed(0)
    for source, name in (
        ("timm", "vit_tiny_patch16_224"),
        ("torchvision", "vit_b_32"),
        ("torchvision", "mobilenet_v2"),
    ):
        check_named(source, name, image_size=64, channels=1, num_classes=3)
    model = named_model("timm", "resnet10t", image_size=24, channels=1, num_classes=3)
    assert model(torch.zeros(2, 1, 24, 24)).shape == (2, 3)
    macs = multiply_adds(model, image_size=24, channels=1)
    assert 2 * 2 * macs < train_flops_per_example(model, image_size=24, channels=1) < 2 * 3 * macs


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("timm", "convnxt_tiny", "no model of timm; nearest: convnext_tiny"),
        ("torchvision", "resnet19_small", "resnet18_small"),
        ("torchvision", "mobilenet_v2_small", "no model of torchvision"),
        ("torchvision", "inception_v3", r"inception_v3 (does not take|gives|cannot)"),
        ("torchvision", "vit_b_16", "cannot be built for 3x40x40"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_nearest(source: str, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_named(source, name, image_size=40, channels=3, num_classes=10)
