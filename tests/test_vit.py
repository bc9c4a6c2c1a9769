"""The ViT, held to the papers' sizes and counts, to timm's layers and to what position embeddings promise."""

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import build_sincos2d_pos_embed, resample_abs_pos_embed
from timm.layers.attention_pool import AttentionPoolLatent

from scaling.compose.paths import CONF
from scaling.models.build import build_model, multiply_adds, num_params
from scaling.models.positions import resize_pos_embed, sincos_2d
from scaling.models.vit import SIZES, AttentionPool, DropPath, PatchEmbed, ViT


def _vit(size: str, *, patch_size: int = 16, image_size: int = 224) -> ViT:
    with torch.device("meta"):
        return ViT(image_size=image_size, channels=3, num_classes=1000, patch_size=patch_size, **SIZES[size])


def _small(**changes: object) -> ViT:
    torch.manual_seed(0)
    settings: dict[str, object] = dict(
        image_size=16, channels=3, num_classes=5, patch_size=4, width=32, depth=2, heads=4
    )
    model = ViT(**settings | {"pos_embed_std": 0.5} | changes).eval()  # type: ignore[arg-type]
    torch.nn.init.normal_(model.head.weight)
    return model


@pytest.mark.parametrize(
    ("size", "patch_size", "published"),
    [
        ("ti", 16, 5_717_416), ("s", 16, 22_050_664), ("b", 16, 86_567_656),
        ("b", 32, 88_224_232), ("l", 16, 304_326_632), ("h", 14, 632_045_800),
    ],
)  # fmt: skip
def test_every_size_has_the_published_number_of_parameters(size: str, patch_size: int, published: int) -> None:
    """DeiT for Ti and S, torchvision's documentation for B, L and H (1,000 classes)."""
    assert num_params(_vit(size, patch_size=patch_size)) == published


@pytest.mark.parametrize(("size", "published"), [("ti", 1.254e9), ("s", 4.599e9), ("b", 17.56e9), ("l", 61.56e9)])
def test_every_size_has_the_published_multiply_adds(size: str, published: float) -> None:
    assert multiply_adds(_vit(size), image_size=224, channels=3) == pytest.approx(published, rel=0.005)


@pytest.mark.parametrize("size", SIZES)
def test_the_config_files_hold_the_table(make_cell, size: str) -> None:  # type: ignore[no-untyped-def]
    assert (CONF / "model" / f"vit_{size}.yaml").exists()
    model = make_cell(f"model=vit_{size}", "model.patch_size=9").model
    assert dict(width=model.width, depth=model.depth, heads=model.heads) == SIZES[size]
    assert (model.patch_size, model.mlp_ratio, model.pool, model.pos_embed_std) == (9, 4.0, "cls", 0.02)


@pytest.mark.parametrize(("height", "width", "patch_size"), [(32, 32, 8), (24, 12, 4), (14, 28, 14)])
def test_patches_are_unfold_and_one_matmul(height: int, width: int, patch_size: int) -> None:
    torch.manual_seed(0)
    embed = PatchEmbed(patch_size=patch_size, channels=3, width=10)
    images = torch.randn(2, 3, height, width)
    unfolded = F.unfold(images, patch_size, stride=patch_size).transpose(1, 2)
    assert unfolded.shape == (2, height * width // patch_size**2, patch_size**2 * 3)
    assert torch.allclose(embed(images), F.linear(unfolded, embed.proj.weight, embed.proj.bias), atol=1e-5)


@pytest.mark.parametrize(("pool", "tokens"), [("cls", 17), ("mean", 16), ("map", 16)])
def test_tokens_of_every_pooling(pool: str, tokens: int) -> None:
    model = _small(pool=pool)
    assert model.embed(torch.zeros(2, 3, 16, 16)).shape == (2, tokens, 32)
    assert model(torch.zeros(2, 3, 16, 16)).shape == (2, 5)


def test_the_cls_head_reads_token_0_after_the_last_norm() -> None:
    model, images = _small(), torch.randn(2, 3, 16, 16)
    x = model.norm(model.blocks(model.embed(images)))
    assert torch.equal(model(images), model.head(x[:, 0]))


def test_attention_pooling_is_timms() -> None:
    torch.manual_seed(0)
    norm = lambda width, **kwargs: torch.nn.LayerNorm(width, eps=1e-6)  # noqa: E731
    theirs = AttentionPoolLatent(32, num_heads=4, norm_layer=norm)
    ours = AttentionPool(32, 4, 4.0)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 9, 32)
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)


def _permuted(images: torch.Tensor) -> torch.Tensor:
    """The 4x4 patches of 16x16 images in another order."""
    order = torch.randperm(16, generator=torch.Generator().manual_seed(3))
    patches = F.unfold(images, 4, stride=4)[:, :, order]
    return F.fold(patches, (16, 16), 4, stride=4)


@pytest.mark.parametrize("pool", ["cls", "mean", "map"])
@pytest.mark.parametrize(("pos_embed", "changes"), [("none", False), ("learned", True), ("sincos", True)])
def test_only_position_embeddings_notice_the_order_of_patches(pool: str, pos_embed: str, changes: bool) -> None:
    model, images = _small(pool=pool, pos_embed=pos_embed), torch.randn(2, 3, 16, 16)
    assert torch.allclose(model(images), model(_permuted(images)), atol=1e-5) != changes


def test_sines_are_timms() -> None:
    table = sincos_2d(grid=5, width=24, prefix=1)
    assert torch.allclose(table[0, 1:], build_sincos2d_pos_embed([5, 5], 24), atol=1e-6)
    assert not table[0, 0].any()
    model = _small(pos_embed="sincos")
    assert "pos_embed" not in dict(model.named_parameters())
    assert num_params(model) == num_params(_small(pos_embed="none")) == num_params(_small()) - 17 * 32


def test_dropout_and_stochastic_depth_are_off_by_default_and_draw_nothing() -> None:
    model, images = _small().train(), torch.randn(2, 3, 16, 16)
    state = torch.get_rng_state()
    assert torch.equal(model(images), model.eval()(images))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("rate", ["dropout", "drop_path"])
def test_dropout_and_stochastic_depth_act_in_training_only(rate: str) -> None:
    model, images = _small(**{rate: 0.5}), torch.randn(2, 3, 16, 16)
    assert torch.equal(model(images), _small()(images))
    assert not torch.allclose(model.train()(images), model.eval()(images))


def test_stochastic_depth_keeps_the_mean_and_drops_whole_images() -> None:
    torch.manual_seed(0)
    x = DropPath(0.25).train()(torch.ones(4000, 2, 3))
    assert x.unique().tolist() == pytest.approx([0, 4 / 3])
    assert x.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(x.amin(dim=(1, 2)), x.amax(dim=(1, 2)))
    theirs = timm.layers.calculate_drop_path_rates(0.2, 3)
    rates = [block.drop_path.rate for block in _small(depth=3, drop_path=0.2).blocks]
    assert rates == pytest.approx([0, 0.1, 0.2])
    assert rates == pytest.approx(theirs)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("grid", [40, 7, 14])
def test_resized_position_embeddings_are_timms(mode: str, grid: int) -> None:
    """From 224 to 640 at patch size 16: 196 to 1,600 tokens."""
    pos_embed = torch.randn(1, 1 + 14**2, 6, generator=torch.Generator().manual_seed(0))
    ours = resize_pos_embed(pos_embed, grid=grid, prefix=1, mode=mode)
    assert ours.shape == (1, 1 + grid**2, 6)
    assert torch.allclose(ours, resample_abs_pos_embed(pos_embed, [grid, grid], interpolation=mode), atol=1e-6)
    assert torch.equal(ours[:, :1], pos_embed[:, :1])
    assert grid != 14 or ours is pos_embed


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_resized_position_embeddings_are_torchvisions(mode: str) -> None:
    from torchvision.models.vision_transformer import interpolate_embeddings

    pos_embed = torch.randn(1, 1 + 5**2, 6, generator=torch.Generator().manual_seed(0))
    theirs = interpolate_embeddings(32, 4, {"encoder.pos_embedding": pos_embed.clone()}, mode)  # type: ignore[arg-type]
    ours = resize_pos_embed(pos_embed, grid=8, prefix=1, mode=mode, align_corners=True, antialias=False)
    assert torch.allclose(ours, theirs["encoder.pos_embedding"], atol=1e-6)


def test_the_original_bilinear_zoom_is_one_of_the_modes() -> None:
    """The JAX code resizes by scipy.ndimage.zoom of order 1."""
    from scipy.ndimage import zoom

    pos_embed = torch.randn(1, 4**2, 3, generator=torch.Generator().manual_seed(0))
    ours = resize_pos_embed(pos_embed, grid=9, prefix=0, mode="bilinear", align_corners=True, antialias=False)
    theirs = zoom(pos_embed.view(4, 4, 3).numpy(), (9 / 4, 9 / 4, 1), order=1)
    assert torch.allclose(ours.view(9, 9, 3), torch.from_numpy(theirs), atol=1e-5)


def test_the_settings_reach_the_model(make_cell) -> None:  # type: ignore[no-untyped-def]
    words = ("model=vit_mu", "model.pool=map", "model.pos_embed=sincos", "model.dropout=.1", "model.drop_path=.2")
    model = build_model(make_cell(*words).model, image_size=18, channels=1, num_classes=10)
    assert isinstance(model, ViT)
    assert model.attn_pool is not None
    assert model.blocks[0].mlp.drop.p == 0.1
    assert "pos_embed" in dict(model.named_buffers())
