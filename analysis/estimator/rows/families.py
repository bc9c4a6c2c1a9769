"""Gives every row its family, by the user's lists, a column or the models' names; names rows that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.rows.names import family_of
from analysis.estimator.rows.numbers import each_once

FAMILY_WORDS = {"transformer": "vit", "vision transformer": "vit", "convnet": "cnn", "vits": "vit", "cnns": "cnn"}


def set_families(
    table: pd.DataFrame, families: Mapping[str, tuple[str, ...]], *, guess: bool
) -> tuple[pd.DataFrame, list[str]]:
    """The table with `family`, from the user's lists, its own column or, if that may be guessed, the models' names.

    Rows of models that no list names keep their `family`, and are left out, with a note, where there is none.

    Raises:
        InputError: a listed model is not there.
    """
    if "model" not in table.columns:
        if families:
            raise InputError("columns missing: model; name it by columns.model=Y")
        return table, []
    models = each_once(table["model"], str)
    known = "family" in table.columns
    family = table["family"].astype(object) if known else pd.Series(None, table.index, dtype=object)
    family = family.where(family.notna(), None)
    for name, listed in families.items():
        unknown = sorted(set(listed) - set(models))
        if unknown:
            there = ", ".join(sorted(set(models)))
            raise InputError(f"family.{name}: no rows of {', '.join(unknown)}; there are {there}")
        family = family.mask(models.isin(listed), name)
    notes = []
    if not known and guess and len(families) < 2:
        guesses = {m: family_of(m) for m in sorted(set(models))}
        if {"vit", "cnn"} <= set(guesses.values()) | set(families):
            family = family.where(family.notna(), models.map(guesses))
            lists = {f: [m for m in guesses if (family[models == m] == f).any()] for f in ("vit", "cnn")}
            notes.append(f"by their names {', '.join(lists['vit'])} are ViTs and {', '.join(lists['cnn'])} CNNs")
            families = {f: tuple(listed) for f, listed in lists.items()}
        else:
            some = [f"{m} is a {'ViT' if f == 'vit' else 'CNN'}" for m, f in guesses.items() if f is not None]
            some = [*some[:4], *(["..."] if len(some) > 4 else [])]
            rest = ", ".join([m for m, f in guesses.items() if f is None][:6])
            told = [*([", ".join(some)] if some else []), *([f"none of {rest} says which it is"] if rest else [])]
            raise InputError(
                f"columns missing: family; say family.vit=[...] family.cnn=[...] (by its name {'; '.join(told)})"
            )
    if not known and not families:
        return table, []
    left_out = sorted(set(models[family.isna()])) if not known or families else []
    if left_out and not known:
        notes.append(f"left out, in neither family: {', '.join(left_out[:6])}{' ...' * (len(left_out) > 6)}")
        keep = family.notna()
        return table.assign(family=family)[keep], notes
    return table.assign(family=family), notes


def fill_down(table: pd.DataFrame, columns: Iterable[str]) -> tuple[pd.DataFrame, list[str]]:
    """Names that stand once, in the first of the rows they are meant for, in all of them: cells that were merged.

    Only where the first row has one, and every name stands once or above equally many empty cells: an empty cell among
    repeated names is a gap.
    """
    filled = []
    for column in columns:
        if column not in table.columns:
            continue
        cells = each_once(table[column], lambda v: None if v is None or v != v or not str(v).strip() else v)
        there = cells.dropna()
        blocks = np.diff([*np.flatnonzero(cells.notna()), len(table)])
        alike = len(blocks) > 2 and blocks[0] > 1 and bool((blocks == blocks[0]).all())
        once = there.is_unique and len(table) > 2 * len(there)
        if len(table) > len(there) >= 2 and cells.iloc[0] is not None and (once or alike):
            table = table.assign(**{column: cells.ffill()})
            filled.append(column)
    return table, [f"empty cells of {' and '.join(filled)} take the name above, as merged ones do"] if filled else []


def tidy_families(table: pd.DataFrame) -> pd.DataFrame:
    """`ViT`, `CNN` and the like as `vit` and `cnn`.

    Raises:
        InputError: another word, or none, with its row.
    """
    words = each_once(table["family"], lambda v: "" if v is None or v != v else str(v).strip().lower())
    words = words.replace(FAMILY_WORDS)
    empty = words == ""
    if empty.any():
        row = table[empty].iloc[0]
        raise InputError(
            f"family is empty in row {row_number(table, empty)} ({which_row(row)}); delete the row, or list the models"
            " by family.vit=[...] family.cnn=[...]"
        )
    strange = sorted(set(words) - {"vit", "cnn"})
    if strange:
        shown = sorted({str(v) for v in table["family"][words.isin(strange)]})
        raise InputError(f"family must be vit or cnn, not {', '.join(shown[:5])}")
    return table.assign(family=words)


def row_number(table: pd.DataFrame, mask: pd.Series) -> int:
    """The first such row as people count them: 1 is the first below the header."""
    return int(np.flatnonzero(mask.to_numpy())[0]) + 1


def which_row(row: pd.Series) -> str:
    """`vit_s, train_size 500, seed 1`: what tells a row from others."""
    found = [str(row["model"])] if row.get("model") is not None and row["model"] == row["model"] else []
    found += [f"{c} {row[c]}" for c in ("train_size", "seed") if c in row and row[c] is not None and row[c] == row[c]]
    return ", ".join(found) or "nothing else in it"
