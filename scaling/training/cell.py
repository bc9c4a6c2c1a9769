"""Runs one cell, from its config to its record on disk: the only place where data, model, training and record meet."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scaling.config import CellConfig
from scaling.config.cell_config import FORWARD
from scaling.data.batches.augment import make_augment
from scaling.data.identity import data_fields
from scaling.data.splits import Splits, load_splits
from scaling.models.build import build_model, config_train_flops, num_params
from scaling.models.devices import device_label, find_device, keep_freed_memory
from scaling.models.weights import save_weights
from scaling.records.cell_fields import UNKNOWN, known_fields
from scaling.records.cell_folder import BEST_FILE, WEIGHTS_FILE
from scaling.records.files import write_whole
from scaling.records.record import Record, write_record
from scaling.records.wrong_images import WrongImages, write_wrong_images
from scaling.tracking import Tracker, track
from scaling.training.checkpoint import Checkpoints, clear_checkpoints, stop_request
from scaling.training.fine_tuning import recipe_fields, training_mode, zero_head
from scaling.training.pretraining import keep_pictures, start_fields
from scaling.training.probe_cell import probe_and_test
from scaling.training.processes import world
from scaling.training.started import build
from scaling.training.trainer import CurvePoint, Diverged, TrainingSettings, evaluate, train

_POINTS_PER_CHECK = 5  # of the training curve: with keep=best about ten looks at the validation set


class Run:
    """What a cell collects on its way: the points of its curve and, with keep=best, the best weights so far."""

    def __init__(self, cell: CellConfig, model: torch.nn.Module, splits: Splits, tracker: Tracker) -> None:
        self.cell, self.model, self.splits, self.tracker = cell, model, splits, tracker
        self.points: list[CurvePoint] = []
        self.best: dict[str, Any] = {}

    def report(self, point: CurvePoint) -> None:
        self.points.append(point)
        self.tracker.log(dataclasses.asdict(point))
        if self.cell.keep == "best" and (len(self.points) % _POINTS_PER_CHECK == 0 or point.step == self.cell.steps):
            self._keep_if_best(point.step)

    def _keep_if_best(self, step: int) -> None:
        val_error = evaluate(self.model, self.splits, self.splits.val, precision=self.cell.precision).error
        training_mode(self.model, self.cell.optim)
        if not self.best or val_error < self.best["val_error"]:
            weights = {key: value.detach().cpu().clone() for key, value in self.model.state_dict().items()}
            self.best = dict(val_error=val_error, step=step, weights=weights)

    def state(self) -> dict[str, Any]:
        return {"points": [dataclasses.asdict(point) for point in self.points], "best": self.best}

    def take_over(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint; the points before it are logged again, since this W&B run begins anew."""
        self.best = state["best"]
        for values in state["points"]:
            self.points.append(CurvePoint(**values))
            self.tracker.log(values)


def _train_and_test(run: Run, checkpoints: Checkpoints) -> tuple[dict[str, Any], WrongImages]:
    """Trains the model and returns the fields that only a finished run has, and the images that it gets wrong. The test
    set is touched here, once."""
    cell, model, splits = run.cell, run.model, run.splits
    settings = TrainingSettings(
        optim=cell.optim,
        steps=cell.steps,
        seed=cell.seed,
        precision=cell.precision,
        augment=make_augment(cell.data, num_classes=cell.num_classes, fill=splits.mean),
    )
    with stop_request.waits():
        seconds = train(model, splits, settings, report=run.report, checkpoints=checkpoints)
    measure = functools.partial(evaluate, model, splits, precision=cell.precision)
    train_error, val = measure(splits.train).error, measure(splits.val)
    test = measure(splits.test)
    # Every validation set is the start of one pool in its own order (subsets/nested_order).
    wrong = WrongImages(test.wrong, val.wrong, np.arange(len(splits.val), dtype=np.int32))
    results = dict(
        train_error=train_error,
        val_error=val.error,
        test_error=test.error,
        test_loss=test.loss,
        test_balanced_error=test.balanced_error,
        train_seconds=seconds,
        images_per_second=cell.steps * cell.optim.batch_size / seconds,
        status="finished",
    )
    return results, wrong


def _keep_weights(run: Run) -> None:
    if run.cell.keep == "last":
        save_weights(run.model.state_dict(), run.cell.folder / WEIGHTS_FILE)
    if run.cell.keep == "best":
        save_weights(run.best["weights"], run.cell.folder / BEST_FILE)
    if run.cell.keep != "none":
        keep_pictures(run.cell, run.splits)


def _known_before(cell: CellConfig, splits: Splits) -> dict[str, Any]:
    """What a record says of a run whose data are loaded, before anything is computed."""
    shape = dict(image_size=cell.data.image_size, channels=cell.data.channels, num_classes=cell.num_classes)
    with torch.device("meta"):
        model = build_model(cell.model, **shape)
    passed = FORWARD if cell.adaptation == "probe" else 1.0  # of a training step's arithmetic
    return recipe_fields(cell, model) | dict(
        num_params=num_params(model),
        train_flops=passed * config_train_flops(cell.model, **shape) * cell.seen_examples,
        val_examples=len(splits.val),
        test_examples=len(splits.test),
    )


def _write_curve(points: list[CurvePoint], folder: Path) -> None:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(CurvePoint)])
    writer.writeheader()
    writer.writerows(dataclasses.asdict(point) for point in points)
    write_whole(folder / "curve.csv", file.getvalue().encode())


def run_cell(cell: CellConfig) -> Record:
    """Trains, evaluates and records one cell. An error inside becomes a record with status failed or diverged.

    A run that was interrupted goes on from its checkpoint. A finished or diverged one leaves none; a failed one keeps
    its own, so that retry= has less to do.

    Raises:
        Stopped: the process was asked to stop; there is no record.
        OSError: the record cannot be written.
    """
    torch.set_num_threads(cell.threads)
    keep_freed_memory()
    device = find_device(cell.device)
    processes = world()
    label = device_label(device) + (f" x{processes.size}" if processes else "")
    fields = known_fields(cell, device=label, torch_version=torch.__version__) | UNKNOWN
    run: Run | None = None
    data = cell.data
    with track(cell) as tracker:
        try:
            splits = load_splits(data, device, fingerprint=cell.fingerprint)
            fields |= data_fields(data, cell.folder.parent)
            fields |= _known_before(cell, splits) | start_fields(cell, splits)
            if cell.adaptation == "probe":
                results, wrong = probe_and_test(cell, splits, device)
            else:
                run = Run(cell, build(cell, channels=data.channels, device=device), splits, tracker)
                if cell.adapt == "full":
                    zero_head(run.model, splits)
                checkpoints = Checkpoints(cell.folder, cell.config_hash, seconds=cell.checkpoint_seconds, rest=run)
                results, wrong = _train_and_test(run, checkpoints)
                _keep_weights(run)
            write_wrong_images(wrong, cell.folder)
            fields |= results  # only now: a run whose files could not be written has failed
        except Diverged as error:
            fields |= dict(status="diverged", error_text=str(error))
        except Exception as error:  # one cell's failure must not be the sweep's: it is recorded with its text
            where = "".join(traceback.format_exception(error)[-3:]).strip()
            fields |= dict(status="failed", error_text=where)
        record = Record(**fields)
        tracker.summarize(record.to_dict())
        _write_curve(run.points if run else [], cell.folder)
        write_record(record, cell.folder)  # before the trackers end, which may have to wait for a service
    if record.status != "failed":
        clear_checkpoints(cell.folder)
    return record
