"""What a sweep file and a value may hold, wherever they come from: settings and values, nothing that is run or looked
up in the environment. A sweep file that came with somebody's results is data, as their records are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scaling.config import ConfigError
from scaling.records.files import printable

_OPENS = re.compile(r"(\\*)\$\{([^{}$]*)(\}?)")  # after an odd number of backslashes "${" is a text
_SETTING = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)
_KEY = re.compile(r"(?!hydra\b)[A-Za-z]\w*([./][A-Za-z]\w*)*", re.ASCII)
_NAME = re.compile(r"\w[\w-]*", re.ASCII)
_CHOSEN = re.compile(r"(override\s+)?/?(data|model|weights|optim|wandb|hydra/launcher|hydra/sweeper)(@[\w.]+)?")
_LAUNCHER = """n_jobs partition qos account timeout_min cpus_per_task gpus_per_node tasks_per_node nodes mem_gb name
array_parallelism""".split()  # others, such as setup, are commands for a shell


def lookup(text: str) -> str | None:
    """The first `${...}` of a text that is more than the name of a setting, such as `${oc.env:KEY}`; None without."""
    for found in _OPENS.finditer(text):
        if len(found[1]) % 2 == 0 and not (found[3] and _SETTING.fullmatch(found[2])):
            return f"${{{found[2]}{found[3]}"
    return None


def refuse_lookup(where: str, value: Any) -> None:
    """Refuses what would be looked up when it is used.

    Raises:
        ConfigError: records keep what a setting was, and the environment may hold what nobody should keep.
    """
    found = lookup(value) if isinstance(value, str) else None
    if found is not None:
        raise ConfigError(
            f"{printable(where)}: {printable(found)} is not looked up, since records keep what it stands for; "
            'let the shell put the value there, as in data.root="$DATA"'
        )


def _nodes(node: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """(path of the holder, key, value) of every entry of a tree of dicts and lists."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield path, str(key), value
        yield from _nodes(value, path if isinstance(node, list) else f"{path}.{key}")


def _check_defaults(defaults: Any, where: str) -> None:
    for entry in defaults if isinstance(defaults, list) else [defaults]:
        plain = entry if isinstance(entry, dict) else {"data": entry}
        names = [name for chosen in plain.values() for name in (chosen if isinstance(chosen, list) else [chosen])]
        if not all(_CHOSEN.fullmatch(str(group)) for group in plain) or not all(
            name is None or _NAME.fullmatch(str(name)) for name in names
        ):
            raise ConfigError(
                f"{where}: its defaults may choose data, model, weights, optim, wandb, launcher, not {entry!r}"
            )


def check_sweep_file(whole: dict[str, Any], where: str) -> None:
    """Refuses a sweep file that does more than set settings of cells and of where they run.

    Args:
        whole: the file's content, nothing in it resolved.
        where: its path, for the message.

    Raises:
        ConfigError: it does.
    """
    _check_defaults(whole.get("defaults", []), where)
    hydra = whole.get("hydra") or {}
    strange = [f"hydra.{key}" for key in hydra if key not in ("mode", "sweeper", "launcher")]
    launcher = hydra.get("launcher") or {}
    strange += [f"hydra.launcher.{key}" for key in launcher if key not in _LAUNCHER]
    for path, key, value in _nodes({name: node for name, node in whole.items() if name != "defaults"}):
        legal = (key == "hydra" and not path) or key.isdecimal() or _KEY.fullmatch(key)
        strange += [] if legal else [f"{path}.{key}".lstrip(".")]
        if not strange:
            refuse_lookup(f"{where}: {path}.{key}".replace(": .", ": "), value)
    if strange:
        raise ConfigError(f"{where} sets {printable(str(strange[0]))}: a sweep file sets cells and their settings, "
                          "and what else runs belongs on the command line")  # fmt: skip
