"""Numbers about trained models, on closed forms."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.inspect import inspect_run, main
from scaling.models.inspection import (
    attention_distance,
    attention_maps,
    cosine_similarity,
    grid_places,
    position_score,
    principal_filters,
    rollout,
)
from scaling.models.inspection import inspected as look_at
from scaling.models.vit import ViT
from scaling.models.weights import load_weights
from scaling.training.cell import run_cell


def test_distance_of_closed_forms() -> None:
    """Identity: 0. Uniform on 2x2 patches of 4 pixels: (0 + 4 + 4 + 4 sqrt 2) / 4. One step to the right: 4."""
    places = grid_places(2)
    assert attention_distance(np.eye(4), places, patch_size=4) == 0
    assert attention_distance(np.full((4, 4), 0.25), places, patch_size=4) == pytest.approx((8 + 4 * math.sqrt(2)) / 4)
    sideways = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=float)
    heads = attention_distance(np.stack([sideways, np.eye(4), 0.5 * sideways]), places, patch_size=4)
    assert heads == pytest.approx([4, 0, 4])  # what went to the class token is left out


def test_uniform_distance_on_a_line_of_many() -> None:
    """Mean |i - j| over a line of k places is (k^2 - 1) / (3k)."""
    places = np.stack([np.zeros(9), np.arange(9)], axis=1)
    uniform = attention_distance(np.ones((9, 9)), places, patch_size=1)
    assert uniform == pytest.approx((81 - 1) / 27)


def test_rollout_of_closed_forms() -> None:
    uniform = np.full((1, 2, 5, 5), 0.2)  # (depth, heads, tokens, tokens)
    assert rollout(uniform) == pytest.approx(0.1 + 0.5 * np.eye(5))
    assert rollout(np.repeat(np.eye(5)[None, None], 3, axis=0)) == pytest.approx(np.eye(5))
    deep = np.repeat(uniform, 60, axis=0)
    assert rollout(deep) == pytest.approx(np.full((5, 5), 0.2))
    # Two layers by hand: token 0 reads 1 in the first, token 2 reads 0 in the second.
    first, second = np.eye(3)[[1, 1, 2]], np.eye(3)[[0, 1, 0]]
    flow = rollout(np.stack([first, second])[:, None])
    assert flow[2] == pytest.approx([0.25, 0.25, 0.5])


def test_positions_that_know_rows_and_columns_stand_out_and_random_ones_do_not() -> None:
    places = grid_places(5)
    one_hot = np.concatenate([np.eye(5)[places[:, 0]], np.eye(5)[places[:, 1]]], axis=1)
    score = position_score(cosine_similarity(one_hot), places)
    assert score is not None
    assert (score.same, score.elsewhere) == pytest.approx((0.5, 0))
    assert score.p_value == pytest.approx(1 / 1001)
    noise = np.random.default_rng(0).standard_normal((25, 64))
    p_values = [
        position_score(cosine_similarity(np.random.default_rng(i).permutation(noise)), places, permutations=200).p_value  # type: ignore[union-attr]
        for i in range(8)
    ]
    assert min(p_values) > 0.01
    assert np.ptp(p_values) > 0.2  # spread over [0, 1], as under the null
    assert position_score(np.eye(1), grid_places(1)) is None


def test_principal_filters_are_the_directions_of_variance() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((12, 12)))[0][:2]
    weight = rng.standard_normal((400, 2)) * [3.0, 1.0] @ basis + 7
    components, share = principal_filters(weight)
    assert len(components) == 12
    assert abs(components[0] @ basis[0]) == pytest.approx(1, abs=0.01)
    assert share[:2] == pytest.approx([0.9, 0.1], abs=0.03)
    assert share[2:] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_maps_are_what_the_model_attends_with(pool: str) -> None:
    torch.manual_seed(0)
    model = ViT(image_size=8, channels=1, num_classes=2, patch_size=4, width=16, depth=2, heads=2, pool=pool).eval()
    images = torch.randn(3, 1, 8, 8)
    maps = attention_maps(model, images)
    tokens = 4 + (pool == "cls")
    assert maps.shape == (2, 3, 2, tokens, tokens)
    assert maps.sum(axis=-1) == pytest.approx(np.ones((2, 3, 2, tokens)))
    block, x = model.blocks[0], model.blocks[0].norm1(model.embed(images))
    v = block.attn.split(x)[2].double()
    by_hand = (torch.from_numpy(maps[0]) @ v).transpose(1, 2).reshape(x.shape).float()
    assert torch.allclose(block.attn.proj(by_hand), block.attn(x), atol=1e-5)


WORDS = ("model=vit_mu", "data.image_size=12", "data.permute_patch=4", "data.train_size=20",
         "data.test_size=140", "budget.steps=5")  # fmt: skip


def _run(make_cell: Callable, tmp_path: Path, *words: str) -> Path:
    import dataclasses

    words = (*WORDS, *words)
    cell = make_cell(*words, f"out={tmp_path}", "keep=last", "wandb=disabled", "device=cpu")
    assert run_cell(dataclasses.replace(cell, overrides=words)).status == "finished"
    return cell.folder


def test_a_run_is_inspected_over_its_test_images(make_cell: Callable, tmp_path: Path) -> None:
    folder = _run(make_cell, tmp_path)
    numbers = inspect_run(folder)
    assert json.loads((folder / "inspect.json").read_text()) == numbers
    assert (numbers["train_size"], numbers["attention_images"], numbers["rollout_of"]) == (20, 128, "cls token")
    with np.load(folder / "inspect.npz") as arrays:
        shapes = {key: arrays[key].shape for key in arrays.files}
    assert shapes == {
        "filters": (16, 1, 4, 4), "places": (9, 2), "position_similarity": (9, 9), "attention_distance": (1, 2),
        "rollout": (8, 9), "examples": (8, 1, 12, 12),
    }  # fmt: skip
    uniform = attention_distance(np.ones((9, 9)), grid_places(3), patch_size=4)
    assert numbers["attention_distance_uniform"] == pytest.approx(uniform)
    assert np.array(numbers["attention_distance"])[0, 0] == pytest.approx(uniform, rel=0.3)  # hardly trained


def test_moved_patches_are_put_back(make_cell: Callable, tmp_path: Path) -> None:
    """Below locality 1 places say where the pixels come from: another order of the same nine."""
    inspect_run(_run(make_cell, tmp_path, "data.locality=0"))
    with np.load(next(tmp_path.rglob("inspect.npz"))) as arrays:
        places = arrays["places"]
    assert sorted(map(tuple, places)) == list(map(tuple, grid_places(3)))
    assert not (places == grid_places(3)).all()


def test_the_command(make_cell: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vit, cnn = _run(make_cell, tmp_path), _run(make_cell, tmp_path, "model=resnet8")
    assert main([f"run={tmp_path}"]) == 0
    assert "mean attention distance" in capsys.readouterr().out
    with np.load(cnn / "inspect.npz") as arrays:
        assert arrays["filters"].shape == (16, 1, 3, 3)
    (vit / "weights.pt").unlink()
    for words, message in (
        ([f"run={vit}"], "kept no weights; this makes them"),
        ([f"run={tmp_path}/nowhere"], "neither"),
        (["run=x", "images=0"], "images=0"),
        (["runs=x"], "runs"),
        ([], "run= or checkpoint= is missing"),
    ):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("error: ")
        assert message in line


def test_a_checkpoint_without_a_record(make_cell: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same weights as a file on its own give the run's numbers; what is of no model, or of another, is refused."""
    run = _run(make_cell, tmp_path)
    numbers = inspect_run(run)
    assert main([f"checkpoint={run}/weights.pt"]) == 0  # of a run: its record says the rest
    file = tmp_path / "elsewhere" / "some model.pt"
    file.parent.mkdir()
    file.write_bytes((run / "weights.pt").read_bytes())
    assert main([f"checkpoint={file}", *WORDS]) == 0
    capsys.readouterr()
    found = json.loads((tmp_path / "elsewhere" / "some model-inspect" / "inspect.json").read_text())
    assert found["attention_distance"] == numbers["attention_distance"]
    assert found["positions"] == numbers["positions"]
    assert (found["name"], found["model"], found["train_size"], found["test_error"]) == (
        "some model",
        "vit_mu",
        None,
        None,
    )
    for words, message in (
        ([f"checkpoint={file}"], "model= and data= say it"),
        ([f"checkpoint={file}", *WORDS[:3], "model.depth=2"], "missing: blocks.1"),
        ([f"checkpoint={file}", "model=vit_nobody"], "vit_nobody"),
        ([f"checkpoint={tmp_path}/none.pt", "model=vit_mu"], "is no file"),
        ([f"checkpoint={file}", f"run={run}"], "both given"),
        ([f"run={run}", "out=x"], "out= goes with checkpoint="),
    ):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line


@pytest.mark.parametrize("tokens", [{}, {"reg_tokens": 2}, {"class_token": False, "global_pool": "avg"}])
def test_maps_of_timms_vits_are_those_that_timm_takes_out(tokens: dict[str, object]) -> None:
    timm = pytest.importorskip("timm")
    from timm.utils import AttentionExtract

    torch.manual_seed(0)
    model = timm.models.VisionTransformer(
        img_size=16, patch_size=4, embed_dim=24, depth=2, num_heads=3, **tokens
    ).eval()
    images = torch.randn(2, 3, 16, 16)
    seen = look_at(model)
    assert seen is not None
    assert (seen.grid, seen.patch_size, seen.class_token) == (4, 4, "class_token" not in tokens)
    assert seen.positions is not None
    assert seen.positions.shape == (16, 24)
    found = attention_maps(model, images)
    assert found.shape == (2, 2, 3, 16 + seen.prefix, 16 + seen.prefix)
    assert all(block.attn.fused_attn == timm.layers.use_fused_attn() for block in model.blocks)  # left as it was
    for block in model.blocks:
        block.attn.fused_attn = False
    theirs = AttentionExtract(model, names=["blocks.*.attn.attn_drop"], method="hook", use_regex=False)(images)
    assert np.allclose(found, np.stack([maps.detach().numpy() for maps in theirs.values()]), atol=1e-6)


def test_what_attends_elsewhere_is_no_vit_to_look_into() -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        for name in ("swin_tiny_patch4_window7_224", "resnet10t"):
            assert look_at(timm.create_model(name)) is None


def test_a_published_vit_on_a_users_own_images(
    tmp_path: Path, image_folder: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    """`weights=NAME` from a file in the cache: the numbers are those of our own ViT with the same weights."""
    timm = pytest.importorskip("timm")
    root = image_folder({"train": {"a": 4, "b": 4}, "test": {"a": 3, "b": 3}})
    place = tmp_path / "decoded" / "weights"
    place.mkdir(parents=True)
    torch.manual_seed(0)
    vit = timm.create_model("deit_tiny_patch16_224", pretrained=False).eval()
    torch.save(vit.state_dict(), place / "deit_ti.pth")
    out = tmp_path / "seen"
    words = ["weights=deit_ti", "data=folder", f"data.root={root}", "data.image_size=64", f"out={out}", "images=6"]
    assert main(words) == 0
    assert "deit_ti: mean attention distance" in capsys.readouterr().out
    numbers = json.loads((out / "inspect.json").read_text())
    assert (numbers["family"], numbers["model"], numbers["rollout_of"]) == ("vit", "deit_ti", "cls token")
    assert np.array(numbers["attention_distance"]).shape == (12, 3)
    with np.load(out / "inspect.npz") as arrays:
        assert arrays["rollout"].shape == (6, 16)
        assert arrays["filters"].shape == (28, 3, 16, 16)
        pixels, rollouts = arrays["examples"], arrays["rollout"]
    ours = ViT(image_size=64, channels=3, num_classes=1000, patch_size=16, width=192, depth=12, heads=3).eval()
    load_weights(ours, vit.state_dict())
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    inputs = (torch.from_numpy(pixels).float() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    expected = [rollout(maps)[0, 1:] for maps in attention_maps(ours, inputs).swapaxes(0, 1)]
    assert np.allclose(rollouts, expected, atol=1e-4)
    assert main(["weights=deit_ti", f"run={tmp_path}"]) == 2
    assert "run= and weights= are both given" in capsys.readouterr().err
