"""Tells data sets of one name apart by their pictures: returns every row's data set, and what to say of it.

A record's `data_fingerprint` is of the pictures, labels and splits. Several under one name are separate questions.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

FINGERPRINT = "data_fingerprint"
_UNKNOWN = "records of an earlier version do not tell which pictures a run saw: these are taken to have seen the same"


def fingerprints(table: pd.DataFrame) -> pd.Series:
    """The fingerprint of each row; "" where there is none."""
    if FINGERPRINT not in table.columns:
        return pd.Series("", table.index, dtype=object)
    return table[FINGERPRINT].astype(object).where(table[FINGERPRINT].notna(), "").astype(str)


def data_sets(table: pd.DataFrame) -> pd.Series:
    """The fingerprint of each row where its data's name has several, else "".

    A run that ended before it read its images belongs to the data set that most of the name's runs have.
    """
    found = fingerprints(table)
    names = table["data"].astype(str) if "data" in table.columns else pd.Series("", table.index)
    unread = found.eq("") & (table["status"].ne("finished") if "status" in table.columns else False)
    for _, mine in found.groupby(names):
        known = mine[mine != ""]
        if known.nunique() < 2:
            found[mine.index] = ""
        else:
            found[mine.index[unread[mine.index]]] = known.mode().iloc[0]
    return found


def _place(rows: pd.DataFrame, fingerprint: str) -> dict[str, Any]:
    """What the sweep's folder says of the data set, if the rows are records in one."""
    for source in rows["provenance"].dropna().unique() if "provenance" in rows.columns else ():
        path = Path(str(source)).parent.parent / f"data_{fingerprint}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return {}


def _described(rows: pd.DataFrame, fingerprint: str, about: dict[str, Any]) -> str:
    if not fingerprint:
        return "runs whose pictures are not recorded"
    words = []
    if about:
        words += [f"{sum(about['sizes'].values()):,} images", f"{len(about['classes']):,} classes"]
    elif "num_classes" in rows.columns and rows["num_classes"].notna().any():
        words.append(f"{rows['num_classes'].max():g} classes")
    if not about and "test_examples" in rows.columns and rows["test_examples"].notna().any():
        words.append(f"{rows['test_examples'].max():,.0f} test images")
    return f"{fingerprint[:8]} ({', '.join(words)})" if words else fingerprint[:8]


def _difference(mine: dict[str, Any], other: dict[str, Any]) -> str:
    """How two data sets differ, image by image, as far as both are known so well."""
    a, b = mine.get("images"), other.get("images")
    if not a or not b:
        return ""
    changed = sum(a[key] != b[key] for key in a.keys() & b.keys())
    return f", {len(a.keys() - b.keys()):,} images less, {len(b.keys() - a.keys()):,} more and {changed:,} changed"


def data_notes(table: pd.DataFrame) -> dict[tuple[Hashable, Hashable], list[dict[str, str]]]:
    """Warnings about the data of each (name, data set as `data_sets` has it)."""
    names = table["data"].astype(str) if "data" in table.columns else pd.Series("", table.index)
    sets, known = data_sets(table), fingerprints(table)
    notes: dict[tuple[Hashable, Hashable], list[dict[str, str]]] = {}
    for name, mine in sets.groupby(names):
        rows = {str(key): table.loc[part.index] for key, part in mine.groupby(mine)}
        abouts = {key: _place(part, key) for key, part in rows.items()}
        for key, part in rows.items():
            notes[name, key] = _notes_of(str(name), key, rows, abouts) if len(rows) > 1 else []
            notes[name, key] += _left_out(part, known[part.index])
    return notes


def _notes_of(name: str, key: str, rows: dict[str, pd.DataFrame], abouts: dict[str, Any]) -> list[dict[str, str]]:
    others = [other for other in rows if other != key]
    said = [_described(rows[o], o, abouts[o]) + _difference(abouts[key], abouts[o]) for o in others]
    here = _described(rows[key], key, abouts[key])
    text = f"{len(rows)} data sets are called {name}, each a question of its own: here {here}; besides"
    return [{"code": FINGERPRINT, "message": f"{text} {' and '.join(said)}"}]


def _left_out(rows: pd.DataFrame, known: pd.Series) -> list[dict[str, str]]:
    found = []
    ours = rows["config_hash"].notna() if "config_hash" in rows.columns else pd.Series(False, rows.index)
    done = rows["status"].eq("finished") if "status" in rows.columns else pd.Series(True, rows.index)
    if (ours & done & known.eq("")).any():
        found.append({"code": FINGERPRINT, "message": _UNKNOWN})
    found += _look_alike(rows)
    if "files_left_out" in rows.columns:
        counts = sorted({int(count) for count in rows["files_left_out"].dropna() if count > 0})
        if counts:
            about = _place(rows, str(known[known != ""].iloc[0])) if (known != "").any() else {}
            which = f" ({'; '.join(about['left_out'])})" if about.get("left_out") else ""
            text = f"{' or '.join(f'{count:,}' for count in counts)} files of the data's folder were not used{which}"
            found.append({"code": "files_left_out", "message": text})
    return found


def _look_alike(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Images that look like training images, which hold no verdict back: that they are copies is not known."""
    counts = rows["near_leaks"].dropna() if "near_leaks" in rows.columns else pd.Series(dtype=float)
    if counts.empty or not counts.max() > 0:
        return []
    text = (
        f"{counts.max():,.0f} test and validation images look like a training image, by a hash that can err: near-"
        "duplicates flatter every model, and most the one that remembers best"
    )
    return [{"code": "near_leaks", "message": text}]
