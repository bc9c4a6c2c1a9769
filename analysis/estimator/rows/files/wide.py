"""Turns wide tables into one row per run: a column per model, per model and seed, per size, or a W&B chart's export."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.arguments import InputError
from analysis.estimator.rows.metric import known_metric
from analysis.estimator.rows.names import column_for, family_of, tokens
from analysis.estimator.rows.numbers import parse_number, read_column

SPREAD_OF = "{}_spread"  # a column of the spread over seeds that a table gives beside its means
_SEED = re.compile(
    r"^(?P<model>.*?\S)(?:[ _\-./,|(]*seed|[ _\-./,|(]+(?P<short>s|run|rep|trial|fold|#))[ _=:\-]*(?P<seed>\d+)\s*\)?$",
    re.IGNORECASE,
)
_REPEAT = re.compile(r"^(?P<model>.+)\.(?P<seed>\d+)$")  # pandas' name of a repeated column
_CHART = re.compile(r"^(?P<run>.+?) - (?P<metric>.+?)(?P<end>__MIN|__MAX)?$")
_SD = re.compile(r"^(?P<model>.+?)[ _\-./(]*(?:std|sd|stdev|stddev|sigma|±)\)?$", re.IGNORECASE)
_SIZE = re.compile(
    r"^(?:n(?:_?train)?|train_?size|size|images|num)?\s*[=_:]?\s*"
    r"(?P<size>[\d][\d.,' _]*(?:e\d+)?\s*(?:[kmb]|mio)?\s*%?)\s*(?:images?|imgs?|samples?|examples?)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Cell:
    """What a wide column holds."""

    column: str
    model: str
    seed: int | None
    metric: str | None
    spread: bool = False


def _split_name(name: str, columns: Sequence[str]) -> tuple[str, int | None]:
    """Model and seed of a column's or run's name: `vit_s-s0` -> ("vit_s", 0)."""
    if (match := _SEED.match(name)) and (not match["short"] or _first_seed(match["model"], match["short"], columns)):
        return match["model"].rstrip(" _-./"), int(match["seed"])
    if (match := _REPEAT.match(name)) and match["model"] in columns:
        return match["model"], int(match["seed"])
    return name, None


def _first_seed(model: str, word: str, columns: Sequence[str]) -> bool:
    """Whether a seed 0 or 1 is there, too: the s16 of `vit_s16` is a patch size."""
    found = [m for c in columns for m in [_SEED.match(_CHART.sub(r"\g<run>", c))] if m and m["short"] == word]
    return any(m["model"] == model and int(m["seed"]) < 2 for m in found)


def _cell(column: str, columns: Sequence[str]) -> _Cell | None:
    """What a column's name says; None for those of a chart that repeat its values or count its steps."""
    if match := _CHART.match(column):
        if match["end"] or match["metric"].startswith("_"):
            return None
        return _Cell(column, *_split_name(match["run"], columns), match["metric"])
    if (match := _SD.match(column)) and any(c != column and c.startswith(match["model"]) for c in columns):
        return _Cell(column, *_split_name(match["model"], columns), None, spread=True)
    for cut in (m.start() for m in re.finditer(r"[ _\-./]", column)):
        if known_metric(column[cut + 1 :]) and column[:cut].strip():
            return _Cell(column, *_split_name(column[:cut], columns), column[cut + 1 :].strip())
    return _Cell(column, *_split_name(column, columns), None)


def _listed(cells: Sequence[_Cell], names: Mapping[str, tuple[str, ...]], columns: Sequence[str]) -> dict[str, str]:
    """Column -> family, of the columns and models that the user lists.

    Raises:
        InputError: one of them is not there.
    """
    found: dict[str, str] = {}
    for family, listed in names.items():
        for name in listed:
            own = [c.column for c in cells if name in (c.column, c.model)]
            if not own:
                there = ", ".join(c for c in columns if c != "provenance")
                raise InputError(f"wide.{family}: no column {name}; there are {there}")
            found |= dict.fromkeys(own, family)
    return found


def _long(table: pd.DataFrame, cells: Sequence[_Cell], families: Mapping[str, str], metric: str) -> pd.DataFrame:
    """A row per cell of the given columns; columns that are no model's stay with every row."""
    used = {c.column for c in cells}
    dropped = {c for c in table.columns if _CHART.match(str(c))}
    rest = table.drop(columns=[c for c in table.columns if c in used or c in dropped])
    spreads = {(c.model, c.seed): c.column for c in cells if c.spread}
    parts = []
    for cell in cells:
        if cell.spread:
            continue
        part = rest.assign(model=cell.model, family=families[cell.column], **{metric: table[cell.column]})
        if cell.seed is not None:
            part["seed"] = cell.seed
        if (cell.model, cell.seed) in spreads:
            part[SPREAD_OF.format(metric)] = table[spreads[cell.model, cell.seed]]
        parts.append(part[table[cell.column].notna()])
    long = pd.concat(parts, ignore_index=True)
    if "seed" in long.columns and "seed" not in rest.columns:
        long["seed"] = long["seed"].fillna(0).astype(int)
    return long


def _columns_of_models(
    table: pd.DataFrame, wide: Mapping[str, tuple[str, ...]], *, axis: str, metric: str
) -> tuple[pd.DataFrame, str] | None:
    columns = [str(c) for c in table.columns]
    size = column_for(columns, axis)
    if (
        size is None
        and columns
        and columns[0].startswith("Unnamed: ")
        and read_column(table[columns[0]]).values.notna().all()
    ):
        size = columns[0]
    if size is None:
        if wide:
            raise InputError(f"columns missing: {axis}; name it by columns.{axis}=Y; there are {', '.join(columns)}")
        return None
    cells = [c for name in columns if name != size for c in [_cell(name, columns)] if c is not None]
    if wide:
        families = _listed(cells, wide, [c for c in columns if c != size])
    else:
        cells = [c for c in cells if c.model != c.column or known_metric(c.column) is None]
        cells = [c for c in cells if tokens(c.column) not in ("seed", "status", "lr", "provenance")]
        cells = [c for c in cells if read_column(table[c.column]).values.notna().any()]
        families = {c.column: f for c in cells for f in [family_of(c.model)] if f is not None}
        if not {"vit", "cnn"} <= set(families.values()):
            return None
    own = [c for c in cells if c.column in families]
    own += [c for c in cells if c.spread and c.column not in families and any(o.model == c.model for o in own)]
    named = {c.metric for c in own if c.metric is not None}
    if len(named) > 1:
        raise InputError(
            f"the columns hold several metrics ({', '.join(sorted(named))}); keep the columns of one by wide.vit=[...]"
            " wide.cnn=[...]"
        )
    called = next(iter(named), metric)
    long = _long(table, own, families | {c.column: "" for c in own if c.spread}, called).rename(columns={size: axis})
    names = {f: list(dict.fromkeys(c.model for c in own if families.get(c.column) == f)) for f in ("vit", "cnn")}
    text = f"a column per model: {', '.join(names['vit'])} (ViT), {', '.join(names['cnn'])} (CNN); {axis} is {size}"
    return long, text


def _size_name(name: str) -> str | None:
    cut = re.match(r"^(?P<metric>.+?)\s*(?:@|_|\bat\b|\(| )\s*(?P<size>(?:n\s*=\s*)?\d[^()]*)\)?$", name.strip())
    match = _SIZE.match(cut["size"] if cut and known_metric(cut["metric"]) else name.strip())
    return match["size"] if match and parse_number(match["size"].replace("_", "")) else None


def _columns_of_sizes(table: pd.DataFrame, *, axis: str, metric: str) -> tuple[pd.DataFrame, str] | None:
    columns = [str(c) for c in table.columns]
    sizes = {c: s for c in columns for s in [_size_name(c)] if s is not None}
    if len(sizes) < 3 or column_for(columns, axis) is not None:
        return None
    model = column_for(columns, "model") or (columns[0] if columns[0].startswith("Unnamed: ") else None)
    if model is None:
        return None
    rest = [c for c in columns if c not in sizes]
    long = table.melt(id_vars=rest, value_vars=list(sizes), var_name=axis, value_name=metric)
    long[axis] = long[axis].map(sizes)
    long = long[long[metric].notna()].rename(columns={model: "model"})
    return long.reset_index(drop=True), f"a column per size: {', '.join(sizes)}"


def lengthen(
    table: pd.DataFrame, wide: Mapping[str, tuple[str, ...]], *, axis: str, metric: str
) -> tuple[pd.DataFrame, str | None]:
    """The table with a row per run, and a line that says what was understood; as it is where it is not wide.

    Args:
        wide: family -> columns or models, where the user lists them; else the names have to tell.

    Raises:
        InputError: a listed column is not there, or there is no column of sizes.
    """
    columns = [str(c) for c in table.columns]
    if not wide and column_for(columns, metric) is not None:
        return table, None
    found = None
    if wide or column_for(columns, "model") is None:
        found = _columns_of_models(table, wide, axis=axis, metric=metric)
    if found is None and not wide:
        found = _columns_of_sizes(table, axis=axis, metric=metric)
    return found if found is not None else (table, None)
