"""Reads a W&B project's runs, one row per run, through the client's public API; what was read once is kept on disk.

The list of runs is asked for whole, page by page, but light; config and summary only of runs that are not in the cache
as they are now. A page that has come is kept at once, so that a reading that is cut short goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.records.files import cache_folder, sealed, try_write_whole, unsealed
from scaling.tracking.check import TrackingError
from scaling.tracking.service import ask_service, quiet_environment

PAGE = 50
# Attributes of a run that W&B can filter by itself: column of the row -> name in the service's filters.
ATTRIBUTES = {"group": "group", "job_type": "jobType", "state": "state"}
_TIME_LIMIT = 20  # seconds for one page


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def _cell_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the config of a cell of ours says of a run that left no summary: enough to count it as missing."""
    data, model = config.get("data") or {}, config.get("model_config") or config.get("model") or {}
    fields = {key: data.get(key) for key in ("locality", "image_size", "train_size", "subset_seed")}
    fields |= {"data": data.get("name"), "model": model.get("name"), "lr": (config.get("optim") or {}).get("lr")}
    fields |= {key: model.get(key) for key in ("family", "width", "depth", "patch_size")}
    plain = ("sweep", "config_hash", "seed", "steps", "num_classes", "purpose")
    return fields | {key: config.get(key) for key in plain}


def row_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """One row of results: the summary's keys, and those of the config where it is not a run of ours.

    Args:
        run: id, name, state, group, job_type, config and summary, as the service has them.
    """
    summary = {key: value for key, value in run["summary"].items() if not key.startswith("_")}
    config = {key: value for key, value in run["config"].items() if not key.startswith("_")}
    ours = "config_hash" in config
    flat = _cell_fields(config) if ours else _flat(config)
    row = {} if ours else {f"config.{key}": value for key, value in flat.items()}
    row |= flat | {key: value for key, value in summary.items() if not isinstance(value, Mapping)}
    row.setdefault("name", run["name"])
    if "status" not in row:
        row["status"] = "finished" if run["state"] == "finished" and not ours else "failed"
        if row["status"] == "failed":
            row["error_text"] = f"W&B has it as {run['state']}"
    row |= {key: run[key] for key in ("group", "job_type", "state")}
    return row | {"run_id": run["id"], "wandb_url": run.get("url")}


def _whole(run: Any) -> dict[str, Any]:
    attributes = {"id": run.id, "name": run.name, "state": run.state, "heartbeat": run.heartbeat_at}
    attributes |= {"group": run.group, "job_type": run.job_type, "url": run.url}
    return attributes | {"config": dict(run.config), "summary": dict(run.summary_metrics)}


def _cached(path: Path, light: Any) -> dict[str, Any] | None:
    """The run as it was read before, if nothing has come since."""
    try:
        run: dict[str, Any] = json.loads(unsealed(path.read_bytes()))
    except (OSError, ValueError):
        return None
    same = run.get("heartbeat") == light.heartbeat_at and run.get("state") == light.state
    return run if same else None


def read_runs(path: str, filters: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """The rows of all ended runs of `ENTITY/PROJECT` (or `PROJECT` of the key's own entity) but those of analyses.

    Args:
        path: the project.
        filters: column -> values. Those of ATTRIBUTES are asked of the service; the others are the caller's.

    Raises:
        TrackingError: no key, no service, no such project; one line.
    """
    problem = ask_service()
    if problem:
        raise TrackingError(f"wandb:{path}: {problem}")
    quiet_environment()
    import wandb

    address = wandb.setup().settings.base_url
    place = cache_folder(None) / "wandb" / hashlib.sha256(f"{address} {path}".encode()).hexdigest()[:16]
    asked = {name: {"$in": list(filters[key])} for key, name in ATTRIBUTES.items() if key in filters}
    found: dict[str, dict[str, Any]] = {}
    try:
        api = wandb.Api(timeout=_TIME_LIMIT)
        listed = list(api.runs(path, filters=asked, per_page=4 * PAGE, lazy=True))
        ended = [run for run in listed if run.state not in ("running", "pending") and run.job_type != "analysis"]
        for run in ended:
            known = _cached(place / f"{run.id}.json", run)
            if known:
                found[run.id] = known
        missing = [run.id for run in ended if run.id not in found]
        for run in _fetch(api, path, missing):
            found[run["id"]] = run
            try_write_whole(place / f"{run['id']}.json", sealed(json.dumps(run).encode()))
    except Exception as error:  # the client raises of many kinds, some of them its own service's
        raise TrackingError(f"wandb:{path}: {' '.join(str(error).split())}") from error
    running = sum(run.state in ("running", "pending") for run in listed)
    if running:
        print(f"wandb:{path}: {running} runs have not ended and are left out", file=sys.stderr)
    return [row_of(found[run.id]) for run in ended]


def _fetch(api: Any, path: str, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The runs of these ids with config and summary, a page at a time."""
    for first in range(0, len(ids), PAGE):
        wanted = list(ids[first : first + PAGE])
        yield from map(_whole, api.runs(path, filters={"name": {"$in": wanted}}, per_page=PAGE, lazy=False))
