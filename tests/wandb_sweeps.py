"""The part of the small W&B service that knows sweeps: it keeps the files and hands their grids to agents."""

from __future__ import annotations

import itertools
import json
from typing import Any

import yaml


def grid(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Every combination of a sweep file's parameters, as W&B's grid method crosses them."""
    values = {name: spec.get("values", [spec.get("value")]) for name, spec in config["parameters"].items()}
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


class Sweeps:
    """`sweeps[name]` is the file; `jobs` are the parameters of the runs that agents still get."""

    def __init__(self) -> None:
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.jobs: list[dict[str, Any]] = []
        self.wanted: Any = lambda job: True  # which of a sweep's jobs are handed out

    def on_UpsertSweep(self, v: dict[str, Any]) -> dict[str, Any]:
        name = f"sw{len(self.sweeps) + 1}"
        self.sweeps[name] = yaml.safe_load(v["config"])
        self.jobs += filter(self.wanted, grid(self.sweeps[name]))
        project = {"id": "P", "name": v["projectName"], "entity": {"id": "E", "name": "tester"}}
        return {"upsertSweep": {"sweep": {"name": name, "project": project}, "configValidationWarnings": []}}

    def on_SweepWithRuns(self, v: dict[str, Any]) -> dict[str, Any]:
        sweep = dict.fromkeys(("description", "heartbeatAt", "updatedAt", "bestLoss", "controller", "scheduler"))
        sweep |= {"id": "S", "name": v["sweep"], "method": "grid", "state": "RUNNING", "createdAt": "2026"}
        config = yaml.safe_dump(self.sweeps[v["sweep"]], sort_keys=False)
        return {"project": {"sweep": sweep | {"config": config, "runs": {"edges": []}, "earlyStopJobRunning": False}}}

    def on_CreateAgent(self, v: dict[str, Any]) -> dict[str, Any]:
        return {"createAgent": {"agent": {"id": "AG"}}}

    def on_Heartbeat(self, v: dict[str, Any]) -> dict[str, Any]:
        commands: list[dict[str, Any]] = []
        if not json.loads(v.get("runState") or "{}"):  # the agent is at nothing
            if self.jobs:
                job = self.jobs.pop(0)
                arguments = {name: {"value": value} for name, value in job.items()}
                number = f"agent{len(self.sweeps)}-{len(self.jobs)}"
                commands = [{"type": "run", "run_id": number, "args": arguments, "program": "", "logs": []}]
            else:
                commands = [{"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": "AG"}, "commands": json.dumps(commands)}}
