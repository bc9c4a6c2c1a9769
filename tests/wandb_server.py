"""A small W&B service on 127.0.0.1 for the real client: runs, resuming, files, artifacts, paged queries, sweep agents.

It speaks as much of the protocol as client 0.31 needs (seen by listening to it) and keeps everything in memory:
`runs[(project, id)]` holds what arrived. Stopping it closes the port; starting it again goes on with the same state.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from wandb_artifacts import Artifacts
from wandb_sweeps import Sweeps

ENTITY = "tester"
KEY = "k" * 40


def _nodes(items: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    edges = [{"node": item, "cursor": str(i)} for i, item in enumerate(items)]
    return {"edges": edges, "pageInfo": {"endCursor": str(len(items) - 1), "hasNextPage": False}, **more}


class WandbServer(Artifacts, Sweeps):
    entity = ENTITY

    def __init__(self, key: str = KEY) -> None:
        Artifacts.__init__(self)
        Sweeps.__init__(self)
        self.key = key
        self.runs: dict[tuple[str, str], dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}  # by the path that they were put to
        self.requests: list[str] = []  # operation or path of everything that was asked
        self.unknown: list[str] = []  # operations that this server does not know: to be empty in a test
        self.dies_when: Callable[[WandbServer], bool] = lambda server: False  # asked before every answer
        self._ids = itertools.count(1)
        self._lock = threading.RLock()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def start(self) -> WandbServer:
        outer = self

        class Handler(_Handler):
            state = outer

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    __enter__ = start

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key, "WANDB_ERROR_REPORTING": "false"}

    # What the handler calls, with the lock held.

    def graphql(self, name: str, query: str, v: dict[str, Any]) -> dict[str, Any]:
        answer = getattr(self, f"on_{name}", None)
        if answer is None:
            self.unknown.append(f"{name}\n{query}\n{json.dumps(v)}")
            return {"errors": [{"message": f"unknown operation {name}"}]}
        try:
            return {"data": answer(v)}
        except ValueError as error:
            return {"errors": [{"message": str(error)}]}

    def file_stream(self, project: str, run_id: str, body: dict[str, Any]) -> None:
        run = self.runs[project, run_id]
        for name, chunk in (body.get("files") or {}).items():
            if name == "wandb-history.jsonl":
                rows = [json.loads(line) for line in chunk["content"]]
                run["history"][chunk["offset"] :] = rows
            elif name == "wandb-summary.json":
                run["summary"] = json.loads(chunk["content"][-1])
        if body.get("complete"):
            run["state"] = "finished" if body.get("exitcode") == 0 else "failed"
        run["heartbeat"] = time.time()

    def on_Viewer(self, v: dict[str, Any]) -> dict[str, Any]:
        viewer = dict.fromkeys(("username", "name", "entity"), ENTITY)
        teams = _nodes([{"id": "T", "name": ENTITY}])
        more = {"id": "U", "email": "a@b.c", "flags": "{}", "admin": False, "photoUrl": None}
        return {"viewer": {**viewer, **more, "teams": teams, "apiKeys": _nodes([])}}

    on_GetDefaultEntity = on_Viewer

    def on_RunResumeStatus(self, v: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get((v["project"], v["name"]))
        project = {"id": "P", "name": v["project"], "entity": {"id": "E", "name": ENTITY}}
        if run is None:
            return {"model": {**project, "bucket": None}}
        tail = json.dumps([json.dumps(run["history"][-1])]) if run["history"] else "[]"
        return {
            "model": {
                **project,
                "bucket": {
                    "id": run["gid"],
                    "name": v["name"],
                    "displayName": run["display_name"],
                    "sweepName": None,
                    "summaryMetrics": json.dumps(run["summary"]),
                    "historyLineCount": len(run["history"]),
                    "eventsLineCount": 0,
                    "logLineCount": 0,
                    "historyTail": tail,
                    "eventsTail": "[]",
                    "config": json.dumps(run["config"]),
                    "wandbConfig": json.dumps({"t": 1}),
                    "tags": run["tags"],
                    "writerId": None,
                },
            }
        }

    def on_UpsertBucket(self, v: dict[str, Any]) -> dict[str, Any]:
        project, run_id = v.get("project") or "uncategorized", v["name"]
        new = (project, run_id) not in self.runs
        if new:
            number = next(self._ids)
            self.runs[project, run_id] = {
                "id": run_id, "gid": f"run-{number}", "display_name": run_id, "group": None, "job_type": None,
                "tags": [], "notes": None, "config": {}, "summary": {}, "history": [], "state": "running",
                "sweep": v.get("sweep"), "created": f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}",
                "heartbeat": time.time(),
            }  # fmt: skip
        run = self.runs[project, run_id]
        if v.get("config"):
            run["config"] = json.loads(v["config"])
        for theirs, ours in (("displayName", "display_name"), ("groupName", "group"), ("jobType", "job_type"),
                             ("tags", "tags"), ("notes", "notes"), ("sweep", "sweep")):  # fmt: skip
            if v.get(theirs) is not None:
                run[ours] = v[theirs]
        bucket = {
            "id": run["gid"], "name": run_id, "displayName": run["display_name"], "description": None,
            "config": json.dumps(run["config"]), "sweepName": run["sweep"], "historyLineCount": len(run["history"]),
            "project": {"id": "P", "name": project, "entity": {"id": "E", "name": ENTITY}},
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": new}}

    def on_CreateRunFiles(self, v: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": f, "uploadUrl": f"{self.url}/put/{v['run']}/{f}"} for f in v["files"]]
        run = self.runs[v["project"], v["run"]]
        return {"createRunFiles": {"runID": run["gid"], "uploadHeaders": [], "files": files}}

    # The public API.

    def _run_node(self, project: str, run: dict[str, Any]) -> dict[str, Any]:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(run["heartbeat"]))
        return {
            "id": run["gid"], "name": run["id"], "displayName": run["display_name"], "state": run["state"],
            "config": json.dumps(run["config"]), "summaryMetrics": json.dumps(run["summary"]), "systemMetrics": "{}",
            "group": run["group"], "jobType": run["job_type"], "tags": run["tags"], "notes": run["notes"],
            "createdAt": run["created"], "heartbeatAt": stamp, "updatedAt": stamp, "sweepName": run["sweep"],
            "commit": None, "readOnly": False, "description": None, "historyLineCount": len(run["history"]),
            "user": {"name": ENTITY, "username": ENTITY}, "historyKeys": None, "projectId": "1",
        }  # fmt: skip

    def on_Runs(self, v: dict[str, Any]) -> dict[str, Any]:
        if not any(project == v["project"] for project, _ in self.runs):
            return {"project": None}
        wanted = json.loads(v.get("filters") or "{}")
        found = [run for (project, _), run in self.runs.items() if project == v["project"] and _matches(run, wanted)]
        first = int(v.get("cursor") or -1) + 1
        last = first + v["perPage"]
        nodes = [self._run_node(v["project"], run) for run in found]
        edges = [{"node": node, "cursor": str(i)} for i, node in enumerate(nodes)][first:last]
        page = {"endCursor": edges[-1]["cursor"] if edges else None, "hasNextPage": last < len(nodes)}
        runs = {"edges": edges, "pageInfo": page}
        return {"project": {"internalId": "1", "runCount": len(nodes), "readOnly": False, "runs": runs}}


_FIELDS = {"group": "group", "jobType": "job_type", "name": "id", "state": "state", "display_name": "display_name"}


def _matches(run: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for field, value in wanted.items():
        if field == "$and":
            if not all(_matches(run, part) for part in value):
                return False
            continue
        have = run[_FIELDS[field]]  # a KeyError shows a filter that this server does not know
        if not (have in value["$in"] if isinstance(value, dict) else have == value):
            return False
    return True


class _Handler(BaseHTTPRequestHandler):
    state: WandbServer

    def log_message(self, *arguments: object) -> None:
        pass

    def _send(self, code: int, content: Any) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def do_GET(self) -> None:
        with self.state._lock:
            self.state.requests.append(self.path)
            content = self.state.files.get(unquote(self.path.split("?")[0]).replace("/get/", "/put/"))
        self._send(200 if content is not None else 404, content if content is not None else {})

    def do_PUT(self) -> None:
        body = self._body()
        with self.state._lock:
            self.state.requests.append(self.path)
            self.state.files[unquote(self.path)] = body
        self._send(200, {})

    def do_POST(self) -> None:
        state, body = self.state, self._body()
        if state.dies_when(state):
            state.dies_when = lambda server: False
            threading.Thread(target=state.stop).start()
            return
        given = self.headers.get("Authorization") or ""
        if given != "Basic " + base64.b64encode(f"api:{state.key}".encode()).decode():
            self._send(401, {"errors": [{"message": "user is not logged in"}]})
            return
        with state._lock:
            if self.path == "/graphql":
                asked = json.loads(body)
                found = re.search(r"\b(?:query|mutation)\s+(\w+)", asked["query"])
                name = found[1] if found else "unnamed"
                state.requests.append(name)
                answer = state.graphql(name, asked["query"], asked.get("variables") or {})
            else:
                state.requests.append(self.path)
                stream = re.fullmatch(r"/files/[^/]+/([^/]+)/([^/]+)/file_stream", unquote(self.path))
                if stream:
                    state.file_stream(stream[1], stream[2], json.loads(body))
                answer = {}
        self._send(200, answer)
