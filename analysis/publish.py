"""Publishes a finished report as a run in W&B: results, fits, crossover, figures and the files as an artifact.

python -m analysis.publish report=runs/quickstart/report wandb=online
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.arguments import InputError, run_command, split_list
from scaling import __version__
from scaling.records.question import QUESTION
from scaling.records.wrong_images import WRONG_FILE

USAGE = """usage: python -m analysis.publish report=DIR [key=value ...]

Logs what analysis.report wrote to DIR as one W&B run of job type `analysis`. The last line printed is its place.
  wandb=offline        files in DIR/wandb for `wandb sync`; online needs a key
  project=NAME         of W&B; by default the sweep's, else WANDB_PROJECT, else vit-scaling
  entity=NAME          by default WANDB_ENTITY, else the key's own
  tags=[A,B] notes=TEXT name=TEXT  of the run; all of these also as wandb.KEY, as scaling.train has them
  group=NAME           by default the sweep of the results, where there is one"""
_KEYS = ("report", "wandb", "project", "entity", "group", "tags", "notes", "name")
_TRAIN_KEYS = ("wandb.mode", "wandb.project", "wandb.entity", "wandb.tags", "wandb.notes", "wandb.name")
FILES = ("results.csv", "crossover.json", "fits.json")


def _label(key: dict[str, Any]) -> str:
    words = [str(key.get("data") or "results")]
    words += [f"{name}={key[name]}" for name in QUESTION if name != "data" and key.get(name) is not None]
    return " ".join(words)


def _plain(value: Any) -> Any:
    if value is None or value != value:
        return None
    return value.item() if hasattr(value, "item") else value


def summarize(crossover: dict[str, Any], fits: dict[str, Any]) -> dict[str, Any]:
    """The headline's verdict at the top, every question and fit below; a key per number, none that is not finite."""
    fields = ("verdict", "direction", "crossover_size", "interval", "p_crossing", "fit_range", "n_runs")
    groups = crossover["groups"]
    summary: dict[str, Any] = {name: groups[crossover["headline"]].get(name) for name in fields}
    summary["crossover"] = {_label(group["key"]): {name: group.get(name) for name in fields} for group in groups}
    summary["fits"] = {
        _label(group["key"]): {
            model["model"]: {"forms": model["forms"], "lack_of_fit": model["lack_of_fit"]} for model in group["models"]
        }
        for group in fits["groups"]
    }
    return summary


def curve_rows(fits: dict[str, Any]) -> list[list[Any]]:
    """The measured means and the fitted medians with their bands, in the columns of the scaling plot."""
    rows = []
    for group in fits["groups"]:
        question = _label(group["key"])
        for model in group["models"]:
            names = [question, model["model"], model["family"]]
            rows += [
                [*names, "runs", p["size"], p.get("value", math.exp(p["log_error"])), None, None]
                for p in model["points"]
            ]
            rows += [[*names, "fit", p["size"], p["median"], *p["interval"]] for p in model["curve"]]
    return rows


def _read_report(folder: Path) -> tuple[pd.DataFrame, dict[str, Any], dict[str, Any]]:
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder}: no {', '.join(missing)}; analysis.report results=… out={folder} writes them")
    try:
        crossover, fits = (json.loads((folder / name).read_text(encoding="utf-8")) for name in FILES[1:])
        return pd.read_csv(folder / FILES[0]), crossover, fits
    except (ValueError, OSError) as error:
        raise InputError(f"{folder}: cannot be read ({error})") from error


def _training_runs(table: pd.DataFrame) -> list[str]:
    """W&B's ids of the runs behind the rows: where they were read from W&B, their own, else the cells' hashes."""
    ids: list[str] = []
    for column in ("run_id", "config_hash"):
        if column in table.columns:
            ids = ids or sorted(set(table[column].dropna().astype(str)))
    return ids


def _short_keys(values: dict[str, str]) -> dict[str, str]:
    """The words with `wandb.project` and the like, as `scaling.train` has them, under their short names."""
    short = {key: "wandb" if key == "wandb.mode" else key.removeprefix("wandb.") for key in values}
    twice = [key for key, name in short.items() if key != name and name in values]
    if twice:
        raise InputError(f"{twice[0]} and {short[twice[0]]} are the same: give one of them")
    return {short[key]: value for key, value in values.items()}


def _tags(values: dict[str, str]) -> list[str]:
    """The user's tags, and those of WANDB_TAGS."""
    given = [tag for tag in split_list(values.get("tags", "[]")) if tag]
    return [
        tag[:64] for tag in (*given, *(t.strip() for t in os.environ.get("WANDB_TAGS", "").split(",") if t.strip()))
    ]


def _project_of(table: pd.DataFrame) -> str | None:
    """The one project that the sweep's runs were logged to, where their commands name it."""
    if "overrides" not in table.columns:
        return None
    words = table["overrides"].dropna().astype(str).str.extract(r"(?:^|[ '])wandb\.project=([^' ]+)")[0]
    return str(words.iloc[0]) if len(words) and words.notna().all() and words.nunique() == 1 else None


def run(values: dict[str, str]) -> int:
    from scaling.tracking import TrackingError
    from scaling.tracking.run import RunFacts, project_problem
    from scaling.tracking.wandb_analysis import Analysis, Options, publish

    values = _short_keys(values)
    if not values.get("report"):
        raise InputError("report= is missing: the folder that analysis.report wrote")
    folder, mode = Path(values["report"]), values.get("wandb", "offline")
    if mode not in ("offline", "online"):
        raise InputError(f"wandb={mode} is neither offline nor online")
    table, crossover, fits = _read_report(folder)
    project = values.get("project") or _project_of(table) or os.environ.get("WANDB_PROJECT") or "vit-scaling"
    problem = project_problem(project)
    if problem is not None:
        raise InputError(f"project={project} {problem}")
    sweeps = sorted(set(table["sweep"].dropna().astype(str))) if "sweep" in table.columns else []
    group = values.get("group") or (sweeps[0] if len(sweeps) == 1 else folder.resolve().name)
    group = re.sub(r"[^0-9A-Za-z._-]", "_", group)[:100]
    run_ids = _training_runs(table)
    content = b"".join((folder / name).read_bytes() for name in FILES)
    analysis = Analysis(
        facts=RunFacts(
            id=f"analysis-{hashlib.sha256(content).hexdigest()[:16]}",  # the same report is the same run
            name=(values.get("name") or f"analysis of {group}")[:128],
            group=group,
            job_type="analysis",
            tags=tuple(dict.fromkeys(("analysis", *_tags(values)))),
            notes=values.get("notes"),
            config={
                "level": crossover["level"],
                "metric": crossover["groups"][0]["metric"],
                "axis": crossover["groups"][0]["axis"],
                "trained_by": {"group": group, "sweeps": sweeps, "runs": run_ids},
                "version": __version__,
            },
            folder=folder,
        ),
        columns=[str(column) for column in table.columns],
        rows=[[_plain(value) for value in row] for row in table.itertuples(index=False, name=None)],
        curves=curve_rows(fits),
        summary=summarize(crossover, fits),
        images={path.stem: path for path in sorted([*folder.glob("*.png"), *folder.glob("figures/*.png")])},
        files=[folder / name for name in (*FILES, WRONG_FILE) if (folder / name).is_file()],
        run_ids=run_ids,
    )
    options = Options(mode=mode, project=project, entity=values.get("entity") or os.environ.get("WANDB_ENTITY") or None)
    try:
        place, arrived = publish(analysis, options)
    except TrackingError as error:
        raise InputError(str(error)) from error
    if not arrived:
        print(f"W&B: `wandb sync{' --include-online' * (mode == 'online')} {shlex.quote(place)}` uploads the run")
    print(place)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(USAGE, (*_KEYS, *_TRAIN_KEYS), run, arguments)


if __name__ == "__main__":
    sys.exit(main())
