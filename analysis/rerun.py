"""Prints the commands that run rows of results again.

python -m analysis.rerun results=results/cifar10_small/results.csv name=resnet8-cifar10-jpeg-loc1-n4000-s0 data.root=DIR
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from analysis.advise.train_commands import exact_command, refused_word
from analysis.arguments import TABLE_WORDS, InputError, TableArguments, run_command, with_table
from analysis.estimator.rows.table import load
from scaling.records.files import printable

USAGE = """usage: python -m analysis.rerun results=PATH [name=TEXT] [data.root=DIR] [out=DIR]

Prints the command that runs a row of results again, one line for each whose name contains TEXT; the names are the
cells' folders. The new record belongs into another folder than the old one, which would count as finished.
  name=TEXT            which rows; all of them unless given
  data.root=DIR        where the images lie on this machine
  out=rerun            where the new records go
  results=PATH         records, CSV, Parquet or JSONL file, wandb:ENTITY/PROJECT or wandb-offline:DIR
  filters.K=V          keep the rows whose column K is V, or one of [V,W]"""
_OWN = ("name", "data.root", "out")


def run(table: TableArguments, own: dict[str, str]) -> int:
    rows, wanted = load(table), own.get("name", "")
    if "name" not in rows.columns:
        raise InputError("the table has no column name: rows of other programs cannot be run again")
    rows = rows[rows["name"].astype(str).str.contains(wanted, regex=False)]
    changes = {"out": own.get("out", "rerun")}
    if "data.root" in own:
        changes["data.root"] = own["data.root"]
    records: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
    commands = [exact_command(row, changes) for row in records]
    runnable = [c for c in commands if c is not None]
    refused = [(row["name"], word) for row in records if (word := refused_word(row)) is not None]
    if refused:
        name, word = refused[0]
        more = f", and {len(refused) - 1} rows more" if len(refused) > 1 else ""
        raise InputError(f"{printable(str(name))} holds {word}{more}")
    if not runnable:
        raise InputError(f"no row whose name contains {wanted!r} holds overrides that run it again")
    print("\n".join(runnable))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, (*TABLE_WORDS, *_OWN), with_table(run), arguments)


if __name__ == "__main__":
    sys.exit(main())
