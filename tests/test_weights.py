"""Weights of other libraries give their logits; what does not fit is named; nothing in a file is run."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torchvision.models import VisionTransformer

from scaling.models.library_weights import check_named_weights, named_weights
from scaling.models.resnet import ResNet
from scaling.models.vit import ViT
from scaling.models.weights import WeightsError, fit_weights, load_weights, read_weights, save_weights

SIZE = dict(image_size=32, channels=3, num_classes=7, patch_size=8, width=24, depth=2, heads=3)
IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def _ours(**changes: object) -> ViT:
    return ViT(**SIZE | changes).eval()  # type: ignore[arg-type]


def _timm(**changes: object) -> torch.nn.Module:
    torch.manual_seed(0)
    size = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=7)
    model = timm.models.VisionTransformer(**size | changes).eval()  # type: ignore[arg-type]
    for parameter in model.parameters():  # also those that start at 0 or 1
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@torch.no_grad()
def _same_logits(ours: torch.nn.Module, theirs: torch.nn.Module, images: torch.Tensor = IMAGES) -> bool:
    return torch.allclose(ours(images), theirs(images), atol=1e-4)


@pytest.mark.parametrize(
    ("pool", "theirs"), [("cls", {}), ("map", {"global_pool": "map", "class_token": False})], ids=["cls", "map"]
)
def test_timms_weights_give_timms_logits(pool: str, theirs: dict[str, object]) -> None:
    reference, ours = _timm(**theirs), _ours(pool=pool)
    assert load_weights(ours, reference.state_dict()) == []
    assert _same_logits(ours, reference)


def test_torchvisions_weights_give_torchvisions_logits() -> None:
    torch.manual_seed(0)
    theirs = VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=96, num_classes=7
    ).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = _ours()
    assert load_weights(ours, theirs.state_dict()) == []
    assert _same_logits(ours, theirs)


def _jax_checkpoint(path: Path, *, later: bool, pre_logits: bool = False) -> Path:
    """A small file in the layout of the ViT repository, or with the submodule numbers of big_vision."""
    rng = np.random.default_rng(0)
    width, heads, hidden = 24, 3, 96
    norm2, attention, mlp = (1, 0, 0) if later else (2, 1, 3)
    shapes: dict[str, tuple[int, ...]] = {
        "cls": (1, 1, width), "embedding/kernel": (8, 8, 3, width), "embedding/bias": (width,),
        "Transformer/posembed_input/pos_embedding": (1, 17, width),
        "Transformer/encoder_norm/scale": (width,), "Transformer/encoder_norm/bias": (width,),
        "head/kernel": (width, 7), "head/bias": (7,),
    }  # fmt: skip
    if later:
        shapes["pos_embedding"] = shapes.pop("Transformer/posembed_input/pos_embedding")
    if pre_logits:
        shapes |= {"pre_logits/kernel": (width, width), "pre_logits/bias": (width,)}
    for i in range(2):
        block = f"Transformer/encoderblock_{i}/"
        for part in ("query", "key", "value"):
            shapes[f"{block}MultiHeadDotProductAttention_{attention}/{part}/kernel"] = (width, heads, width // heads)
            shapes[f"{block}MultiHeadDotProductAttention_{attention}/{part}/bias"] = (heads, width // heads)
        shapes[f"{block}MultiHeadDotProductAttention_{attention}/out/kernel"] = (heads, width // heads, width)
        shapes[f"{block}MultiHeadDotProductAttention_{attention}/out/bias"] = (width,)
        for j, (inside, outside) in enumerate(((width, hidden), (hidden, width))):
            shapes[f"{block}MlpBlock_{mlp}/Dense_{j}/kernel"] = (inside, outside)
            shapes[f"{block}MlpBlock_{mlp}/Dense_{j}/bias"] = (outside,)
        for norm in (0, norm2):
            shapes[f"{block}LayerNorm_{norm}/scale"] = shapes[f"{block}LayerNorm_{norm}/bias"] = (width,)
    prefix = "params/" if later else ""
    values = {prefix + key: 0.3 * rng.standard_normal(shape, dtype=np.float32) for key, shape in shapes.items()}
    np.savez(path, **values)
    return path


@pytest.mark.parametrize("later", [False, True], ids=["vit repository", "big_vision"])
def test_the_original_jax_layout_gives_timms_logits(tmp_path: Path, later: bool) -> None:
    path = _jax_checkpoint(tmp_path / "vit.npz", later=later)
    theirs, ours = _timm(), _ours()
    theirs.load_pretrained(str(path))  # type: ignore[operator]
    assert load_weights(ours, read_weights(path)) == []
    assert _same_logits(ours, theirs)


def test_a_representation_layer_goes_with_its_head(tmp_path: Path) -> None:
    path = _jax_checkpoint(tmp_path / "vit.npz", later=False, pre_logits=True)
    assert load_weights(_ours(), read_weights(path)) == ["head.weight", "head.bias"]


def test_another_image_size_is_timms_resized() -> None:
    theirs, larger = _timm(), _ours(image_size=48)
    state = theirs.state_dict()
    load_weights(larger, state)
    reference = _timm(img_size=48)
    resized = timm.models.vision_transformer.checkpoint_filter_fn(state, reference, antialias=True)
    reference.load_state_dict(resized)
    images = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(6))
    assert _same_logits(larger, reference, images)
    bilinear, _ = fit_weights(larger, state, mode="bilinear")
    assert not torch.equal(bilinear["pos_embed"], larger.state_dict()["pos_embed"])


def test_only_the_head_is_replaced_when_the_classes_differ() -> None:
    theirs, ours = _timm(num_classes=9), _ours()
    assert load_weights(ours, theirs.state_dict()) == ["head.weight", "head.bias"]
    assert not ours.head.weight.any()
    assert torch.equal(ours.norm.weight, theirs.state_dict()["norm.weight"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("norm.bias"), ["missing: norm.bias"]),
        (lambda s: s.update(extra=torch.zeros(1)), ["unknown: extra"]),
        (lambda s: s.update({"norm.bias": torch.zeros(5)}), [r"of another shape: norm.bias \(5,\) for \(24,\)"]),
        (lambda s: [s.pop(k) for k in list(s) if "blocks.1" in k], ["missing: blocks.1", "and 6 more"]),
    ],
)
def test_keys_that_do_not_fit_are_named(change, words: list[str]) -> None:  # type: ignore[no-untyped-def]
    state = dict(_timm().state_dict())
    change(state)
    before = _ours()
    values = {key: value.clone() for key, value in before.state_dict().items()}
    for word in words:
        with pytest.raises(WeightsError, match=word):
            load_weights(before, state)
    assert all(torch.equal(values[key], value) for key, value in before.state_dict().items())


def test_position_embeddings_of_another_pooling_are_named() -> None:
    with pytest.raises(WeightsError, match=r"model\.pool"):
        load_weights(_ours(pool="mean"), _ours(pool="cls").state_dict())


def test_weights_of_any_model_make_the_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other = (ResNet(channels=1, num_classes=3, depth=8, width=4).eval() for _ in range(2))
    save_weights(model.state_dict(), tmp_path / "cell" / "weights.pt")
    assert [path.name for path in (tmp_path / "cell").iterdir()] == ["weights.pt"]
    assert load_weights(other, read_weights(tmp_path / "cell" / "weights.pt")) == []
    assert _same_logits(model, other, torch.randn(2, 1, 8, 8))


def test_a_wrapped_checkpoint_is_unwrapped(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(2)}, "epoch": 3}, tmp_path / "x.pth")
    assert list(read_weights(tmp_path / "x.pth")) == ["a"]


class _Evil:
    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("name", ["evil.pth", "evil.npz", "text.pt", "list.pt"])
def test_a_file_that_is_not_weights_is_refused_and_nothing_in_it_runs(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    if name == "evil.pth":
        torch.save({"a": _Evil()}, path)
    elif name == "evil.npz":
        np.savez(path, a=np.array([_Evil()], dtype=object))
    elif name == "list.pt":
        torch.save([torch.ones(1)], path)
    else:
        path.write_text("hello")
    with pytest.raises(WeightsError, match=name):
        read_weights(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["timm:vit_of_nobody", "torchvision:vit_of_nobody", "elsewhere:vit"])
def test_a_wrong_published_name_is_named(name: str) -> None:
    for take in (named_weights, lambda name: check_named_weights(name, _ours(), mode="bicubic")):
        with pytest.raises(WeightsError, match=name):
            take(name)


def _b16(**changes: object) -> ViT:
    size = dict(image_size=32, channels=3, num_classes=7, patch_size=16, width=768, depth=12, heads=12)
    with torch.device("meta"):
        return ViT(**size | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["timm:vit_base_patch16_224", "timm:vit_base_patch16_224.augreg_in21k", "torchvision:vit_b_16"]
)
def test_published_weights_are_held_against_the_model_without_a_download(name: str) -> None:
    """Another image size and other classes fit; another width, depth, patch size or number of channels does not."""
    check_named_weights(name, _b16(), mode="bicubic")
    for change, key in (
        ({"width": 384}, "of another shape: cls_token"),
        ({"depth": 13}, "missing: blocks.12"),
        ({"patch_size": 8}, "patch_embed"),
        ({"channels": 1}, "patch_embed"),
    ):
        with pytest.raises(WeightsError, match=f"{name}.*{key}"):
            check_named_weights(name, _b16(**change), mode="bicubic")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("timm:vit_base_patch16_244", "vit_base_patch16_224"),
        ("timm:vit_base_patch16_224.augreg_in22k", "vit_base_patch16_224.augreg_in21k"),
        ("torchvision:vit_b16", "vit_b_16"),
    ],
)
def test_an_unknown_published_name_lists_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(WeightsError, match=f"nearest: .*{nearest}"):
        check_named_weights(name, _b16(), mode="bicubic")
