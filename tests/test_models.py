"""Models, held to torch's own operations, to timm and to published parameter counts."""

import pytest
import timm
import torch
import torch.nn.functional as F

from scaling.models import num_params, train_flops_per_example
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


@pytest.mark.parametrize(("depth", "published"), [(20, 0.27e6), (32, 0.46e6), (56, 0.85e6), (110, 1.7e6)])
def test_resnet_has_the_published_number_of_parameters(depth: int, published: float) -> None:
    """He et al. 2016, table 6."""
    with torch.device("meta"):
        model = ResNet(channels=3, num_classes=10, depth=depth)
    assert num_params(model) == pytest.approx(published, rel=0.02)


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
