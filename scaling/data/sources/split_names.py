"""Reads what folders' names say about splits: `Training`, `seg_test`, `val_images`, `fold3`; the rest are classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_PRIMARY = {"train": "train", "training": "train", "trn": "train", "val": "val", "valid": "val", "validation": "val"}
_PRIMARY |= {"test": "test", "testing": "test", "tst": "test"}
# Names that mean a split where no primary name does; beside one they are not used, and said so.
_SECONDARY = {"dev": "val", "development": "val", "eval": "test", "evaluation": "test", "holdout": "test"}
_SECONDARY |= {"heldout": "test"}
_SPLIT = _PRIMARY | _SECONDARY
# Words that add nothing to a split's name, as in train_images or test_set.
_FILLER = frozenset(
    "data dataset datasets set sets split splits seg image images img imgs pic pics picture pictures photo photos "
    "file files folder dir jpg jpeg png crop crops cropped resized raw final new the my all".split()
)
_GLUED = re.compile(rf"({'|'.join(sorted(_SPLIT, key=len, reverse=True))})({'|'.join(sorted(_FILLER, key=len)[::-1])})")
_FOLD = re.compile(r"(k|cv)?[ _.-]?(fold|split|part|cv|k)[ _.-]?\d+|\d+(st|nd|rd|th)?[ _.-]?fold", re.IGNORECASE)


@dataclass(frozen=True)
class SplitName:
    """A name that means a split. `rest` are its other words; `tier` 0 is the plain word, 3 a secondary one."""

    name: str
    split: str
    rest: tuple[str, ...]
    tier: int


def _words(name: str) -> list[str]:
    """Lower-case words of a name: at signs and spaces, between letters and digits, and at capitals inside."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    words: list[str] = []
    for word in re.findall(r"[^\W\d_]+|\d+", apart):
        glued = _GLUED.fullmatch(word)
        words += glued.groups() if glued else [word]
    joined: list[str] = []
    for word in words:  # held_out, hold-out
        if word == "out" and joined and joined[-1] in ("hold", "held"):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _read(name: str) -> SplitName | None:
    words = _words(name)
    found = [i for i, word in enumerate(words) if word in _SPLIT]
    if len(found) != 1:
        return None
    rest = tuple(words[: found[0]] + words[found[0] + 1 :])
    word = words[found[0]]
    tier = 3 if word in _SECONDARY else 0 if not rest else 1 if set(rest) <= _FILLER else 2
    return SplitName(name, _SPLIT[word], rest, tier)


def split_names(names: Iterable[str]) -> list[SplitName]:
    """Those of a folder's names that mean splits: with no other words or only such as `images` and `set`, or with the
    same other words as a name of another split has (`birds_train` and `birds_test`)."""
    found = [read for read in map(_read, names) if read is not None]
    by_rest: dict[tuple[str, ...], set[str]] = {}
    for one in found:
        by_rest.setdefault(one.rest, set()).add(one.split)
    return [one for one in found if set(one.rest) <= _FILLER or len(by_rest[one.rest]) > 1]


def choose_splits(found: Sequence[SplitName]) -> tuple[dict[str, list[str]], list[str]]:
    """The names of each split, the plainest only (several: the user has to say which), and those that are not used."""
    chosen: dict[str, list[str]] = {}
    unused: list[str] = []
    for split in ("train", "val", "test"):
        mine = [one for one in found if one.split == split]
        best = min((one.tier for one in mine), default=0)
        if mine:
            chosen[split] = [one.name for one in mine if one.tier == best]
        unused += [one.name for one in mine if one.tier != best]
    return chosen, unused


def is_fold(name: str) -> bool:
    """Whether a name is that of a fold of a cross-validation, such as `fold_3`."""
    return _FOLD.fullmatch(name.strip()) is not None


def one_split(word: str) -> str | None:
    """The split that a single word means, as a table's column has it; None if it means none."""
    read = _read(word.strip())
    return read.split if read is not None and set(read.rest) <= _FILLER else None
