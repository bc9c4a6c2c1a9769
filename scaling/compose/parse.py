"""From the composed YAML to one `CellConfig`, typed at the door: what is wrong is refused before any run starts."""

from __future__ import annotations

import dataclasses
import os
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.paths import STUDY
from scaling.compose.plain_errors import type_error
from scaling.compose.start_weights import InitError, check_start
from scaling.config import BudgetConfig, CellConfig, ConfigError, DataConfig, OptimConfig, WandbConfig
from scaling.config.model_config import ModelConfig, ModelError
from scaling.data.at_start import seen_at_start
from scaling.data.check import check_data
from scaling.data.errors import DataError
from scaling.models.check import check_model
from scaling.records.files import first_line
from scaling.tracking import TRACKERS
from scaling.tracking.run import project_problem

_T = TypeVar("_T")
# What else to say of a group with a missing setting.
_ASKED = {"model": ", as in model=timm model.name=convnext_tiny model.family=cnn"}
_filled: dict[str, Any] = {}  # frozen groups by their kind and settings


def _read(kind: type[_T], node: Any, where: str) -> _T:
    """Fills a dataclass from a config node; OmegaConf checks names and types."""
    if not isinstance(node, DictConfig):
        raise ConfigError(f"{where} must be a group of settings, not {node!r}")
    for key in map(str, node):
        if OmegaConf.is_missing(node, key):
            raise ConfigError(f"{where}.{key} is missing: {where}.{key}=... has to be given{_ASKED.get(where, '')}")
    try:
        values = OmegaConf.to_container(node, resolve=True)
        same = repr((kind, values))
        if same in _filled:  # the cells of a sweep share most of their groups
            return _filled[same]
        schema = OmegaConf.structured(kind)
        OmegaConf.set_readonly(schema, False)  # frozen dataclasses come read-only, nested ones again
        for key in schema:
            if not OmegaConf.is_missing(schema, key) and OmegaConf.is_dict(schema[key]):
                OmegaConf.set_readonly(schema[key], False)
        filled = OmegaConf.to_object(OmegaConf.merge(schema, values))
    except OmegaConfBaseException as error:
        place = error.full_key or ""
        key = place if where == "config" else f"{where}.{place}".rstrip(".")
        raise ConfigError(type_error(key or where, first_line(error))) from error
    assert isinstance(filled, kind)
    _filled[same] = filled
    return filled


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _check_run(cell: CellConfig) -> None:
    optim, budget = cell.optim, cell.budget
    _require(optim.name in ("adamw", "sgd"), f"optim.name={optim.name} is neither adamw nor sgd")
    _require(optim.lr > 0, f"optim.lr={optim.lr} is not positive")
    _require(optim.batch_size > 0, f"optim.batch_size={optim.batch_size} is not positive")
    _require(0 <= optim.warmup < 1, f"optim.warmup={optim.warmup} is not a share of the steps")
    _require(budget.steps > 0 and budget.factor > 0 and budget.at > 0, "budget.steps, .at and .factor must be positive")
    rules = ("steps", "epochs", "flops")
    _require(budget.rule in rules, f"budget.rule={budget.rule} is not one of {', '.join(rules)}")
    for key in ("epochs", "flops"):
        value = getattr(budget, key)
        if budget.rule == key:
            _require(value is not None and value > 0, f"budget.rule={key} needs budget.{key}=, a number above 0")
        else:
            _require(value is None, f"budget.{key}={value} has no effect under budget.rule={budget.rule}")
    _require(cell.precision in ("fp32", "bf16"), f"precision={cell.precision} is neither fp32, bf16 nor auto")
    _require(cell.threads > 0, f"threads={cell.threads} is not positive")
    _require(cell.seed >= 0, f"seed={cell.seed} is negative")
    _require(cell.workers is None or cell.workers > 0, f"workers={cell.workers} is not positive")
    device_known = re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", cell.device)
    _require(device_known is not None, f"device={cell.device} is not auto, cpu, cuda or mps")
    retries = (None, "failed", "diverged", "all")
    _require(cell.retry in retries, f"retry={cell.retry} is not failed, diverged or all")
    _require(cell.keep in ("none", "last", "best"), f"keep={cell.keep} is not none, last or best")
    interval = cell.checkpoint_seconds
    _require(interval is None or interval >= 0, f"checkpoint_seconds={interval} is negative (null switches them off)")
    _require(cell.purpose in ("sweep", "tune"), f"purpose={cell.purpose} is neither sweep nor tune")
    modes = ("offline", "online", "disabled")
    _require(cell.wandb.mode in modes, f"wandb.mode={cell.wandb.mode} is not one of {', '.join(modes)}")
    problem = project_problem(cell.wandb.project)
    _require(problem is None, f"wandb.project={cell.wandb.project} {problem}")
    limits = (cell.wandb.init_timeout, cell.wandb.finish_timeout)
    _require(all(0 < limit <= 3600 for limit in limits), f"wandb.*_timeout must be seconds, not {limits}")
    strange = sorted(set(cell.trackers) - set(TRACKERS))
    _require(not strange, f"trackers: {', '.join(strange)} is not one of {', '.join(TRACKERS)}")
    letters = (c in "._-" or unicodedata.category(c)[0] in "LMN" for c in cell.sweep)  # of any script, with its marks
    name_is_legal = all(letters) and cell.sweep.strip(".") != ""
    _require(name_is_legal, f"sweep={cell.sweep!r} names a folder and a W&B group: letters, digits, dots, - and _ only")


@dataclass(frozen=True, kw_only=True)
class _Top:
    """The settings outside the groups."""

    sweep: str
    out: str
    seed: int
    precision: str
    threads: int
    device: str
    workers: int | None
    retry: str | None
    keep: str = "none"
    fail_fast: bool = False
    checkpoint_seconds: float | None = 120.0
    trackers: list[str] = dataclasses.field(default_factory=list)
    purpose: str = "sweep"
    init_from: str | None = None
    pretrained: str | None = None


_GROUPS = {
    "data": DataConfig,
    "model": ModelConfig,
    "optim": OptimConfig,
    "budget": BudgetConfig,
    "wandb": WandbConfig,
}


def _resolve_precision(cell: CellConfig) -> CellConfig:
    """Puts what precision=auto means here in its place, in the overrides too: the record runs again as it was."""
    if cell.precision != "auto":
        return cell
    from scaling.models.devices import auto_precision, find_device  # torch

    found = auto_precision(find_device(cell.device))
    words = tuple(f"precision={found}" if word.startswith("precision=") else word for word in cell.overrides)
    return dataclasses.replace(cell, precision=found, overrides=words)


def parse(config: DictConfig, *, overrides: tuple[str, ...] = ()) -> CellConfig:
    """The cell that a composed config describes (without its `hydra` node).

    Args:
        config: the composed config.
        overrides: what composes it again, for the record.

    Raises:
        ConfigError: a setting is missing, of the wrong type, or cannot work on this data.
    """
    keys = {str(key) for key in config} - {"hydra", *STUDY}
    top = _read(_Top, OmegaConf.masked_copy(config, [k for k in keys if k not in _GROUPS]), "config")
    groups: dict[str, Any] = {name: _read(kind, config.get(name), name) for name, kind in _GROUPS.items()}
    try:
        own = (os.path.abspath(top.out), os.path.abspath(os.path.join(top.out, top.sweep)))
        data, classes, fingerprint = check_data(groups["data"], own=own)
    except DataError as error:
        raise ConfigError(str(error)) from error
    cell = CellConfig(
        **dataclasses.asdict(top) | {"trackers": tuple(top.trackers)},
        **groups | {"data": data},
        num_classes=classes,
        fingerprint=fingerprint,
        overrides=overrides,
    )
    try:
        check_model(
            cell.model,
            image_size=data.image_size,
            channels=data.channels,
            num_classes=classes,
            permute_patch=data.permute_patch if data.locality < 1 else None,
        )
        start_fingerprint = check_start(
            init_from=cell.init_from,
            pretrained=cell.pretrained,
            model=cell.model,
            image_size=data.image_size,
            channels=data.channels,
            num_classes=classes,
            locality=data.locality,
        )
    except (ModelError, InitError) as error:
        raise ConfigError(str(error)) from error
    cell = _resolve_precision(cell)
    _check_run(cell)
    if cell.budget.rule == "flops":
        from scaling.models.build import config_train_flops  # torch: loaded only where a budget counts in FLOPs

        shape = dict(image_size=data.image_size, channels=data.channels, num_classes=classes)
        cell = dataclasses.replace(cell, flops_per_example=config_train_flops(cell.model, **shape))
    try:  # last: it may have to decode
        seen = seen_at_start(data)
    except DataError as error:
        raise ConfigError(str(error)) from error
    return dataclasses.replace(cell, start_fingerprint=start_fingerprint, data_seen=seen)
