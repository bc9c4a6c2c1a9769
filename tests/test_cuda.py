"""The same road on a GPU, where one is at hand: same data, same model, same numbers within rounding."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scaling.data.batches.augment import Augment
from scaling.data.splits import load_splits
from scaling.models.build import build_model
from scaling.records.record import FILE_NAME, read_record
from scaling.sweep.run_cells import run_cells
from scaling.training.trainer import TrainingSettings, evaluate, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SMALL = ("data.image_size=16", "data.permute_patch=4", "data.train_size=200", "data.test_size=500", "wandb=disabled")


@pytest.mark.parametrize("model", ["resnet8", "vit_w48d3"])
@pytest.mark.parametrize("augmentation", ["none", "flip_crop"])
def test_a_few_steps_on_cuda_are_those_on_the_cpu(make_cell: Callable, model: str, augmentation: str) -> None:
    cell = make_cell(*SMALL, f"model={model}", "data.locality=0", "optim.lr=1e-3")
    losses: dict[str, list[float]] = {"cpu": [], "cuda": []}
    tests = {}
    for name, reported in losses.items():
        torch.manual_seed(0)
        splits = load_splits(cell.data, torch.device(name))
        network = build_model(cell.model, image_size=16, channels=1, num_classes=10).to(name)
        augment = Augment(window=augmentation)
        settings = TrainingSettings(optim=cell.optim, steps=20, seed=0, precision="fp32", augment=augment)
        train(network, splits, settings, report=lambda point, kept=reported: kept.append(point.train_loss))
        tests[name] = evaluate(network, splits, splits.test, precision="fp32")[:3]
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.02)
    assert tests["cuda"] == pytest.approx(tests["cpu"], rel=0.05)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_several_cells_share_one_gpu(make_cell: Callable, tmp_path: Path, precision: str) -> None:
    words = (*SMALL, "device=cuda", "workers=2", "budget.steps=100", f"precision={precision}", f"out={tmp_path}")
    cells = [make_cell(*words, f"model={model}") for model in ("resnet8", "vit_w48d3")]
    assert run_cells(cells).finished == 2
    for cell in cells:
        record = read_record(cell.folder / FILE_NAME)
        assert record.device == torch.cuda.get_device_name()
        assert record.precision == precision
