"""A recipe found by tuning: one setting's value per model and question, as a rule in the number of training images.

    key: optim.lr
    entries:
      - {model: vit_w64d2, data: strokes, locality: 1.0, image_size: 18,
         value: 0.006, at: 887, exponent: -0.1, smallest: 256, largest: 6144, lowest: 3.75e-4, highest: 0.096}

`recipe=FILE` (or a name in conf/recipes/, which must not be called like the setting: Hydra would take it for a group)
gives every cell value * (n / at) ** exponent, unless the cell's own words set the key. Outside `smallest` to `largest`
the value no longer moves, and it never leaves `lowest` to `highest`, the range that was tried.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from scaling.compose.paths import CONF
from scaling.config import CellConfig, ConfigError
from scaling.config.budget_config import FINE_TUNING
from scaling.records.files import one_line, printable, write_whole
from scaling.records.question import Question, init_of, question_of
from scaling.records.replay import replayed_keys
from scaling.records.words import key_of, round_setting


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The rule of one model on one question, with how it was found."""

    model: str
    data: str
    locality: float
    image_size: int
    value: float
    at: float  # training images
    exponent: float = 0.0
    init: str = "scratch"  # or pretrained: what is best for a fresh model is not for one that starts from weights
    smallest: float = 1.0
    largest: float = float("inf")
    lowest: float = 0.0
    highest: float = float("inf")
    trials: int | None = None  # runs behind it
    optima: tuple[tuple[int, float], ...] = ()  # (n, best value there)
    notes: tuple[str, ...] = ()

    def matches(self, cell: CellConfig) -> bool:
        asked = question_of(cell)
        mine = Question(self.data, self.locality, self.image_size, asked.num_classes)  # its file names no classes
        return (self.model, mine, self.init) == (cell.model_label, asked, init_of(cell))

    def value_at(self, train_size: float) -> float:
        size = min(max(train_size, self.smallest), self.largest)
        value = self.value * (size / self.at) ** self.exponent
        return round_setting(min(max(value, self.lowest), self.highest))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    key: str
    entries: tuple[Entry, ...]


def _find(name: str) -> Path:
    for path in (Path(name), CONF / "recipes" / f"{name}.yaml"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in (CONF / "recipes").glob("*.yaml"))) or "none yet"
    raise ConfigError(f"recipe={name}: neither a file nor a name in conf/recipes/ ({known})")


def _entry(values: Any) -> Entry:
    unknown = sorted(set(values) - {field.name for field in fields(Entry)})
    if unknown:
        raise ValueError(f"unknown words {', '.join(unknown)}")
    read = dict(values)
    read["optima"] = tuple((int(n), float(value)) for n, value in values.get("optima", ()))
    read["notes"] = tuple(values.get("notes", ()))
    for key in ("locality", "value", "at", "exponent", "smallest", "largest", "lowest", "highest"):
        if key in read:
            read[key] = float(read[key])
    if not (read["value"] > 0 and read["at"] > 0):
        raise ValueError(f"value={read['value']} at={read['at']} are not positive")
    return Entry(**read)


@functools.lru_cache(maxsize=16)
def _read(path: Path, changed: int) -> Recipe:
    try:
        whole: Any = OmegaConf.to_container(OmegaConf.load(path))
        key = str(whole["key"])
        if key not in replayed_keys() or not key.startswith(("optim.", "model.")):
            raise ValueError(f"key: {printable(key)} is no setting of optim or model")
        return Recipe(key=key, entries=tuple(_entry(values) for values in whole["entries"]))
    except (OmegaConfBaseException, YAMLError, KeyError, TypeError, ValueError, OSError) as error:
        raise ConfigError(f"recipe={path}: not a recipe ({one_line(error)})") from error


def read_recipe(name: str) -> Recipe:
    """The recipe in a file, or of that name in conf/recipes/.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = _find(name)
    return _read(path, path.stat().st_mtime_ns)


def recipe_words(names: Sequence[str], cell: CellConfig, words: Sequence[str]) -> tuple[str, ...]:
    """The overrides that recipes add to a cell: none for a key that its own words set.

    Raises:
        ConfigError: a recipe does not know the cell's model on its question.
    """
    given = {key_of(word) for word in words}
    added = []
    for name in names:
        recipe = read_recipe(name)
        if recipe.key in given or cell.adaptation == "probe":  # a probe has no optimiser
            continue
        if cell.adaptation is None and recipe.key.removeprefix("optim.") in FINE_TUNING:
            continue
        entry = next((entry for entry in recipe.entries if entry.matches(cell)), None)
        if entry is None:
            data = cell.data
            tuned = " fine-tuned" if cell.start else ""
            asked = (
                f"{cell.model_label}{tuned} on {data.name} at locality {data.locality:g}, image_size {data.image_size}"
            )
            raise ConfigError(f"recipe={name} has no {recipe.key} for {asked}; tune it there, or name a value")
        added.append(f"{recipe.key}={entry.value_at(cell.data.train_size)!r}")
    return tuple(added)


def write_recipe(recipe: Recipe, path: Path, *, headline: str) -> Path:
    """Writes the file that `read_recipe` reads, `headline` as comments above it."""

    def plain(entry: Entry) -> dict[str, Any]:
        values = asdict(entry)
        defaults = {field.name: field.default for field in fields(Entry)}
        kept = {key: value for key, value in values.items() if key not in defaults or value != defaults[key]}
        return kept | {key: [list(v) if isinstance(v, tuple) else v for v in kept[key]]
                       for key in ("optima", "notes") if key in kept}  # fmt: skip

    whole = {"key": recipe.key, "entries": [plain(entry) for entry in recipe.entries]}
    comments = "".join(f"# {line}\n" for line in headline.splitlines())
    write_whole(path, (comments + OmegaConf.to_yaml(OmegaConf.create(whole))).encode("utf-8"))
    return path
