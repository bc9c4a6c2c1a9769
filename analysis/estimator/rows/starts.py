"""Tells what a run started from: fills the columns `init` and `adapt`, and refuses two starts under one model's name.

A run from scratch, a probe on frozen features and a fine-tune are three questions; two starting points of one kind are
two models, whatever they are called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.arguments import InputError
from scaling.records.question import source_recipe

START = "init"  # scratch or pretrained
ADAPT = "adapt"  # full or probe; empty from scratch
SOURCE_SIZE = "pretrain_size"
OF_STARTS = ("start_fingerprint", "pretrain_data", SOURCE_SIZE, "pretrain_image_size")  # empty from scratch
_FROM = ("init_from", "pretrained")
_NO_START = {"", "none", "no", "false", "0", "0.0", "scratch", "random", "nan", "from scratch", "null"}
# What other programs call it, without signs and in small letters; only in columns that are named so.
_WORDS = (
    dict.fromkeys(("full", "fullft", "fullfinetune", "fullfinetuning", "finetune", "finetuned", "finetuning", "ft",
                   "endtoend", "e2e", "unfrozen"), "full")
    | dict.fromkeys(("probe", "probed", "linprobe", "linearprobe", "linearprobing", "lineareval", "lp",
                     "linear", "frozen", "frozenfeatures", "freeze", "headonly", "featureextraction",
                     "featureextractor"), "probe")
    | dict.fromkeys(("scratch", "fromscratch", "random", "randominit"), "scratch")
)  # fmt: skip
_NAMES = {"adapt", "adaptation", "regime", "mode", "protocol", "tuning", "transfer", "finetuning", "trainingmode",
          "freeze", "frozen", "freezebackbone", "frozenbackbone"}  # fmt: skip
_FROZEN = {"true": "probe", "1": "probe", "yes": "probe", "false": "full", "0": "full", "no": "full"}


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()


def _letters(value: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", _text(value).lower())


def _from_columns(table: pd.DataFrame) -> pd.Series | None:
    """Per row `scratch` or `pretrained`, as the columns that name the start have it; None without such a column."""
    found = None
    for column in _FROM:
        if column in table.columns:
            own = ~table[column].map(lambda v: _text(v).lower()).isin(_NO_START)
            found = own if found is None else found | own
    return None if found is None else found.map({True: "pretrained", False: "scratch"})


def _modes(table: pd.DataFrame) -> tuple[pd.Series, str | None]:
    """Per row `full`, `probe`, `scratch` or empty, and the column that says so."""
    for column in sorted(table.columns, key=lambda c: c != ADAPT):
        name = _letters(column)
        if name not in _NAMES:
            continue
        words = table[column].map(_letters)
        known = _WORDS | _FROZEN if name.startswith(("freeze", "frozen")) else _WORDS
        if words.ne("").any() and words[words.ne("")].isin(list(known)).all():
            return words.map(lambda w, known=known: known.get(w, "")), str(column)
    return pd.Series("", table.index, dtype=object), None


def names_mode(column: str) -> bool:
    """Whether a column is by its name one that tells modes apart."""
    return _letters(column) in _NAMES


def mode_column(table: pd.DataFrame) -> str | None:
    """Another program's column that says which rows are probes and which fine-tunes."""
    return _modes(table.drop(columns=ADAPT, errors="ignore"))[1]


def with_starts(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table with `init` and `adapt`, where columns tell, and what was understood of other programs' words."""
    modes, source = _modes(table)
    start = _from_columns(table)
    if source is None and start is None:
        return table, []
    if start is None:
        start = pd.Series(None, table.index, dtype=object)
        if START in table.columns:
            start = table[START].astype(object)
    start = start.mask(modes.isin(["full", "probe"]), "pretrained").mask(modes == "scratch", "scratch")
    adapt = modes.where(modes.isin(["full", "probe"]), "").mask((start == "pretrained") & (modes == ""), "full")
    notes = [] if source in (None, ADAPT) else [f"{ADAPT} is {source}"]
    return table.assign(**{START: start, ADAPT: adapt.astype(object).where(adapt != "", None)}), notes


def _recipe(row: Mapping[Any, Any]) -> tuple[str, str, str]:
    """What a start was made by, apart from its seed and the number of images: a run's folder, or published weights."""
    source = _text(row.get("init_from")) or _text(row.get("pretrained"))
    return source_recipe(source), _text(row.get("pretrain_data")), _text(row.get("pretrain_image_size"))


def refuse_mixed_starts(rows: pd.DataFrame, axis: str) -> None:
    """Refuses rows of one question where a model's name stands for several starting points.

    Starts of one recipe that differ in their seed are one model's; in their pre-training size, on that axis.

    Raises:
        InputError: with the model, the starts and what would do.
    """
    columns = [c for c in (*OF_STARTS, *_FROM) if c in rows]
    if not {"start_fingerprint", *_FROM} & set(columns) or START not in rows.columns:
        return
    rows = rows[(rows[START] == "pretrained") & (rows["status"] == "finished")]
    if axis == SOURCE_SIZE and SOURCE_SIZE in columns:
        rows = rows[rows[SOURCE_SIZE] != 0]  # the model as it is initialised: drawn apart, whoever started it
    for model, own in rows.groupby("model"):
        kinds = own[columns].astype(object).where(own[columns].notna(), None).drop_duplicates().to_dict("records")
        recipes = {_recipe(kind) for kind in kinds}
        sizes = {_text(kind.get(SOURCE_SIZE)) for kind in kinds}
        if len(recipes) > 1:
            names = sorted({" ".join(part for part in recipe if part) for recipe in recipes})
            raise InputError(
                f"{model} stands for {len(recipes)} starting points ({', '.join(names[:3])}): one curve would mix them;"
                f" filters.{_telling(kinds)}=VALUE keeps one, model.name= gives each a name of its own"
            )
        if len(sizes) > 1 and axis != SOURCE_SIZE:
            raise InputError(
                f"{model} starts from weights of {len(sizes)} pre-training sizes: axis={SOURCE_SIZE} compares over"
                f" them, filters.{SOURCE_SIZE}=N keeps one"
            )
        if _unlike_prints(own):
            raise InputError(
                f"{model} stands for several starting points (start_fingerprint differs where nothing else does): one"
                " curve would mix them; filters.start_fingerprint=VALUE keeps one"
            )


def _telling(kinds: Sequence[Mapping[Any, Any]]) -> str:
    """The column to keep one start by."""
    for column in ("pretrain_data", "init_from", "pretrained", "pretrain_image_size"):
        if len({_text(kind.get(column)) for kind in kinds}) > 1:
            return column
    return "start_fingerprint"


def _unlike_prints(own: pd.DataFrame) -> bool:
    """Whether fingerprints differ where neither the source's name nor the seed does."""
    if "start_fingerprint" not in own.columns:
        return False
    same = [c for c in (*_FROM, "seed", SOURCE_SIZE) if c in own.columns]
    if not same:
        return own["start_fingerprint"].nunique() > 1
    return bool((own.groupby(same, dropna=False)["start_fingerprint"].nunique() > 1).any())
