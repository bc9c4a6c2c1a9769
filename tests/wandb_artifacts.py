"""The part of the small W&B service that knows artifacts: created, uploaded, committed, found by name, used by runs."""

from __future__ import annotations

import itertools
from typing import Any


class Artifacts:
    """`artifacts[id]` holds name, type, aliases, the runs that output it and those that use it."""

    url: str
    entity: str

    def __init__(self) -> None:
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.charts: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)

    def named(self, name: str) -> dict[str, Any] | None:
        """The newest version of `[entity/project/]collection:alias`."""
        collection, _, alias = name.split("/")[-1].partition(":")
        found = [a for a in self.artifacts.values() if a["name"] == collection]
        return next((a for a in reversed(found) if alias in (*a["aliases"], "latest", f"v{a['version']}")), None)

    def on_ServerFeaturesQuery(self, v: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def on_ArtifactType(self, v: dict[str, Any]) -> dict[str, Any]:
        found = self.named(v["name"])
        return {"project": {"artifact": found and {"artifactType": {"name": found["type"]}}}}

    def on_CreateArtifact(self, v: dict[str, Any]) -> dict[str, Any]:
        """A new version, or (same collection and digest) one more run that outputs it."""
        v = v.get("input", v)
        name = v.get("artifactCollectionName") or (v.get("artifactCollectionNames") or [None])[0]
        name = name or v["aliases"][0]["artifactCollectionName"]
        same = [a for a in self.artifacts.values() if (a["name"], a["digest"]) == (name, v["digest"])]
        if not same:
            number = next(self._numbers)
            version = sum(a["name"] == name for a in self.artifacts.values())
            self.artifacts[f"A{number}"] = {
                "id": f"A{number}", "name": name, "type": v["artifactTypeName"], "digest": v["digest"], "aliases": [],
                "version": version, "state": "PENDING", "output_of": [], "used_by": [], "entity": v["entityName"],
                "project": v["projectName"], "manifest": None,
            }  # fmt: skip
            same = [self.artifacts[f"A{number}"]]
        artifact = same[0]
        artifact["output_of"].append(v.get("runName"))
        artifact["aliases"] += [alias["alias"] for alias in v.get("aliases") or []]
        latest = (
            {"id": artifact["id"], "versionIndex": artifact["version"]} if artifact["state"] == "COMMITTED" else None
        )
        shape = {"id": artifact["id"], "digest": artifact["digest"], "state": artifact["state"], "aliases": []}
        return {"createArtifact": {"artifact": {**shape, "artifactSequence": {"id": "S", "latestArtifact": latest}}}}

    def _node(self, artifact: dict[str, Any]) -> dict[str, Any]:
        """An artifact as the public API has it."""
        project = {"id": "P", "internalId": "1", "name": artifact["project"], "entity": {"name": artifact["entity"]}}
        collection = {"__typename": "ArtifactSequence", "name": artifact["name"], "project": project}
        node = {key: artifact[key] for key in ("id", "digest", "state")} | {"__typename": "Artifact"}
        node |= dict.fromkeys(("description", "metadata", "historyStep", "commitHash", "updatedAt", "aliases"))
        node |= {"artifactSequence": collection, "versionIndex": artifact["version"], "tags": [], "size": 1}
        node |= {"artifactType": {"name": artifact["type"]}, "ttlDurationSeconds": -1, "ttlIsInherited": True}
        return node | {"fileCount": 1, "createdAt": "2026-01-01T00:00:00", "digestAlgorithm": "MANIFEST_MD5"}

    def on_ArtifactByID(self, v: dict[str, Any]) -> dict[str, Any]:
        return {"artifact": self._node(self.artifacts[v["id"]])}

    def on_ArtifactMembershipByName(self, v: dict[str, Any]) -> dict[str, Any]:
        found = self.named(v["name"])
        if found is None:
            return {"project": {"artifactCollectionMembership": None}}
        node = self._node(found)
        member = {"__typename": "ArtifactCollectionMembership", "id": "M", "versionIndex": found["version"]}
        member |= {"artifact": node, "artifactCollection": node["artifactSequence"], "aliases": [], "createdAt": "2026"}
        return {"project": {"artifactCollectionMembership": member}}

    def on_CreateArtifactManifest(self, v: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "F", "name": v["name"], "displayName": v["name"], "uploadHeaders": []}
        file["uploadUrl"] = f"{self.url}/put/manifest/{v['artifactID']}"
        return {"createArtifactManifest": {"artifactManifest": {"id": f"M-{v['artifactID']}", "file": file}}}

    def on_UpdateArtifactManifest(self, v: dict[str, Any]) -> dict[str, Any]:
        artifact_id = v["artifactManifestID"].removeprefix("M-")
        made = self.on_CreateArtifactManifest({"artifactID": artifact_id, "name": "wandb_manifest.json"})
        return {"updateArtifactManifest": made["createArtifactManifest"]}

    def on_CreateArtifactFiles(self, v: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for spec in v["input"]["artifactFiles"]:
            url = f"{self.url}/put/artifact/{spec['artifactID']}/{spec['name']}"
            node = {"id": "F", "name": spec["name"], "displayName": spec["name"], "uploadUrl": url, "uploadHeaders": []}
            node |= {"uploadMultipartUrls": None, "storagePath": None, "artifact": {"id": spec["artifactID"]}}
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def on_CommitArtifact(self, v: dict[str, Any]) -> dict[str, Any]:
        artifact = self.artifacts[v["artifactID"]]
        artifact["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifact["id"], "digest": artifact["digest"]}}}

    def on_UseArtifact(self, v: dict[str, Any]) -> dict[str, Any]:
        v = v.get("input", v)
        artifact = self.artifacts[v["artifactID"]]
        artifact["used_by"].append(v["runName"])
        return {"useArtifact": {"artifact": {"id": artifact["id"], "digest": artifact["digest"]}}}

    def on_CreateCustomChart(self, v: dict[str, Any]) -> dict[str, Any]:
        if any(chart["chartName"] == v["chartName"] for chart in self.charts):
            raise ValueError("chart already exists")
        self.charts.append(v)
        return {"createCustomChart": {"chart": {"id": f"{v['entity']}/{v['chartName']}"}}}
