"""From the composed YAML to one `CellConfig`, typed at the door: what is wrong is refused before any run starts."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import unicodedata
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from scaling.compose.foreign import refuse_lookup
from scaling.compose.paths import STUDY, leaves
from scaling.compose.plain_errors import type_error
from scaling.compose.start_facts import start_facts, start_of, with_inputs, with_named
from scaling.compose.start_weights import InitError, SourceError, check_start, source_run
from scaling.config import BudgetConfig, CellConfig, ConfigError, DataConfig, OptimConfig, ProbeConfig, WandbConfig
from scaling.config.budget_config import FINE_TUNING
from scaling.config.model_config import ModelConfig, ModelError
from scaling.config.setting import limit_problem
from scaling.config.weights_config import WeightsConfig
from scaling.data.at_start import seen_at_start
from scaling.data.check import check_data
from scaling.data.errors import DataError
from scaling.models.check import check_model
from scaling.models.precision import resolve_precision
from scaling.records.files import first_line
from scaling.records.words import escaped
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
        filled = OmegaConf.to_object(OmegaConf.merge(schema, _as_texts(values)))
    except OmegaConfBaseException as error:
        place = error.full_key or ""
        key = place if where == "config" else f"{where}.{place}".rstrip(".")
        raise ConfigError(type_error(key or where, first_line(error))) from error
    assert isinstance(filled, kind)
    _filled[same] = filled
    return filled


def _as_texts(node: Any) -> Any:
    """What was resolved, written so that it is not resolved again."""
    if isinstance(node, dict):
        return {key: _as_texts(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_as_texts(value) for value in node]
    return escaped(node) if isinstance(node, str) else node


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _check_limits(cell: CellConfig) -> None:
    groups = [(cell, "")] + [(getattr(cell, name), f"{name}.") for name in ("optim", "budget", "wandb", "probe")]
    for group, where in groups:
        problem = limit_problem(group, where)
        _require(problem is None, str(problem))


def _check_run(cell: CellConfig) -> None:
    budget = cell.budget
    for key in ("epochs", "flops"):
        value = getattr(budget, key)
        if budget.rule == key:
            _require(value is not None, f"budget.rule={key} needs budget.{key}=, a number above 0")
        else:
            _require(value is None, f"budget.{key}={value} has no effect under budget.rule={budget.rule}")
    device_known = re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", cell.device)
    _require(device_known is not None, f"device={cell.device} is not auto, cpu, cuda or mps")
    problem = project_problem(cell.wandb.project)
    _require(problem is None, f"wandb.project={cell.wandb.project} {problem}")
    strange = sorted(set(cell.trackers) - set(TRACKERS))
    _require(not strange, f"trackers: {', '.join(strange)} is not one of {', '.join(TRACKERS)}")
    letters = (c in "._-" or unicodedata.category(c)[0] in "LMN" for c in cell.sweep)  # of any script, with its marks
    name_is_legal = all(letters) and cell.sweep.strip(".") != ""
    _require(name_is_legal, f"sweep={cell.sweep!r} names a folder and a W&B group: letters, digits, dots, - and _ only")


GROUP_KINDS = {
    "data": DataConfig,
    "model": ModelConfig,
    "optim": OptimConfig,
    "budget": BudgetConfig,
    "wandb": WandbConfig,
    "probe": ProbeConfig,
    "weights": WeightsConfig,
}
# Fields that `parse` itself fills in.
_FILLED_IN = "start_facts start_problem start_fingerprint fingerprint data_seen num_classes".split()
_FILLED_IN += ["flops_per_example", "overrides"]
# What OmegaConf checks of the settings outside the groups.
_TOP = dataclasses.make_dataclass(
    "TopConfig",
    [
        (field.name, list[str] if field.name == "trackers" else get_type_hints(CellConfig)[field.name])
        if field.default is dataclasses.MISSING or field.name == "trackers"
        else (field.name, get_type_hints(CellConfig)[field.name], field.default)
        for field in dataclasses.fields(CellConfig)
        if field.name not in (*GROUP_KINDS, *_FILLED_IN)
    ],
    kw_only=True,
    frozen=True,
)

_TOP_NAMES = tuple(field.name for field in dataclasses.fields(_TOP))


def _check_adapt(cell: CellConfig) -> None:
    for key, usual in FINE_TUNING.items():
        value = getattr(cell.optim, key)
        text = f"optim.{key}={value} is of fine-tunes: it needs weights to start from"
        _require(value == usual or cell.adaptation is not None, f"{text}: weights=, pretrained= or init_from=")
    if cell.adapt and cell.start is None:
        raise ConfigError(f"adapt={cell.adapt} needs weights to start from: weights=, pretrained= or init_from=")
    if cell.adaptation == "probe":
        _require(cell.keep == "none", f"keep={cell.keep}: a probe trains no weights that could be kept")
        found = cell.probe.loss != "logistic" or importlib.util.find_spec("sklearn") is not None
        _require(found, "probe.loss=logistic needs scikit-learn (pip install 'vit-scaling[logistic]')")


def _with_source(top: Any, model: str) -> tuple[Any, str]:
    """The settings with the run in place of the sweep's folder that init_from may be, and why there is none yet."""
    _require(top.pretrain_size is None or bool(top.init_from), "pretrain_size= says which run of init_from=FOLDER")
    if not top.init_from or top.pretrain_size == 0:
        return top, ""
    try:
        run = source_run(top.init_from, model=model, train_size=top.pretrain_size, seed=top.seed)
    except SourceError as error:
        return top, str(error)
    except InitError as error:
        raise ConfigError(str(error)) from error
    return dataclasses.replace(top, init_from=run), ""


def _refuse_lookups(config: DictConfig) -> None:
    """Refuses values that come from the environment, wherever they were written; W&B's own variables aside."""
    kept = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    for key, value in leaves(OmegaConf.to_container(kept)).items():
        if key not in ("wandb.project", "wandb.entity") or not str(value).startswith("${oc.env:WANDB_"):
            refuse_lookup(key, value)


@dataclasses.dataclass(frozen=True)
class Parts:
    """A composed config as dataclasses, each checked by itself: `top` holds what is in no group."""

    top: Any
    groups: dict[str, Any]


def read_parts(config: DictConfig) -> Parts:
    """Reads a composed config (without its `hydra` node).

    Raises:
        ConfigError: a setting is missing or of the wrong type.
    """
    keys = {str(key) for key in config} - {"hydra", *STUDY}
    _refuse_lookups(config)
    top: Any = _read(_TOP, OmegaConf.masked_copy(config, [k for k in keys if k not in GROUP_KINDS]), "config")
    return Parts(top, {name: _read(kind, config.get(name), name) for name, kind in GROUP_KINDS.items()})


class Assembler:
    """Makes cells of parts. What cells share, such as a data set's files, is looked at once in its life."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def _once(self, work: Callable[..., _T], *args: Any, **named: Any) -> _T:
        key = repr((work.__name__, args, named))  # of a text: 1, 1.0 and True are different settings
        if key not in self._known:
            self._known[key] = work(*args, **named)
        found: _T = self._known[key]
        return found

    def cell(self, parts: Parts, overrides: tuple[str, ...] = ()) -> CellConfig:
        """The cell of these parts.

        Args:
            overrides: what composes it again, for the record.

        Raises:
            ConfigError: a setting cannot work on this data.
        """
        groups = parts.groups
        top, problem = _with_source(parts.top, groups["model"].name)
        weights, model = groups["weights"], groups["model"]
        try:
            named = self._once(start_of, weights, model, groups["data"].cache)
            top = with_named(top, weights, named)
            facts = self._once(start_facts, weights, init_from=top.init_from, pretrained=top.pretrained)
            stated = with_inputs(groups["data"], facts)
        except InitError as error:
            raise ConfigError(str(error)) from error
        seed = stated.subset_seed
        any_seed = dataclasses.replace(stated, subset_seed=min(seed, 0))  # nothing checked depends on it
        try:
            own = (os.path.abspath(top.out), os.path.abspath(os.path.join(top.out, top.sweep)))
            data, classes, fingerprint = self._once(check_data, any_seed, own=own)
        except DataError as error:
            raise ConfigError(str(error)) from error
        cell = CellConfig(
            **{name: getattr(top, name) for name in _TOP_NAMES} | {"trackers": tuple(top.trackers)},
            **groups | {"data": dataclasses.replace(data, subset_seed=seed)},
            num_classes=classes,
            start_facts=facts,
            fingerprint=fingerprint,
            overrides=overrides,
        )
        shape = dict(image_size=data.image_size, channels=data.channels, num_classes=classes)
        try:
            permuted = data.permute_patch if data.locality < 1 else None
            self._once(check_model, cell.model, **shape, permute_patch=permuted)
            start = dict(init_from=cell.init_from, pretrained=cell.pretrained, model=cell.model)
            start_fingerprint = f"untrained-{cell.seed}" if cell.untrained else problem
            if not start_fingerprint:
                start_fingerprint = self._once(check_start, **start, **shape, locality=data.locality)
        except (ModelError, InitError) as error:
            raise ConfigError(str(error)) from error
        cell = dataclasses.replace(cell, start_fingerprint=start_fingerprint, start_problem=problem)
        _check_limits(cell)
        _check_run(cell)
        _check_adapt(cell)
        if cell.budget.rule == "flops":
            from scaling.models.build import config_train_flops  # torch: loaded only where a budget counts in FLOPs

            cell = dataclasses.replace(cell, flops_per_example=config_train_flops(cell.model, **shape))
        try:  # last: it may have to decode
            seen = self._once(seen_at_start, data)
        except DataError as error:
            raise ConfigError(str(error)) from error
        return resolve_precision(dataclasses.replace(cell, data_seen=seen) if seen else cell)


def parse(config: DictConfig, *, overrides: tuple[str, ...] = ()) -> CellConfig:
    """The cell that a composed config describes (without its `hydra` node).

    Args:
        config: the composed config.
        overrides: what composes it again, for the record.

    Raises:
        ConfigError: a setting is missing, of the wrong type, or cannot work on this data.
    """
    return Assembler().cell(read_parts(config), overrides)
