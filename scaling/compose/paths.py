"""Where the config files are, and how a composed config is written as the overrides that compose it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from scaling.config import CellConfig
from scaling.records.words import hydra_value

_PACKAGE = Path(__file__).resolve().parents[1]

# A wheel carries conf/ and sweeps/ inside the package; in a checkout they stand beside it.
ROOT = _PACKAGE if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent
CONF = ROOT / "conf"
SWEEPS = ROOT / "sweeps"

if not OmegaConf.has_resolver("scaling_root"):
    OmegaConf.register_new_resolver("scaling_root", lambda: str(ROOT))

# Settings that say where and how to run, not what: a record's row does without them.
STUDY = ("dry_run", "recipe", "tune", "tuning", "check", "check_at", "design", "stop")
_NOT_IDENTITY = {"hydra", "sweeps", "wandb", *STUDY}
_NOT_IDENTITY |= {f.name for f in dataclasses.fields(CellConfig) if not f.metadata.get("result", True)}


def leaves(node: Any, prefix: str = "") -> dict[str, Any]:
    """The values of a tree of mappings by their dotted keys; a list is a value."""
    if not isinstance(node, Mapping):
        return {prefix: node}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= leaves(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def is_setting(key: str) -> bool:
    """Whether a dotted key says what is run, and not where or how."""
    return key.split(".", 1)[0] not in _NOT_IDENTITY


def settings(config: DictConfig) -> dict[str, Any]:
    """Every setting of a composed config that says what is run, by its dotted key, interpolations resolved."""
    kept = OmegaConf.masked_copy(config, [str(key) for key in config if is_setting(str(key))])
    return leaves(OmegaConf.to_container(kept, resolve=True))


def rerun_overrides(config: DictConfig, base: DictConfig, choices: Mapping[str, str]) -> tuple[str, ...]:
    """The overrides that run a cell again, without the sweep file or the shell history that made it.

    Args:
        config: the cell's composed config.
        base: what `choices` alone compose to.
        choices: the group choices, such as {"data": "strokes", "model": "resnet8"}.
    """
    return rerun_words(settings(config), settings(base), choices)


def rerun_words(values: Mapping[str, Any], defaults: Mapping[str, Any], choices: Mapping[str, str]) -> tuple[str, ...]:
    """The same, of settings by their dotted keys."""
    changed = {key: value for key, value in values.items() if key not in defaults or defaults[key] != value}
    groups = [f"{group}={hydra_value(choice)}" for group, choice in sorted(choices.items())]
    return tuple(groups + [f"{key}={hydra_value(value)}" for key, value in sorted(changed.items())])


def list_options(folder: Path) -> list[tuple[str, str]]:
    """(name, first comment line) of every config file in a folder; Hydra's own `# @package` line is passed over."""
    options = []
    for path in sorted(folder.glob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        said = [line.lstrip("# ") for line in lines if line.startswith("#") and not line.startswith("# @package")]
        options.append((path.stem, said[0] if said else ""))
    return options
