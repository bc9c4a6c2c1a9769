"""Models, held to torch's own operations, to timm and to published parameter counts."""

from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F

from scaling.compose.paths import CONF
from scaling.models.build import build_model, multiply_adds, num_params, train_flops_per_example
from scaling.models.resnet import ResNet
from scaling.models.vit import PatchEmbed, ViT, attend


def test_patch_embedding_is_the_strided_convolution() -> None:
    torch.manual_seed(0)
    embed = PatchEmbed(patch_size=4, channels=3, width=24)
    images = torch.randn(2, 3, 16, 12)
    kernel = embed.proj.weight.view(24, 3, 4, 4)
    expected = F.conv2d(images, kernel, embed.proj.bias, stride=4).flatten(2).transpose(1, 2)
    assert torch.allclose(embed(images), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "width", "depth", "heads"), [("vit_tiny_patch16_224", 192, 12, 3), ("vit_small_patch16_224", 384, 12, 6)]
)
def test_vit_has_the_published_number_of_parameters(name: str, width: int, depth: int, heads: int) -> None:
    with torch.device("meta"):
        ours = ViT(
            image_size=224,
            channels=3,
            num_classes=1000,
            patch_size=16,
            width=width,
            depth=depth,
            heads=heads,
            pool="cls",
        )
        theirs = timm.create_model(name)
    published = {"vit_tiny_patch16_224": 5_717_416, "vit_small_patch16_224": 22_050_664}[name]
    assert num_params(ours) == num_params(theirs) == published


def test_attention_in_bf16_is_attention() -> None:
    q, k, v = torch.randn(3, 2, 4, 9, 16, generator=torch.Generator().manual_seed(0))
    low = attend(q.bfloat16(), k.bfloat16(), v.bfloat16()).float()
    assert torch.allclose(low, F.scaled_dot_product_attention(q, k, v), atol=0.03)


def test_vit_computes_what_timm_computes() -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=7).eval()
    ours = ViT(image_size=64, channels=3, num_classes=7, patch_size=16, width=192, depth=12, heads=3, pool="cls").eval()
    state = theirs.state_dict()
    ours.load_state_dict(state | {"patch_embed.proj.weight": state["patch_embed.proj.weight"].flatten(1)})
    torch.nn.init.normal_(theirs.head.weight, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours.head.weight.copy_(theirs.head.weight)
        images = torch.randn(3, 3, 64, 64)
        assert torch.allclose(ours(images), theirs(images), atol=1e-4)


@pytest.mark.parametrize(
    ("depth", "paper", "exact"),
    [(20, 0.27e6, 269_722), (32, 0.46e6, 464_154), (56, 0.85e6, 853_018), (110, 1.7e6, 1_727_962)],
)
def test_resnet_has_the_published_number_of_parameters(depth: int, paper: float, exact: int) -> None:
    """He et al. 2016, table 6, and as usually implemented with option A. Had the two shortcuts that change the shape
    been 1x1 convolutions with batch norm (option B), ResNet-20 would have 2,752 more."""
    with torch.device("meta"):
        model = ResNet(channels=3, num_classes=10, depth=depth)
    assert num_params(model) == exact == pytest.approx(paper, rel=0.02)
    assert not any(module.kernel_size == (1, 1) for module in model.modules() if isinstance(module, torch.nn.Conv2d))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_the_width_factor_multiplies_every_width(make_cell: Callable, factor: int) -> None:
    """By hand: the stem, then two 3x3 kernels a block and n blocks a stage; batch norms hold two numbers a channel."""
    width, n = 16 * factor, 3
    model = make_cell("model=resnet20", f"model.width={width}", "data.image_size=18").model
    with torch.device("meta"):
        built = build_model(model, image_size=32, channels=3, num_classes=10)
    kernels = 27 * width + 9 * width**2 * (2 * n + (2 + 4 * (2 * n - 1)) + (8 + 16 * (2 * n - 1)))
    norms = 2 * width * (1 + 2 * n * (1 + 2 + 4))
    assert num_params(built) == kernels + norms + (4 * width + 1) * 10


MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_answers_its_parameters_and_multiply_adds(make_cell: Callable, name: str) -> None:
    by_name = {"timm": "resnet10t", "torchvision": "mobilenet_v2"}
    words = [f"model.name={by_name[name]}", "model.family=cnn"] if name in by_name else []
    model = make_cell(f"model={name}", *words, "data.image_size=36").model
    with torch.device("meta"):
        built = build_model(model, image_size=36, channels=3, num_classes=10)
    weights = [m.weight.numel() for m in built.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert num_params(built) >= sum(weights) > 0
    assert multiply_adds(built, image_size=36, channels=3) >= sum(weights)  # each is used once an image, at least


def test_resnet_stages_halve_the_map_and_double_the_width() -> None:
    model = ResNet(channels=1, num_classes=10, depth=8, width=4).eval()
    assert model.layers(torch.zeros(1, 4, 20, 20)).shape == (1, 16, 5, 5)


def test_flops_of_a_training_step_by_hand() -> None:
    """One linear patch embedding and head: forward and weight gradient for both, input gradient for the head alone."""
    model = ViT(image_size=8, channels=1, num_classes=10, patch_size=4, width=8, depth=0, heads=1, pool="mean")
    embed, head = 4 * 16 * 8, 8 * 10  # multiply-adds: 4 tokens of 16 inputs, one vector of 8
    assert train_flops_per_example(model, image_size=8, channels=1) == 2 * (2 * embed + 3 * head)


def test_flops_of_the_forward_pass_match_the_published_multiply_adds() -> None:
    """ViT-Ti/16 at 224: 1.254 G multiply-adds forward; a step is three times that, less the input gradient of the
    first layer (the patch embedding needs none)."""
    model = ViT(image_size=224, channels=3, num_classes=1000, patch_size=16, width=192, depth=12, heads=3, pool="cls")
    embed = 196 * 768 * 192
    step = train_flops_per_example(model, image_size=224, channels=3)
    assert step == pytest.approx(2 * (3 * 1.254e9 - embed), rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": 5}, "does not divide"),
        ({"heads": 5}, "does not divide"),
        ({"pool": "max"}, "not one of cls"),
    ],
)
def test_vit_refuses_what_cannot_be(change: dict[str, object], message: str) -> None:
    size: dict[str, object] = dict(image_size=16, channels=1, num_classes=2, patch_size=4, width=32, depth=1, heads=2)
    with pytest.raises(ValueError, match=message):
        ViT(**size | change)  # type: ignore[arg-type]


def test_resnet_refuses_a_depth_that_is_not_6n_plus_2() -> None:
    with pytest.raises(ValueError, match="6n"):
        ResNet(channels=3, num_classes=10, depth=18)
