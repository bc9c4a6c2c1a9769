"""Runs one cell, from its config to its record on disk: the only place where data, model, training and record meet."""

from __future__ import annotations

import csv
import dataclasses
import functools
import subprocess
import traceback
from pathlib import Path
from typing import Any

import torch

from scaling.config import CellConfig
from scaling.data import Splits, load_splits
from scaling.init_from import WEIGHTS_FILE, weights_path
from scaling.models import build_model, num_params, train_flops_per_example
from scaling.models.weights import load_weights, named_weights, read_weights, save_weights
from scaling.record import Record, write_record
from scaling.tracking import track
from scaling.trainer import CurvePoint, Diverged, evaluate, train


def find_device(name: str) -> torch.device:
    """The device that `name` means here; "auto" takes CUDA, then MPS, then the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _device_label(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@functools.cache
def _git_commit() -> str | None:
    """The commit of the checkout that this code runs from; None outside one."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _known_before(cell: CellConfig, device: torch.device) -> dict[str, Any]:
    """The fields of the record that the config alone decides."""
    model, data = cell.model, cell.data
    return dict(
        name=cell.cell_name,
        sweep=cell.sweep,
        config_hash=cell.config_hash,
        overrides=cell.overrides,
        family=model.family,
        model=model.name,
        width=model.width,
        depth=model.depth,
        patch_size=model.patch_size if model.family == "vit" else None,
        data=data.name,
        locality=data.locality,
        image_size=data.image_size,
        num_classes=cell.num_classes,
        train_size=data.train_size,
        subset_seed=data.subset_seed,
        seed=cell.seed,
        lr=cell.optim.lr,
        steps=cell.steps,
        seen_examples=cell.steps * cell.optim.batch_size,
        device=_device_label(device),
        precision=cell.precision,
        threads=cell.threads,
        torch_version=torch.__version__,
        git_commit=_git_commit(),
        budget_factor=cell.budget.factor,
        init_from=cell.start,
    )


def _build(cell: CellConfig, channels: int, device: torch.device) -> torch.nn.Module:
    """The cell's model on its device, with the weights that the run starts from where it starts from some."""
    torch.manual_seed(cell.seed)
    model = build_model(
        cell.model, image_size=cell.data.image_size, channels=channels, num_classes=cell.num_classes
    ).to(device)
    if cell.start is not None:
        named = cell.start == cell.start_fingerprint  # a published name is its own fingerprint
        state = named_weights(cell.start) if named else read_weights(weights_path(cell.start))
        load_weights(model, state, mode=cell.model.pos_embed_resize)
    return model


def _train_and_test(cell: CellConfig, splits: Splits, model: torch.nn.Module, report: Any) -> dict[str, Any]:
    """Trains the model and returns the fields that only a finished run has. The test set is touched here, once."""
    seconds = train(
        model,
        splits,
        cell.optim,
        steps=cell.steps,
        seed=cell.seed,
        precision=cell.precision,
        augmentation=cell.data.augment,
        report=report,
    )
    measure = functools.partial(evaluate, model, splits, precision=cell.precision)
    train_error, _ = measure(splits.train_images, splits.train_labels)
    val_error, _ = measure(splits.val_images, splits.val_labels)
    test_error, test_loss = measure(splits.test_images, splits.test_labels)
    return dict(
        train_error=train_error,
        val_error=val_error,
        test_error=test_error,
        test_loss=test_loss,
        train_seconds=seconds,
        images_per_second=cell.steps * cell.optim.batch_size / seconds,
        status="finished",
    )


_NOT_FINISHED: dict[str, Any] = dict.fromkeys(
    ("train_error", "val_error", "test_error", "test_loss", "train_seconds", "images_per_second")
)


def _write_curve(points: list[CurvePoint], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "curve.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(CurvePoint)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(point) for point in points)


def run_cell(cell: CellConfig) -> Record:
    """Trains, evaluates and records one cell. An error inside becomes a record with status failed or diverged."""
    torch.set_num_threads(cell.threads)
    device = find_device(cell.device)
    fields = _known_before(cell, device) | _NOT_FINISHED
    fields |= dict(num_params=None, train_flops=None, val_examples=None, test_examples=None)
    points: list[CurvePoint] = []
    data, wandb = cell.data, cell.wandb
    tags = [cell.model.family, cell.model.name, str(data.name), f"n={data.train_size}"]
    config = {key: dataclasses.asdict(cell)[key] for key in ("data", "model", "optim", "budget", "seed", "precision")}
    with track(
        **dataclasses.asdict(wandb),
        folder=Path(cell.out) / cell.sweep,
        run_id=cell.config_hash,
        name=cell.cell_name,
        group=cell.sweep,
        tags=tags,
        config=config,
    ) as tracker:

        def report(point: CurvePoint) -> None:
            points.append(point)
            tracker.log(dataclasses.asdict(point))

        try:
            splits = load_splits(data, device)
            channels = splits.train_images.shape[1]
            model = _build(cell, channels, device)
            flops = train_flops_per_example(model, image_size=data.image_size, channels=channels)
            fields |= dict(
                num_params=num_params(model),
                train_flops=flops * fields["seen_examples"],
                val_examples=len(splits.val_labels),
                test_examples=len(splits.test_labels),
            )
            fields |= _train_and_test(cell, splits, model, report)
            if cell.keep == "last":
                save_weights(model, cell.folder / WEIGHTS_FILE)
        except Diverged as error:
            fields |= dict(status="diverged", error_text=str(error))
        except Exception as error:  # one cell's failure must not be the sweep's: it is recorded with its text
            where = "".join(traceback.format_exception(error)[-3:]).strip()
            fields |= dict(status="failed", error_text=where)
        record = Record(**fields)
        tracker.summarize({**record.to_dict(), "overrides": " ".join(record.overrides)})
    _write_curve(points, cell.folder)
    write_record(record, cell.folder)
    return record
