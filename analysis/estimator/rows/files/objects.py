"""Makes tables of JSON: records, columns, results by model and size, and columns whose cells hold objects as text."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import pandas as pd

from analysis.estimator.rows.files.cells import from_rows
from analysis.estimator.rows.numbers import parse_number

_ONE_RUN = (
    "it is the log of one run, without model and size: write a table with a row per run (model, train_size, seed and"
    " its last value)"
)
_LISTS = ("data", "rows", "runs", "results", "records", "history", "experiments")


def _key_values(value: Any) -> Any:
    """MLflow's lists of {key, value} as one dictionary."""
    if isinstance(value, list) and value and all(isinstance(v, dict) and {"key", "value"} <= set(v) for v in value):
        return {str(v["key"]): v["value"] for v in value}
    if isinstance(value, dict):
        return {k: _key_values(v) for k, v in value.items()}
    return value


def _flat(rows: list[Any]) -> pd.DataFrame:
    """Rows of nested dictionaries with dotted names."""
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("its rows are no objects with names")
    rows = [_key_values(row) for row in rows]
    if not any(isinstance(v, dict) for row in rows for v in row.values()):
        return pd.DataFrame(rows)
    table = pd.json_normalize(rows)
    names = [re.sub(r"^(info|data)\.", "", str(c)) for c in table.columns]  # MLflow's envelopes
    table.columns = names if len(set(names)) == len(names) else table.columns
    return table


def _by_size(found: dict[str, Any]) -> pd.DataFrame | None:
    """`{model: {size: value}}`, or the other way round, as a row per model with a column per size; lists are seeds."""
    if not all(isinstance(v, dict) and v for v in found.values()):
        return None

    def sizes(keys: set[str]) -> bool:
        numbers = [number for key in keys if (number := parse_number(key)) is not None]
        rows = {str(i) for i in range(len(keys))}  # pandas' own index
        return len(numbers) == len(keys) > 1 and keys != rows

    inner = {str(key) for v in found.values() for key in v}
    if sizes(set(found)) and not sizes(inner):
        found = {name: {size: v[name] for size, v in found.items() if name in v} for name in sorted(inner)}
    elif not sizes(inner):
        return None
    cells = [v for row in found.values() for v in row.values()]
    if any(isinstance(v, dict) for v in cells):
        return None
    rows = []
    for model, row in found.items():
        values = {str(size): v if isinstance(v, list) else [v] for size, v in row.items()}
        for seed in range(max(map(len, values.values()))):
            own = {size: v[seed] if seed < len(v) else None for size, v in values.items()}
            rows.append({"model": model} | ({"seed": seed} if any(isinstance(v, list) for v in cells) else {}) | own)
    return pd.DataFrame(rows)


def _from_json(found: Any) -> pd.DataFrame:
    """A table from JSON: records, columns, or one of these under a name."""
    if isinstance(found, list):
        return _flat(found)
    if not isinstance(found, dict):
        raise ValueError("neither rows nor columns")
    if "log_history" in found:
        raise ValueError(_ONE_RUN)
    if found and not any(isinstance(v, (list, dict)) for v in found.values()):
        return pd.DataFrame([found])
    if (table := _by_size(found)) is not None:
        return table
    names = found.get("columns")
    if isinstance(names, list) and isinstance(found.get("data"), list):
        plain = [n.get("name", n) if isinstance(n, dict) else n for n in names]
        return from_rows([plain, *found["data"]])
    for name in _LISTS:
        if isinstance(found.get(name), list) and all(isinstance(r, dict) for r in found[name]):
            return _flat(found[name])
    lengths = {len(v) for v in found.values() if isinstance(v, (list, dict))}
    if len(lengths) == 1 and all(isinstance(v, (list, dict)) for v in found.values()):
        if all(isinstance(v, dict) for v in found.values()):
            inner = {k for v in found.values() for k in v}
            if not any(isinstance(x, (dict, list)) for v in found.values() for x in v.values()) and len(inner) == next(
                iter(lengths)
            ):
                return pd.DataFrame(found).reset_index(drop=True)
        if all(isinstance(v, list) for v in found.values()):
            return pd.DataFrame(found)
    if found and all(isinstance(v, dict) for v in found.values()):
        return _flat([v | {"name": k} if "name" not in v else v for k, v in found.items()])
    raise ValueError("neither rows nor columns")


def table_of_lines(text: str) -> pd.DataFrame:
    rows = []
    for i, line in enumerate(text.splitlines()):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"line {i + 1}: {error}") from error
    return _flat(rows)


def table_of_json(text: str) -> pd.DataFrame:
    try:
        return _from_json(json.loads(text))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.count("\n"):
            return table_of_lines(text)
        raise


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text)


def _value(found: Any) -> Any:
    """What W&B's files keep as {value, desc}."""
    return found["value"] if isinstance(found, dict) and {"value"} <= set(found) <= {"value", "desc"} else found


def open_objects(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of objects as text (W&B's `config` and `summary`) as a column per key, with a dotted name."""
    for column in list(table.columns):
        cells = table[column].dropna()
        if cells.empty or not str(cells.iloc[0]).startswith("{"):
            continue
        try:
            found = [_parsed(str(cell)) for cell in cells]
        except (ValueError, SyntaxError, RecursionError):
            continue
        if not all(isinstance(row, dict) for row in found):
            continue
        wide = pd.json_normalize([{k: _value(v) for k, v in row.items()} for row in found]).add_prefix(f"{column}.")
        wide.index = cells.index
        new = [name for name in wide.columns if name not in table.columns]
        table = pd.concat([table.drop(columns=column), wide[new]], axis=1)
    return table
