"""Where a run starts: `init_from=` and `pretrained=` into a file or a published name, checked before any run starts.

`init_from` names a finished run's folder (which must have kept its weights) or a checkpoint, `pretrained` a checkpoint
or a published weight name. Free of torch at import; torch is loaded only to compare a file with the model.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from scaling.config import ConfigError
from scaling.config.model_config import ModelConfig
from scaling.records.cell_folder import BEST_FILE, WEIGHTS_FILE
from scaling.records.files import first_line
from scaling.records.record import FILE_NAME, Record, RecordError, read_record
from scaling.records.replay import ReplayError, replayed

SWEEP = "finetune"  # where fine-tuned runs go unless told: beside the sweep that they come from, not into its curves


class InitError(ValueError):
    """A start that cannot be made; the message says in one line why, and what would do."""


class SourceError(InitError):
    """The run to start from has no result yet: its cell waits, and others of the sweep do not."""


def _how_to_keep(record: Record, run: Path) -> str:
    out = run.resolve().parent.parent
    try:
        known = replayed(record.overrides)
    except ReplayError:
        return "another run of it with keep=last"
    words = known + ([] if out == Path("runs").resolve() else [f"out={out}"]) + ["keep=last"]
    return f"python -m scaling.train {shlex.join(words)}"


def _source(run: Path) -> Record:
    try:
        record = read_record(run / FILE_NAME)
    except (RecordError, OSError) as error:
        raise InitError(f"{run}: not a run's folder, it has no readable {FILE_NAME}") from error
    if record.status != "finished":
        raise InitError(f"{run}: this run is {record.status}, not finished")
    return record


def kept_weights(run: Path) -> Path | None:
    """The weights in a run's folder: the final ones if they are there, else the best, else None."""
    return next((run / name for name in (WEIGHTS_FILE, BEST_FILE) if (run / name).is_file()), None)


def weights_path(start: str) -> Path:
    """The file of weights that a run's folder or a checkpoint's path means.

    Raises:
        InitError: it is not there; for a run without weights, with the command that makes them.
    """
    path = Path(start)
    if path.is_file():
        return path
    if not path.is_dir():
        raise InitError(f"{start}: neither a finished run's folder nor a checkpoint")
    record = _source(path)
    kept = kept_weights(path)
    if kept:
        return kept
    raise InitError(f"{start} kept no weights; this makes them: {_how_to_keep(record, path)}")


def source_run(start: str, *, model: str, train_size: int | None, seed: int) -> str:
    """The folder of the run that `start` means: itself, or of a sweep's folder the run of this model.

    Args:
        model: what the records call it.
        train_size: of the source, where the sweep has several.
        seed: among several seeds the source of the same one is taken.

    Raises:
        InitError: a sweep's folder has no such run, or several.
        SourceError: it has one, which is not finished.
    """
    folder = Path(start)
    if not folder.is_dir() or (folder / FILE_NAME).exists():
        return start
    found = [(path.parent, _record_in(path.parent)) for path in sorted(folder.glob(f"*/{FILE_NAME}"))]
    found = [(run, record) for run, record in found if record.model == model and record.purpose == "sweep"]
    if not found:
        return start  # `weights_path` says what is wrong with it
    wanted = [(run, r) for run, r in found if train_size in (None, r.train_size)]
    wanted = [(run, r) for run, r in wanted if r.seed == seed] or wanted
    if not wanted:
        raise SourceError(f"{start}: no run of {model} on {train_size} images; there are {_sizes(found)}")
    if len(wanted) > 1:
        more = "pretrain_size= says which size" if len({r.train_size for _, r in wanted}) > 1 else "name one of them"
        raise InitError(f"{start}: {len(wanted)} runs of {model}; {more} ({_sizes(found)})")
    run, record = wanted[0]
    if record.status != "finished":
        raise SourceError(f"{run}: the run to start from is {record.status}, not finished")
    return str(run)


def _record_in(run: Path) -> Record:
    try:
        return read_record(run / FILE_NAME)
    except (RecordError, OSError) as error:
        raise InitError(f"{run}: its {FILE_NAME} cannot be read") from error


def _sizes(found: Sequence[tuple[Path, Record]]) -> str:
    return ", ".join(f"{n:,}" for n in sorted({record.train_size for _, record in found}))


@functools.lru_cache(maxsize=8)
def _digest(path: Path, changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@functools.lru_cache(maxsize=64)
def _check_fits(start: str, changed: int, model: ModelConfig, image_size: int, channels: int, classes: int) -> None:
    """Holds a file, or (`changed` 0) a published name, against the model, which is built without memory."""
    import torch

    from scaling.models.build import build_model
    from scaling.models.library_weights import check_named_weights
    from scaling.models.weights import WeightsError, fit_weights, read_weights

    with torch.device("meta"):
        built = build_model(model, image_size=image_size, channels=channels, num_classes=classes)
    try:
        if changed:
            fit_weights(built, read_weights(Path(start)), mode=model.pos_embed_resize)
        else:
            check_named_weights(start, built, mode=model.pos_embed_resize)
    except WeightsError as error:
        raise InitError(f"{start}: {error}" if start not in str(error) else str(error)) from error


def check_start(
    *,
    init_from: str | None,
    pretrained: str | None,
    model: ModelConfig,
    image_size: int,
    channels: int,
    num_classes: int,
    locality: float,
) -> str:
    """A fingerprint of the weights that a run starts from; "" where it starts from none.

    Raises:
        InitError: there are no such weights, or they do not fit the model.
    """  # fmt: skip
    start = init_from or pretrained
    if start is None:
        return ""
    if init_from and pretrained:
        raise InitError("init_from and pretrained are both given; one run has one start")
    if pretrained and not Path(pretrained).exists():
        if re.fullmatch(r"(timm|torchvision):\S+|hub:\S+/\S+|https://\S+", pretrained):
            _check_fits(pretrained, 0, model, image_size, channels, num_classes)
            return pretrained
        raise InitError(f"pretrained={pretrained} is neither a file nor timm:NAME or torchvision:NAME")
    path = weights_path(start)
    if Path(start).is_dir():
        source = _source(Path(start))
        if min(locality, source.locality) < 1 and source.image_size != image_size:
            raise InitError(f"{start}: below locality 1 the patches of another image_size change places differently")
    changed = path.stat().st_mtime_ns
    _check_fits(str(path), changed, model, image_size, channels, num_classes)
    return _digest(path, changed)


@functools.lru_cache(maxsize=64)
def fetch_weights(name: str, place: str) -> None:
    """Brings published weights here, where their library keeps them.

    Args:
        name: what `named_weights` takes.
        place: what a user without a network is told to do with the file.

    Raises:
        InitError: they cannot be had; the message says which file to put where.
    """
    from scaling.models.library_weights import address_of, named_weights
    from scaling.models.weights import WeightsError

    try:
        named_weights(name)
    except WeightsError as error:
        elsewhere = f"without a network get {address_of(name)} elsewhere and {place}"
        raise InitError(f"{first_line(error)}; {elsewhere}") from error


def inherit(arguments: Sequence[str]) -> list[str]:
    """The command line of a fine-tune: what the run in `init_from=` was, before what is asked for now.

    Model, data and recipe are the source run's where the command line does not name them. Given a model, nothing is
    taken over, and a fine-tune's own overrides run it again as they stand.

    Raises:
        ConfigError: the record holds words that set anything else than a cell.
    """
    asked = dict(word.lstrip("+~").split("=", 1) for word in arguments if "=" in word)
    run = Path(asked.get("init_from", "").strip("'\""))
    if not asked.get("init_from") or {"model", "sweeps"} & set(asked) or not (run / FILE_NAME).is_file():
        return list(arguments)
    try:
        source = _source(run)
    except InitError:
        return list(arguments)  # `check_start` refuses it
    try:
        words = replayed(source.overrides)
    except ReplayError as error:
        raise ConfigError(f"init_from={run}: {FILE_NAME} there holds {error}") from error
    taken = []
    for word in words:
        key = word.split("=", 1)[0]
        replaced = key in asked or (key.startswith("data.") and "data" in asked)
        if not replaced and key not in ("sweep", "init_from", "pretrained"):
            taken.append(word)
    return taken + list(arguments) + ([] if "sweep" in asked else [f"sweep={SWEEP}"])
