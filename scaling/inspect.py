"""Measures what a finished run with kept weights, or a checkpoint, has learned; writes `inspect.json` and
`inspect.npz`. `python -m scaling.inspect run=RUN`; `python -m analysis.plot run=RUN` draws them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from scaling import __version__
from scaling.compose.parse import parse
from scaling.compose.paths import CONF
from scaling.compose.start_weights import InitError, kept_weights, weights_path
from scaling.config import CellConfig, ConfigError
from scaling.records.cell_folder import BEST_FILE, WEIGHTS_FILE
from scaling.records.exit_status import exit_status
from scaling.records.files import one_line, write_whole
from scaling.records.question import IN_EVERY_KEY
from scaling.records.record import FILE_NAME, Record, find_records, read_record
from scaling.records.replay import ReplayError, replayed

USAGE = """usage: python -m scaling.inspect run=PATH [images=128]
       python -m scaling.inspect checkpoint=FILE model=NAME data=NAME [key=value ...] [out=DIR] [images=128]

Writes inspect.json (numbers) and inspect.npz (arrays) about what a ViT learned.
  run=PATH         a run's folder, or a sweep's: then every run in it that kept its weights (keep=last); beside records
  checkpoint=FILE  weights of any origin that pretrained= takes; model=, data= and their settings as in scaling.train
                   say what they are of (the first data.train_size images give mean and deviation of the inputs).
                   Of a run's own weights nothing needs to be said.
  out=DIR          for a checkpoint; FILE without its suffix, and "-inspect", by default
  images=128       test images that attention is averaged over
`python -m analysis.plot run=DIR` draws them."""

EXAMPLES = 8  # images whose rollout is kept
_BATCH = 32
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


def _places(cell: CellConfig, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each token's patch and each of a patch's pixels comes from: (tokens, 2) and (patch_size**2,)."""
    from scaling.data.subsets.locality import locality_permutation
    from scaling.models.inspection import grid_places

    data, patch = cell.data, cell.data.image_size // grid
    if data.locality == 1:
        return grid_places(grid), np.arange(patch**2)
    _, patches, within = locality_permutation(
        image_size=data.image_size, patch_size=patch, locality=data.locality, seed=data.permute_seed
    )
    return grid_places(grid)[patches], within


def _vit_numbers(model: Any, cell: CellConfig, splits: Any, images: int) -> tuple[dict[str, Any], dict[str, Any]]:
    from scaling.models import inspection as learned

    patch = model.patch_embed.patch_size
    places, within = _places(cell, model.grid)
    components, share = learned.principal_filters(model.patch_embed.proj.weight.detach().numpy())
    filters = np.empty((len(components), components.shape[1] // patch**2, patch**2), dtype=np.float32)
    filters[:, :, within] = components.reshape(filters.shape)
    arrays: dict[str, Any] = {"filters": filters.reshape(*filters.shape[:2], patch, patch), "places": places}
    numbers: dict[str, Any] = {"filters_variance": share.tolist(), "positions": None}
    if model.pos_embed is not None:
        similarity = learned.cosine_similarity(model.pos_embed.detach()[0, model.prefix :].double().numpy())
        score = learned.position_score(similarity, places)
        arrays["position_similarity"] = similarity.astype(np.float32)
        numbers["positions"] = score and dataclasses.asdict(score)

    shown, _ = next(splits.test.in_order(images))
    distances: list[np.ndarray] = []
    rollouts: list[np.ndarray] = []
    for start in range(0, len(shown), _BATCH):
        maps = learned.attention_maps(model, splits.inputs(shown[start : start + _BATCH]))
        inner = maps[..., model.prefix :, model.prefix :]
        distances.append(learned.attention_distance(inner, places, patch_size=patch))  # (depth, batch, heads)
        for example in range(max(0, min(maps.shape[1], EXAMPLES - len(rollouts)))):
            flow = learned.rollout(maps[:, example])
            # Without a class token the head reads the mean of the patches: so does the map.
            rollouts.append(flow[0, 1:] if model.prefix else flow.mean(axis=0))
    distance = np.concatenate(distances, axis=1).mean(axis=1)  # (depth, heads)
    uniform = learned.attention_distance(np.ones((len(places),) * 2), places, patch_size=patch)
    numbers |= {
        "attention_distance": distance.tolist(),  # pixels, [layer][head]
        "attention_distance_uniform": float(uniform),  # of attention that does not care where
        "attention_images": len(shown),
        "rollout_of": "cls token" if model.prefix else "mean of the patches",
    }
    arrays["attention_distance"] = distance
    arrays["rollout"] = np.array(rollouts, dtype=np.float32)  # (examples, tokens), by token
    arrays["examples"] = shown[:EXAMPLES].numpy()  # uint8 (examples, channels, size, size), unpermuted
    return numbers, arrays


def _write(folder: Path, numbers: dict[str, Any], arrays: dict[str, Any]) -> None:
    """The numbers go last and in one step: with them the arrays are there."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "inspect.npz", **arrays)
    text = json.dumps(numbers, indent=1, allow_nan=False, ensure_ascii=False)
    write_whole(folder / "inspect.json", text.encode("utf-8"))


def _inspect(cell: CellConfig, weights: Path, said: dict[str, Any], *, images: int, out: Path) -> dict[str, Any]:
    """Inspects the weights of a cell's model over its test images; of a CNN only the first layer's filters are kept."""
    import torch

    from scaling.data.splits import load_splits
    from scaling.models.build import build_model
    from scaling.models.vit import ViT
    from scaling.models.weights import WeightsError, load_weights, read_weights

    splits = load_splits(cell.data, torch.device("cpu"))
    channels = cell.data.channels
    model = build_model(
        cell.model, image_size=cell.data.image_size, channels=channels, num_classes=cell.num_classes
    ).eval()
    try:
        load_weights(model, read_weights(weights), mode=cell.model.pos_embed_resize)
    except WeightsError as error:
        raise InitError(str(error) if str(weights) in str(error) else f"{weights}: {error}") from error
    numbers = dict(said)
    if isinstance(model, ViT):
        found, arrays = _vit_numbers(model, cell, splits, images)
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
    model, data = cell.model, cell.data
    known = dict(name=file.stem, family=model.family, model=model.name, width=model.width, depth=model.depth,
                 patch_size=model.patch_size, data=data.name, locality=data.locality,
                 image_size=data.image_size, init_from=str(file))  # fmt: skip
    out = file.with_name(f"{file.stem}-inspect") if out is None else out
    return _inspect(cell, file, dict.fromkeys(_SAID) | known, images=images, out=out)


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


def _run(arguments: Sequence[str]) -> None:
    values = dict(word.split("=", 1) for word in arguments if "=" in word)
    own = {key: values.pop(key) for key in ("run", "checkpoint", "images", "out") if key in values}
    odd = [word for word in arguments if "=" not in word] + ([] if own.get("checkpoint") else list(values))
    if odd:
        raise InitError(f"{odd[0]!r} is not run=, checkpoint= or images=; --help says more")
    if bool(own.get("run")) == bool(own.get("checkpoint")):
        raise InitError(
            "run= or checkpoint= is missing" if not own.get("run") else "run= and checkpoint= are both given"
        )
    text = own.get("images", "128")
    if not text.isdecimal() or int(text) < 1:
        raise InitError(f"images={text} is not a number of images")
    images, out = int(text), own.get("out")
    file = Path(own.get("checkpoint") or own.get("run", ""))
    words = [word for word in arguments if word.split("=", 1)[0] in values]
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
