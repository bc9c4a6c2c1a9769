"""What is known of a run's start: which file or published name `weights=` means, and what its inputs should be like."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.compose.start_weights import InitError, fetch_weights
from scaling.config import CellConfig, DataConfig
from scaling.config.model_config import ModelConfig
from scaling.config.setting import limit_problem
from scaling.config.weights_config import StartFacts, WeightsConfig
from scaling.records.cell_folder import BEST_FILE, WEIGHTS_FILE
from scaling.records.record import FILE_NAME, RecordError, read_record
from scaling.records.weights_at_hand import own_file, own_place

if TYPE_CHECKING:
    from scaling.records.record import Record

UNKNOWN_START = StartFacts()


def start_of(weights: WeightsConfig, model: ModelConfig, cache: str | None) -> str | None:
    """What `pretrained=` would say of a checkpoint of conf/weights/; None for weights=none.

    Raises:
        InitError: the model is another one, or a setting cannot be.
    """
    problem = limit_problem(weights, "weights.")
    if problem is None and weights.std is not None and min(weights.std) <= 0:
        problem = f"weights.std={list(weights.std)}: a deviation is above 0"
    if problem is not None:
        raise InitError(problem)
    if weights.name == "none":
        if weights.file is not None:
            raise InitError(f"weights.file={weights.file} says which file weights=NAME is; for weights that have no "
                            "name in conf/weights/ write pretrained=FILE")  # fmt: skip
        return None
    if (model.source, model.name) != (weights.library, weights.model):
        raise InitError(f"weights={weights.name} are of model={weights.library} model.name={weights.model}, not of "
                        f"{model.source}'s {model.name}; leave model= out")  # fmt: skip
    if weights.file is not None:
        path = Path(weights.file).expanduser()
        if not path.is_file():
            raise InitError(f"weights.file={weights.file}: there is no such file")
        return str(path)
    found = own_file(weights.name, cache)
    return weights.source if found is None else str(found)


def with_named(top: Any, weights: WeightsConfig, named: str | None) -> Any:
    """The settings outside the groups with a checkpoint of conf/weights/ as their start.

    Raises:
        InitError: they have another start.
    """
    if named is None:
        return top
    if top.init_from or top.pretrained:
        raise InitError(f"weights={weights.name} is a start, and so is init_from= or pretrained=; one of them")
    return dataclasses.replace(top, pretrained=named)


def _of_run(record: Record) -> StartFacts:
    """Of a run's own weights; with what it started from itself, if it did."""
    data = record.data if record.pretrain_data is None else f"{record.pretrain_data}+{record.data}"
    return StartFacts(
        data=data,
        size=record.train_size + (record.pretrain_size or 0),
        image_size=record.image_size,
        mean=record.input_mean,
        std=record.input_std,
    )


def start_facts(weights: WeightsConfig, *, init_from: str | None, pretrained: str | None) -> StartFacts:
    """What is known of a start, without loading its weights.

    Raises:
        InitError: no library has published weights of that name.
    """
    if weights.name != "none":
        values = {field.name: getattr(weights, field.name) for field in dataclasses.fields(StartFacts)}
        for name in ("mean", "std"):
            values[name] = None if values[name] is None else tuple(values[name])
        return StartFacts(**values)
    start = Path(init_from or pretrained or "")
    run = start.parent if start.name in (WEIGHTS_FILE, BEST_FILE) else start
    if (init_from or pretrained) and (run / FILE_NAME).is_file():
        try:
            return _of_run(read_record(run / FILE_NAME))
        except RecordError:
            return UNKNOWN_START  # `check_start` refuses it
    if pretrained is not None and pretrained.startswith(("timm:", "torchvision:")) and not Path(pretrained).exists():
        from scaling.models.library_weights import published_facts  # torch, and theirs: loaded only when asked for
        from scaling.models.weights import WeightsError

        try:
            return published_facts(pretrained)
        except WeightsError as error:
            raise InitError(str(error)) from error
    return UNKNOWN_START


def with_inputs(data: DataConfig, facts: StartFacts) -> DataConfig:
    """The data config with what the start decides of its inputs filled in; without such a start it stays as it is.

    Raises:
        InitError: inputs are to be as the weights expect, and nobody knows how that is.
    """
    if data.normalize == "weights" and facts.mean is None:
        raise InitError("data.normalize=weights: nothing tells what these weights expect, or there are none; "
                        "data.normalize=subset takes the training images")  # fmt: skip
    if data.resize is None and facts.resize is not None:
        data = dataclasses.replace(data, resize=facts.resize)
    if data.crop_share is None and facts.crop_share is not None:
        data = dataclasses.replace(data, crop_share=facts.crop_share)
    if data.normalize == "subset" or facts.mean is None or facts.std is None:
        return data
    if len(facts.mean) != data.channels and data.normalize == "auto" and facts.data is None:
        return data  # `check_start` says what does not fit
    if len(facts.mean) != data.channels:
        wrong = f"these weights expect images of {len(facts.mean)} channels, not data.channels={data.channels}"
        raise InitError(f"{wrong}; choose other data= or data.channels=")
    return dataclasses.replace(data, normalize="weights", input_mean=facts.mean, input_std=facts.std)


def fetch_starts(cells: Iterable[CellConfig]) -> None:
    """Brings the published weights of cells here before the first of them starts.

    Raises:
        InitError: some cannot be had; the message says which file to put where.
    """
    for cell in cells:
        if cell.start is not None and cell.start == cell.start_fingerprint:  # a name, not a file
            place = own_place(cell.weights.name, cell.data.cache)
            named = f"name it with weights.file=FILE or put it to {place}"
            fetch_weights(cell.start, "name it with pretrained=FILE" if cell.weights.name == "none" else named)
