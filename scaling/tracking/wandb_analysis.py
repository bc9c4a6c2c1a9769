"""A finished analysis as a W&B run: table of results, fits and crossover as summary, figures, artifact, scaling plot.

Online the lineage is one of artifacts: the training runs have `records-GROUP` as their output, the analysis has it as
its input and `crossover-GROUP` as its output. Offline the client cannot use artifacts, so the config lists the runs.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.tracking.check import TrackingError, check_folder
from scaling.tracking.run import RunFacts, WandbOptions
from scaling.tracking.service import GONE_FILE, ask_service
from scaling.tracking.wandb_run import WandbTracker

_CHART = "vit_scaling_curves_v1"  # another spec needs another name: presets are kept by the service
CURVE_COLUMNS = ("question", "model", "family", "kind", "size", "error", "low", "high")
_SPEC = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "data": {"name": "wandb"},
    "title": "Error against training size",
    "facet": {"field": "${field:question}", "type": "nominal"},
    "spec": {
        "encoding": {
            "x": {"field": "${field:size}", "type": "quantitative", "scale": {"type": "log"}},
            "color": {"field": "${field:model}", "type": "nominal"},
        },
        "layer": [
            {
                "transform": [{"filter": "datum['${field:kind}'] == 'fit'"}],
                "mark": {"type": "area", "opacity": 0.2},
                "encoding": {
                    "y": {"field": "${field:low}", "type": "quantitative", "scale": {"type": "log"}, "title": "error"},
                    "y2": {"field": "${field:high}"},
                },
            },
            {
                "transform": [{"filter": "datum['${field:kind}'] == 'fit'"}],
                "mark": "line",
                "encoding": {"y": {"field": "${field:error}", "type": "quantitative", "scale": {"type": "log"}}},
            },
            {
                "transform": [{"filter": "datum['${field:kind}'] == 'runs'"}],
                "mark": "point",
                "encoding": {"y": {"field": "${field:error}", "type": "quantitative", "scale": {"type": "log"}}},
            },
        ],
    },
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the analysis goes: what `wandb.*` is to a training run."""

    mode: str
    project: str = "vit-scaling"
    entity: str | None = None
    init_timeout: float = 30.0
    finish_timeout: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What is published."""

    facts: RunFacts
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]  # the results, in these columns
    curves: Sequence[Sequence[Any]]  # in CURVE_COLUMNS: measured means and fitted medians with their bands
    summary: Mapping[str, Any]
    images: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    files: Sequence[Path] = ()  # for the artifact; the first is the table of results
    run_ids: Sequence[str] = ()  # the training runs


def publish(analysis: Analysis, options: WandbOptions) -> tuple[str, bool]:
    """Logs it and returns the place, and whether it has arrived: the run's address, or its folder for `wandb sync`.

    Raises:
        TrackingError: no key, service, room or right to write, or the service refuses; one line.
    """
    folder = analysis.facts.folder
    check_folder(folder, runs=10)  # the figures are larger than a run's curve
    if options.mode == "online":
        problem = ask_service()
        if problem:
            raise TrackingError(f"{problem}, or leave it at wandb=offline")
    (folder / GONE_FILE).unlink(missing_ok=True)
    trackers: list[WandbTracker] = []
    try:
        records = _publish_records(analysis, options, trackers) if options.mode == "online" else None
        trackers.append(WandbTracker(analysis.facts, options))
        run = trackers[0].run
        _log(run, analysis, records)
        trackers[0].summarize(analysis.summary)
        arrived = not run.offline
        local, address = str(Path(run.dir).parent), str(run.url)
        trackers.pop().close(failed=False)
    except Exception as error:  # the client raises of many kinds, some of them its own service's
        for tracker in trackers:
            tracker.close(failed=True)
        raise TrackingError(f"W&B: {' '.join(str(error).split())}; what was logged is in {folder / 'wandb'}") from error
    arrived = arrived and not (folder / GONE_FILE).exists()
    return (address if arrived else local), arrived


def _log(run: Any, analysis: Analysis, records: Any) -> None:
    import wandb

    if records is not None and not run.offline:
        run.use_artifact(records)
    rows: Any = [list(row) for row in analysis.rows]
    table = wandb.Table(columns=list(analysis.columns), data=rows, allow_mixed_types=True)
    run.log({"results": table, "scaling_curves": _chart(run, analysis.curves)})
    run.log({f"figures/{name}": wandb.Image(str(path)) for name, path in analysis.images.items()})
    artifact = wandb.Artifact(f"crossover-{analysis.facts.group}", type="analysis")
    for path in analysis.files:
        artifact.add_file(str(path), name=path.name)
    run.log_artifact(artifact)


def _publish_records(analysis: Analysis, options: WandbOptions, trackers: list[WandbTracker]) -> Any:
    """The table of results as an artifact that is the output of the training runs; None if that cannot be said."""
    import wandb

    facts = analysis.facts
    facts = dataclasses.replace(facts, id=f"{facts.id}-records", name=f"records of {facts.group}")
    tracker = WandbTracker(facts, options)
    trackers.append(tracker)  # until it is closed: an error ends it as failed
    logged = None
    if not tracker.run.offline:
        artifact = wandb.Artifact(f"records-{facts.group}", type="records")
        artifact.add_file(str(analysis.files[0]))
        logged = tracker.run.log_artifact(artifact).wait(timeout=int(options.finish_timeout))
    project, entity = tracker.run.project, tracker.run.entity
    trackers.pop().close(failed=False)
    if logged is None:
        return None
    api = wandb.Api(timeout=20)
    known = api.artifact(f"{entity}/{project}/{logged.name}")
    linked = 0
    for first in range(0, len(analysis.run_ids), 50):
        wanted = {"name": {"$in": list(analysis.run_ids[first : first + 50])}}
        for run in api.runs(f"{entity}/{project}", filters=wanted, per_page=50):
            run.log_artifact(known)
            linked += 1
    if linked < len(analysis.run_ids):
        missing = len(analysis.run_ids) - linked
        print(f"W&B: {missing} of {len(analysis.run_ids)} training runs are not in {entity}/{project}", file=sys.stderr)
    return known


def _chart(run: Any, curves: Sequence[Sequence[Any]]) -> Any:
    """The scaling plot: a Vega panel of our own online, the built-in lines over logarithms where none can be made."""
    import wandb

    table = wandb.Table(columns=list(CURVE_COLUMNS), data=[list(row) for row in curves], allow_mixed_types=True)
    if not run.offline:
        name = f"{run.entity}/{_CHART}"
        try:
            wandb.Api(timeout=20).create_custom_chart(
                entity=run.entity, name=_CHART, display_name="Scaling curves", spec_type="vega2", access="private",
                spec=json.dumps(_SPEC),
            )  # fmt: skip
        except Exception as error:  # it is there from another time, or this service makes none
            if "exist" not in str(error) and "duplicate" not in str(error).lower():
                name = ""
        if name:
            return wandb.plot_table(name, table, fields={column: column for column in CURVE_COLUMNS})
    lines: Any = [
        [f"{model} · {question} · {kind}", math.log10(size), math.log10(error)]
        for question, model, _, kind, size, error, _, _ in curves
        if error > 0
    ]
    table = wandb.Table(columns=["curve", "log10 size", "log10 error"], data=lines)
    return wandb.plot.line(table, "log10 size", "log10 error", stroke="curve", title="Error against training size")
