"""Checkpoints of conf/weights/: what their libraries say of them, what is refused, how their inputs are made."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from scaling.compose.paths import CONF
from scaling.config import ConfigError
from scaling.data.pixels.square import Square, fit_square
from scaling.data.splits import load_splits
from scaling.models.libraries import named_model
from scaling.models.positions import resize_pos_embed
from scaling.models.weights import fit_weights, load_weights, read_weights
from scaling.records.replay import replayed
from scaling.study.command import cells_of
from scaling.training import features, started
from scaling.training.features import frozen_features
from scaling.training.started import content_fingerprint

NAMES = sorted(path.stem for path in (CONF / "weights").glob("*.yaml") if path.stem != "none")


def _folder(root: Path, *, size: tuple[int, int] = (90, 70), each: int = 12) -> Path:
    drawn = np.random.default_rng(0)
    for name in ("ape", "bee"):
        (root / name).mkdir(parents=True)
        for i in range(each):
            blocks = drawn.integers(0, 256, (7, 9, 3), dtype=np.uint8)
            Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC).save(root / name / f"{i}.png")
    return root


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_what_its_library_says(name: str) -> None:
    config = OmegaConf.load(CONF / "weights" / f"{name}.yaml")
    ours, model = config.weights, config.model.name
    assert (ours.name, ours.model) == (name, model)
    library, _, tag = ours.source.partition(":")
    if library == "timm":
        about = timm.models.get_pretrained_cfg(tag)
        assert timm.models.is_model_pretrained(tag)
        assert about.architecture == model
        mean, std, resize, share, size = about.mean, about.std, about.interpolation, about.crop_pct, about.input_size[1]
        assert about.crop_mode == "center"
    elif library == "torchvision":
        how = torchvision.models.get_model_weights(tag).DEFAULT.transforms()
        mean, std, resize, size = how.mean, how.std, how.interpolation.value, how.crop_size[0]
        share = how.crop_size[0] / how.resize_size[0]
    else:  # DINO's own: eval_linear.py of its repository
        mean, std, resize, share, size = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", 224 / 256, 224
    assert tuple(ours.mean) == tuple(mean)
    assert tuple(ours.std) == tuple(std)
    assert (ours.resize, ours.image_size) == (resize, size)
    assert ours.crop_share == pytest.approx(share, abs=1e-6)
    assert ours.size > 1e6


def test_a_model_of_another_name_is_refused(make_cell: Callable, tmp_path: Path) -> None:
    root = _folder(tmp_path / "img")
    words = ("data=folder", f"data.root={root}", "data.train_size=8", "data.image_size=32", "weights=deit_ti")
    for other in (["model=resnet8"], ["model=timm", "model.name=resnet18"]):
        with pytest.raises(ConfigError, match=r"weights=deit_ti are of model=timm model\.name=deit_tiny_patch16_224"):
            make_cell(*words, *other)
    with pytest.raises(ConfigError, match="is a start, and so is"):
        make_cell(*words, "pretrained=timm:resnet18")
    with pytest.raises(ConfigError, match="there is no such file"):
        make_cell(*words, "weights.file=nowhere.pth")
    with pytest.raises(ConfigError, match="expect images of 3 channels"):
        make_cell("weights=deit_ti", "data=strokes")


def test_inputs_are_as_the_weights_expect(make_cell: Callable, tmp_path: Path) -> None:
    root = _folder(tmp_path / "img")
    words = ("data=folder", f"data.root={root}", "data.train_size=8", "data.image_size=32", "data.permute_patch=4")
    cell = make_cell(*words, "weights=deit_ti")
    assert (cell.model.source, cell.model.name, cell.model.family) == ("timm", "deit_tiny_patch16_224", "vit")
    assert cell.model_label == "deit_ti"
    assert cell.start == "timm:deit_tiny_patch16_224.fb_in1k"
    data = cell.data
    assert (data.normalize, data.resize, data.crop_share) == ("weights", "bicubic", 0.9)
    splits = load_splits(data, torch.device("cpu"))
    assert splits.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    (whole,) = cells_of([*words, "weights=deit_ti"])
    assert {"model=timm", "weights=deit_ti"} <= set(whole.overrides)
    (again,) = cells_of(replayed(whole.overrides))  # as inspect and the analysis run a record's words
    assert again.config_hash == whole.config_hash
    assert make_cell(*whole.overrides).config_hash == whole.config_hash == cell.config_hash
    own = make_cell(*words, "weights=deit_ti", "data.normalize=subset", "data.resize=bilinear")
    assert (own.data.input_mean, own.data.resize) == (None, "bilinear")
    assert own.config_hash != cell.config_hash
    with pytest.raises(ConfigError, match="nothing tells what these weights expect"):
        make_cell(*words, "model=resnet8", "data.normalize=weights")


def test_a_file_in_the_cache_is_found(make_cell: Callable, tmp_path: Path) -> None:
    root = _folder(tmp_path / "img")
    model = timm.create_model("deit_tiny_patch16_224")
    place = tmp_path / "decoded" / "weights" / "deit_ti.pth"
    place.parent.mkdir(parents=True)
    torch.save({"model": {f"module.{key}": value for key, value in model.state_dict().items()}}, place)
    cell = make_cell("data=folder", f"data.root={root}", "data.train_size=8", "data.image_size=32", "weights=deit_ti")
    assert cell.start == str(place)
    assert len(cell.start_fingerprint) == 16
    assert cell.start_facts.size == 1281167


def test_one_checkpoint_has_one_fingerprint_by_name_and_by_file(
    make_cell: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    state = timm.create_model("deit_tiny_patch16_224").state_dict()
    torch.save({"model": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "one.pth")
    torch.save(state | {"cls_token": state["cls_token"] + 1}, tmp_path / "other.pth")
    patches = state["patch_embed.proj.weight"].to(memory_format=torch.channels_last)  # the same numbers, laid otherwise
    monkeypatch.setattr(started, "named_weights", lambda name: state | {"patch_embed.proj.weight": patches})
    root = _folder(tmp_path / "img")
    words = ("data=folder", f"data.root={root}", "data.train_size=8", "data.image_size=32", "weights=deit_ti")
    files = [f"weights.file={tmp_path}/{name}.pth" for name in ("one", "other")]
    named, one, other = (content_fingerprint(make_cell(*words, *more)) for more in ([], [files[0]], [files[1]]))
    assert re.fullmatch("[0-9a-f]{16}", named or "")
    assert named == one
    assert other != one
    ones = {"one": torch.rand(5, 4, 1, 1).to(memory_format=torch.channels_last)}  # contiguous, and its last stride is 4
    assert re.fullmatch("[0-9a-f]{16}", started.state_fingerprint(ones))
    assert started.state_fingerprint(ones) == started.state_fingerprint({"one": ones["one"].clone().contiguous()})
    monkeypatch.setattr(started, "read_weights", lambda path: {})
    assert content_fingerprint(make_cell(*words, files[1])) == other  # it is remembered


def _reference(name: str, size: int) -> tuple[nn.Module, Callable]:
    config = OmegaConf.load(CONF / "weights" / f"{name}.yaml")
    tag = config.weights.source.partition(":")[2]
    torch.manual_seed(1)
    about = timm.models.get_pretrained_cfg(tag)
    options = {"img_size": size} if about.fixed_input_size else {}
    model = timm.create_model(config.model.name, **options).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # as trained: not the identity that it starts as
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    how = timm.data.resolve_data_config({"input_size": (3, size, size)}, pretrained_cfg=about.to_dict())
    return model, timm.data.create_transform(**how, is_training=False)


def _compare_with_timm(make_cell: Callable, tmp_path: Path, name: str, size: int) -> None:
    root = _folder(tmp_path / "img", each=8)
    model, transform = _reference(name, size)
    file = tmp_path / "weights.pth"
    torch.save(model.state_dict(), file)
    cell = make_cell("data=folder", f"data.root={root}", "data.train_size=4", f"data.image_size={size}",
                     f"weights={name}", f"weights.file={file}", "adapt=probe")  # fmt: skip
    splits = load_splits(cell.data, torch.device("cpu"))
    found = frozen_features(cell, splits, torch.device("cpu"))
    pictures = [Image.open(path).convert("RGB") for path in sorted(root.glob("*/*.png"))]
    with torch.no_grad():
        inputs = torch.stack([transform(picture) for picture in pictures])
        theirs = model.forward_head(model.forward_features(inputs), pre_logits=True).numpy()
    ours = np.concatenate([found.train, found.val, found.test])
    assert ours.shape[1] == theirs.shape[1]
    scale = np.abs(theirs).max()
    nearest = [np.abs(theirs - row).max(axis=1).min() / scale for row in ours]
    assert max(nearest) < 1e-5
    assert len({int(np.abs(theirs - row).max(axis=1).argmin()) for row in ours}) == len(ours)  # each its own picture


@pytest.mark.parametrize(("name", "size"), [("deit_ti", 32), ("resnet18_a1", 32), ("efficientnet_b0", 32)])
def test_features_are_timms_own_under_timms_own_transform(
    make_cell: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    monkeypatch.setattr(features, "_say", lambda *_: None)
    _compare_with_timm(make_cell, tmp_path, name, size)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [("deit_s", 64), ("resnet50_a1", 64), ("augreg_s", 64), ("bit_r50", 64), ("dino_s", 48), ("dinov2_s", 56),
     ("clip_b32", 64), ("clip_r50", 64), ("convnext_t", 64), ("convnext_t_22k", 64), ("swin_t", 224),
     ("efficientnet_b3", 64)],
)  # fmt: skip
def test_features_of_every_architecture_are_timms_own(
    make_cell: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    monkeypatch.setattr(features, "_say", lambda *_: None)
    _compare_with_timm(make_cell, tmp_path, name, size)


@pytest.mark.parametrize(
    ("size", "share", "resize"), [(64, 0.875, "bicubic"), (48, 0.9, "bilinear"), (30, 1, "bicubic")]
)
def test_pictures_are_cropped_as_timm_does(size: int, share: float, resize: str) -> None:
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (50, 81, 3), dtype=np.uint8))
    transform = timm.data.create_transform((3, size, size), interpolation=resize, crop_pct=share, mean=0.0, std=1.0)
    mine = np.asarray(fit_square(picture, Square(size, 3, resize=resize, crop_share=share)))
    theirs = transform(picture)
    theirs = theirs if theirs.dtype == torch.uint8 else (theirs * 255).round().to(torch.uint8)
    assert (mine.transpose(2, 0, 1) == theirs.numpy()).all()


# A class token; a register and no class token; two class tokens.
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_wee_patch16_reg1_gap_256",
                                  "deit_tiny_distilled_patch16_224"])  # fmt: skip
def test_position_embeddings_are_resized_as_timms_loader_does(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    source = timm.create_model(name)
    file = tmp_path / "weights.pth"
    torch.save(source.state_dict(), file)
    overlay = {"file": str(file), "num_classes": 1000}
    theirs = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, img_size=64)
    ours = named_model("timm", name, image_size=64, channels=3, num_classes=1000)
    assert load_weights(ours, read_weights(file)) == []
    state = theirs.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in ours.state_dict().items())


def test_torchvisions_are_resized_as_torchvision_does() -> None:
    from torchvision.models.vision_transformer import interpolate_embeddings

    torch.manual_seed(0)
    shape = dict(patch_size=8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5)
    source = torchvision.models.VisionTransformer(image_size=64, **shape).state_dict()
    source["encoder.pos_embedding"].normal_()
    ours = torchvision.models.VisionTransformer(image_size=32, **shape)
    theirs = interpolate_embeddings(image_size=32, patch_size=8, model_state=dict(source))
    fitted, fresh = fit_weights(ours, source)
    assert fresh == []
    assert torch.allclose(fitted["encoder.pos_embedding"], theirs["encoder.pos_embedding"], atol=1e-6)


@pytest.mark.parametrize("name", ["crossvit_tiny_240", "levit_128s", "pit_ti_224"])
def test_tables_that_timm_does_not_resize_are(name: str) -> None:
    with torch.device("meta"):
        source = timm.create_model(name).state_dict()
        half = timm.models.get_pretrained_cfg(name).input_size[1] // 2
        ours = named_model("timm", name, image_size=half, channels=3, num_classes=7)
    fit_weights(ours, source)  # raises where something does not fit


def test_a_table_keeps_what_it_says_of_places() -> None:
    """A table that rises evenly along an axis rises evenly after it was resized; tokens before it stay."""
    rows = torch.arange(8.0).repeat_interleave(8)[None, :, None]
    table = torch.cat([torch.full((1, 2, 1), -7.0), rows], dim=1)
    small = resize_pos_embed(table, grid=4, prefix=2)
    assert small[0, :2, 0].tolist() == [-7, -7]
    grid = small[0, 2:, 0].view(4, 4)
    assert torch.allclose(grid, grid[:, :1].expand(4, 4), atol=1e-5)
    assert (grid[1:, 0] > grid[:-1, 0]).all()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_before_keys_are_taken_off(tmp_path: Path, prefix: str) -> None:
    state = {f"{prefix}fc.weight": torch.ones(2, 3), f"{prefix}fc.bias": torch.ones(2)}
    torch.save(state, tmp_path / "x.pth")
    assert sorted(read_weights(tmp_path / "x.pth")) == ["fc.bias", "fc.weight"]
    torch.save(state | {"fc.extra": torch.ones(1)}, tmp_path / "y.pth")  # not of all keys: a name of its own
    assert f"{prefix}fc.bias" in read_weights(tmp_path / "y.pth")


def test_without_a_network_one_line_says_which_file_to_put_where(
    make_cell: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scaling.compose.start_facts import fetch_starts
    from scaling.compose.start_weights import InitError, fetch_weights
    from scaling.models import library_weights

    fetch_weights.cache_clear()
    monkeypatch.setattr(library_weights, "reachable", lambda url: False)
    monkeypatch.setattr(library_weights, "_kept", lambda name: None)
    root = _folder(tmp_path / "img")
    words = ("data=folder", f"data.root={root}", "data.train_size=8", "data.image_size=32")
    place = r"name it with weights\.file=FILE or put it to .*deit_ti\.safetensors"
    with pytest.raises(InitError, match=r"get https://huggingface\.co/timm/deit_tiny_\S+ elsewhere and " + place):
        fetch_starts([make_cell(*words, "weights=deit_ti")])
    with pytest.raises(InitError, match=r"resnet18-\w+\.pth elsewhere and name it with pretrained=FILE"):
        fetch_starts([make_cell(*words, "model=torchvision", "model.name=resnet18", "model.family=cnn",
                                "pretrained=torchvision:resnet18")])  # fmt: skip
