"""Measures what a finished run with kept weights, or a checkpoint, has learned; writes `inspect.json` and
`inspect.npz`. `python -m scaling.inspect run=RUN`; `python -m analysis.plot run=RUN` draws them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from scaling import __version__
from scaling.compose.parse import parse
from scaling.compose.paths import CONF
from scaling.compose.start_facts import fetch_starts
from scaling.compose.start_weights import InitError, kept_weights, weights_path
from scaling.config import CellConfig, ConfigError
from scaling.records.cell_folder import BEST_FILE, WEIGHTS_FILE
from scaling.records.exit_status import exit_status
from scaling.records.files import one_line, write_whole
from scaling.records.question import IN_EVERY_KEY
from scaling.records.record import FILE_NAME, Record, find_records, read_record
from scaling.records.replay import ReplayError, replayed

if TYPE_CHECKING:
    import torch

USAGE = """usage: python -m scaling.inspect run=PATH [images=128]
       python -m scaling.inspect weights=NAME data=folder data.root=DIR [key=value ...] [out=DIR] [images=128]
       python -m scaling.inspect checkpoint=FILE model=NAME data=NAME [key=value ...] [out=DIR] [images=128]

Writes inspect.json (numbers) and inspect.npz (arrays) about what a ViT learned.
  run=PATH         a run's folder, or a sweep's: then every run in it that kept its weights (keep=last); beside records
  checkpoint=FILE  weights of any origin that pretrained= takes; model=, data= and their settings as in scaling.train
                   say what they are of (the first data.train_size images give mean and deviation of the inputs).
                   Of a run's own weights nothing needs to be said.
  weights=NAME     a checkpoint of conf/weights/: what it attends to on your images
  out=DIR          for these two; FILE without its suffix, or NAME, and "-inspect", by default
  images=128       test images that attention is averaged over
`python -m analysis.plot run=DIR` draws them."""

_SAID = ("name", "family", "model", "width", "depth", "patch_size", *IN_EVERY_KEY, "train_size",
         "subset_seed", "seed", "lr", "steps", "test_error", "init_from")  # fmt: skip


def _compose(words: Sequence[str]) -> CellConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return parse(compose("config", [*words, "device=cpu", "wandb=disabled"]))


def _cell(record: Record) -> CellConfig:
    """The cell that a record is of. Where its weights came from does not matter any more."""
    try:
        words = replayed(record.overrides)
    except ReplayError as error:
        raise ConfigError(f"the record of {record.name} holds {error}") from error
    return _compose([word for word in words if not word.startswith(("init_from=", "pretrained="))])


def _write(folder: Path, numbers: dict[str, Any], arrays: dict[str, Any]) -> None:
    """The numbers go last and in one step: with them the arrays are there."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "inspect.npz", **arrays)
    text = json.dumps(numbers, indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(folder / "inspect.json", text.encode("utf-8"))


def _model(cell: CellConfig, weights: Path | None) -> torch.nn.Module:
    """The cell's model with the weights in a file, or without one with those that the cell starts from."""
    import torch

    from scaling.models.build import build_model
    from scaling.models.weights import WeightsError, load_weights, read_weights
    from scaling.training.started import build

    channels = cell.data.channels
    if weights is None:
        return build(cell, channels=channels, device=torch.device("cpu")).eval()
    model = build_model(cell.model, image_size=cell.data.image_size, channels=channels, num_classes=cell.num_classes)
    try:
        load_weights(model, read_weights(weights), mode=cell.model.pos_embed_resize)
    except WeightsError as error:
        raise InitError(str(error) if str(weights) in str(error) else f"{weights}: {error}") from error
    return model.eval()


def _inspect(cell: CellConfig, weights: Path | None, said: dict[str, Any], *, images: int, out: Path) -> dict[str, Any]:
    """Inspects the weights of a cell's model over its test images; of a CNN only the first layer's filters are kept."""
    import torch

    from scaling.data.splits import load_splits
    from scaling.models.inspection import inspected
    from scaling.training.vit_numbers import vit_numbers

    splits = load_splits(cell.data, torch.device("cpu"))
    model, numbers = _model(cell, weights), dict(said)
    vit = inspected(model)
    if vit is not None:
        found, arrays = vit_numbers(vit, cell, splits, images)
        numbers |= found
    else:
        kernels = [module.weight for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
        arrays = {"filters": kernels[0].detach().numpy()} if kernels else {}
    _write(out, numbers, arrays)
    return numbers


def inspect_run(folder: Path, *, images: int = 128) -> dict[str, Any]:
    """Inspects one run, writes both files beside its record and returns the numbers.

    Raises:
        ConfigError, InitError: no finished run, no kept weights, or data that are no longer there.
    """
    weights = weights_path(str(folder))
    record = read_record(folder / FILE_NAME)
    said = {key: getattr(record, key) for key in _SAID}
    return _inspect(_cell(record), weights, said, images=images, out=folder)


def inspect_checkpoint(
    file: Path, words: Sequence[str], *, images: int = 128, out: Path | None = None
) -> dict[str, Any]:
    """Inspects weights that no record tells about; `words` are overrides that say what they are of. How they were
    trained is unknown: the numbers say None.

    Raises:
        ConfigError, InitError: the words compose to no cell, or the weights do not fit it.
    """
    if not file.is_file():
        raise InitError(f"checkpoint={file} is no file")
    cell = _compose(words)
    out = file.with_name(f"{file.stem}-inspect") if out is None else out
    return _inspect(cell, file, _known(cell, file.stem, str(file)), images=images, out=out)


def inspect_named(words: Sequence[str], *, images: int = 128, out: Path | None = None) -> dict[str, Any]:
    """Inspects a checkpoint of conf/weights/ (`weights=NAME` is among the words) on the data that the words name.

    Raises:
        ConfigError, InitError: the words compose to no cell, or the weights cannot be had.
    """
    sized = any(word.startswith(("data.train_size=", "data.per_class=")) for word in words)
    cell = _compose([*words, *(() if sized else ("data.per_class=1",))])  # nothing is trained
    if cell.start is None:
        raise InitError("weights=none starts from nothing that could be inspected")
    fetch_starts([cell])
    name = cell.weights.name
    out = Path(f"{name}-inspect") if out is None else out
    return _inspect(cell, None, _known(cell, name, cell.start), images=images, out=out)


def _known(cell: CellConfig, name: str, source: str) -> dict[str, Any]:
    """What is said of weights without a record."""
    model, data = cell.model, cell.data
    return dict.fromkeys(_SAID) | dict(
        name=name, family=model.family, model=cell.model_label, width=model.width, depth=model.depth,
        patch_size=model.patch_size, data=data.name, locality=data.locality, image_size=data.image_size,
        init_from=source,
    )  # fmt: skip


def _sentence(numbers: dict[str, Any]) -> str:
    if numbers["family"] != "vit" or "attention_distance" not in numbers:
        return f"{numbers['name']}: first-layer filters"
    first, *_, last = [float(np.mean(heads)) for heads in numbers["attention_distance"]] * 2
    uniform, score = numbers["attention_distance_uniform"], numbers["positions"]
    text = f"{numbers['name']}: mean attention distance {first:.1f} pixels in the first layer, {last:.1f} in the last"
    text += f" (uniform: {uniform:.1f})"
    if score:
        difference, p_value = score["difference"], score["p_value"]
        text += f"; position embeddings: {difference:+.3f} in cosine within a row or column (p = {p_value:.3g})"
    return text


def _folders(path: Path) -> list[Path]:
    if (path / FILE_NAME).exists() or not path.is_dir():
        return [path]
    found = [file.parent for file in find_records(path) if kept_weights(file.parent)]
    if not found:
        raise InitError(f"{path}: no run in it kept its weights; run the sweep with keep=last")
    return found


def _images(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InitError(f"images={text} is not a number of images")
    return int(text)


def _run(arguments: Sequence[str]) -> None:
    values = dict(word.split("=", 1) for word in arguments if "=" in word)
    own = {key: values.pop(key) for key in ("run", "checkpoint", "images", "out") if key in values}
    words = [word for word in arguments if word.split("=", 1)[0] in values]
    named = bool(own.get("checkpoint")) or "weights" in values
    odd = [word for word in arguments if "=" not in word] + ([] if named else list(values))
    if odd:
        raise InitError(f"{odd[0]!r} is not run=, checkpoint= or images=; --help says more")
    if "weights" in values and not own.get("checkpoint"):
        if own.get("run"):
            raise InitError("run= and weights= are both given")
        print(
            _sentence(
                inspect_named(
                    words, images=_images(own.get("images", "128")), out=Path(own["out"]) if "out" in own else None
                )
            )
        )
        return
    if bool(own.get("run")) == bool(own.get("checkpoint")):
        raise InitError(
            "run= or checkpoint= is missing" if not own.get("run") else "run= and checkpoint= are both given"
        )
    images, out = _images(own.get("images", "128")), own.get("out")
    file = Path(own.get("checkpoint") or own.get("run", ""))
    if not words and file.name in (WEIGHTS_FILE, BEST_FILE) and (file.parent / FILE_NAME).exists():
        own["run"] = str(file.parent)  # a run's own weights: its record says what they are of
    if not own.get("run"):
        if "model" not in values:
            raise InitError(f"{file}: no record tells of what model these weights are; model= and data= say it")
        print(_sentence(inspect_checkpoint(file, words, images=images, out=Path(out) if out else None)))
        return
    if out:
        raise InitError("out= goes with checkpoint=; what run= writes lies beside the record")
    for folder in _folders(Path(own["run"])):
        print(_sentence(inspect_run(folder, images=images)))


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0
    if "--version" in arguments:
        print(__version__)
        return 0
    try:
        _run(arguments)
    except (ConfigError, InitError, HydraException, OmegaConfBaseException, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
