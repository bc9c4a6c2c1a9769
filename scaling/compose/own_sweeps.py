"""Finds the file that `sweeps=` means: a packaged one, one in ./sweeps/ of the current folder, or any by its path."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from scaling.compose.foreign import check_sweep_file
from scaling.compose.paths import SWEEPS
from scaling.config import ConfigError

LOCAL = "sweeps"  # below the current folder


def _is_path(value: str) -> bool:
    return "/" in value or "\\" in value or value.endswith((".yaml", ".yml"))


def find_sweep(name: str) -> Path:
    """The file of a sweep's name: packaged, or in ./sweeps/.

    Raises:
        ConfigError: there is none, or there are two that differ.
    """
    places = [folder / f"{name}.yaml" for folder in (SWEEPS, Path(LOCAL))]
    found = [path for path in places if path.is_file()]
    if not found:
        known = sorted({path.stem for folder in (SWEEPS, Path(LOCAL)) for path in folder.glob("*.yaml")})
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise ConfigError(f"sweeps={name}: there is none; the nearest is {nearest} (known: {', '.join(known)})")
    if len(found) == 2 and not found[0].samefile(found[1]) and found[0].read_bytes() != found[1].read_bytes():
        both = f"{found[0]} and {found[1].resolve()} differ"
        raise ConfigError(f"sweeps={name} is not clear: {both}; sweeps=./{LOCAL}/{name}.yaml takes the second")
    return found[0]


def _read(path: Path) -> DictConfig:
    try:
        node = OmegaConf.load(path)
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read as a sweep file: {text}") from error
    if not isinstance(node, DictConfig):
        raise ConfigError(f"{path} is no sweep file: it must map settings to values, as the files in {SWEEPS} do")
    content = OmegaConf.to_container(node)
    assert isinstance(content, dict)
    check_sweep_file({str(key): value for key, value in content.items()}, str(path))
    return node


def register_sweep(value: str) -> str:
    """Makes the file that `sweeps=value` means known to Hydra, and returns the name that Hydra knows it by.

    A path's sweep is called after the file, whatever the file says; so two files never share a folder by a copied line.

    Raises:
        ConfigError: there is no such file, or it cannot be read.
    """
    if not _is_path(value):
        path = find_sweep(value)
        if path.parent == SWEEPS:
            return value
    else:
        path = Path(value)
        if not path.is_file():
            raise ConfigError(f"sweeps={value}: there is no such file ({path.resolve()})")
    node = _read(path)
    if _is_path(value) or "sweep" not in node:
        node["sweep"] = path.stem
    packaged = (SWEEPS / f"{path.stem}.yaml").is_file()
    name = path.stem if re.fullmatch(r"[A-Za-z_][\w-]*", path.stem, re.ASCII) and not packaged else "own_file"
    ConfigStore.instance().store(group="sweeps", name=name, node=node, package="_global_", provider="own sweep file")
    return name
