"""A Kubernetes API server in a few lines, for what kmock does not do: server-side apply with field ownership.

Per manager it keeps the leaf fields it applied. Another manager that changes one of them gets 409 with the fields, unless
it forces; a field that a manager leaves out of its next apply is removed when nobody else holds it; an apply that changes
nothing leaves resourceVersion and generation as they were. Lists are one field. Objects are validated strictly
against their CRD's schema when the definitions are at hand. Faults are queued per test.
"""

import asyncio
import copy
import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster as Server
from lightkube.config.models import User

from mlops_platform.adapters.kserve.runtime import KServeRuntime

from . import crds

_PATH = re.compile(
    r"^/apis/(?P<group>[^/]+)/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?$"
)
KINDS = {"inferenceservices": "InferenceService", "httproutes": "HTTPRoute"}
Key = tuple[str, str, str]


@dataclass
class Fault:
    """What the next request (of a method) meets instead of an answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    method: str | None = None
    kind: str = ""
    html: bool = False


@dataclass
class Stored:
    content: dict[str, Any]
    owners: dict[str, dict[tuple[str, ...], Any]]

    def copied(self) -> "Stored":
        return copy.deepcopy(self)


class Cluster:
    """The state, and an ASGI application over it."""

    def __init__(self) -> None:
        self.objects: dict[Key, Stored] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, list[str]], bytes]] = []
        self.namespaces: set[str] | None = None
        # every request is refused
        self.down = False
        # what a DELETE leaves until `finalize`
        self.finalizers = False
        # fields of a route that this cluster does not know
        self.prunes: set[str] = set()
        self._versions = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = parse_qs(scope["query_string"].decode())
        self.requests.append((scope["method"], scope["path"], query, body))
        headers: dict[str, str] = {}
        kind = "application/json"
        possible = (f for f in self.faults if f.method in {None, scope["method"]})
        fault = next((f for f in possible if f.kind in scope["path"]), None)
        if fault is not None:
            self.faults.remove(fault)
            await asyncio.sleep(fault.seconds)
        elif self.down:
            fault = Fault(503)
        if fault is not None and fault.status:
            status, content, headers = fault.status, _refusal(fault.status, "a fault of the test"), fault.headers
            kind = "text/html" if fault.html else kind
        else:
            status, content = self._answer(scope["method"], scope["path"], query, body)
        raw = [(b"content-type", kind.encode()), *((k.encode(), v.encode()) for k, v in headers.items())]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    def _answer(  # noqa: PLR0911 - one return per answer the API has
        self, method: str, path: str, query: dict[str, list[str]], body: bytes
    ) -> tuple[int, Any]:
        found = _PATH.match(path)
        if not found or found["plural"] not in KINDS:
            return 404, _refusal(404, "the server could not find the requested resource")
        if self.namespaces is not None and found["namespace"] and found["namespace"] not in self.namespaces:
            return 404, _refusal(404, f'namespaces "{found["namespace"]}" not found')
        key = (found["plural"], found["namespace"] or "", found["name"] or "")
        if method == "GET" and not found["name"]:
            return self._list(key, query)
        if method == "PATCH":
            manager, force = query["fieldManager"][0], query.get("force", ["false"])[0] == "true"
            return self.apply(key, json.loads(body), manager, force=force)
        if key not in self.objects:
            return 404, _refusal(404, f'{key[0]} "{key[2]}" not found')
        if method == "DELETE":
            self.delete(key)
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        return 200, self.objects[key].content

    def _list(self, key: Key, query: dict[str, list[str]]) -> tuple[int, Any]:
        wanted = _selector(query)
        items = [
            stored.content
            for (plural, namespace, _), stored in sorted(self.objects.items())
            if plural == key[0]
            and key[1] in {"", namespace}
            and wanted.items() <= stored.content["metadata"].get("labels", {}).items()
        ]
        start, limit = int(query.get("continue", ["0"])[0]), int(query.get("limit", ["500"])[0])
        metadata = {"resourceVersion": str(self._versions)}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        return 200, {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items[start : start + limit]}

    def apply(self, key: Key, wanted: dict[str, Any], manager: str, *, force: bool = False) -> tuple[int, Any]:
        problems = crds.problems(wanted)
        if problems:
            return 422, _refusal(422, "; ".join(problems))
        stored = self.objects.get(key)
        fields = _leaves({part: value for part, value in wanted.items() if part not in {"apiVersion", "kind"}})
        others = {} if stored is None else {name: own for name, own in stored.owners.items() if name != manager}
        conflicts = {
            path for own in others.values() for path, value in own.items() if path in fields and fields[path] != value
        }
        if conflicts and not force:
            causes = [{"reason": "FieldManagerConflict", "field": "." + ".".join(path)} for path in sorted(conflicts)]
            return 409, {**_refusal(409, "Apply failed with conflicts"), "details": {"causes": causes}}
        for own in others.values():
            for path in conflicts:
                own.pop(path, None)
        content = copy.deepcopy(stored.content) if stored else {"metadata": {}}
        before = json.dumps(content, sort_keys=True)
        for path in (stored.owners.get(manager, {}) if stored else {}).keys() - fields.keys():
            if not any(path in own for own in others.values()):
                _remove(content, path)
        for path, value in fields.items():
            _put(content, path, value)
        content.update(apiVersion=wanted["apiVersion"], kind=wanted["kind"])
        self._prune(key, content)
        old = copy.deepcopy(stored.content) if stored else None
        self.objects[key] = Stored(content, {**others, manager: fields})
        if json.dumps(content, sort_keys=True) != before:
            metadata = content["metadata"]
            changed = old is None or content.get("spec") != old.get("spec")
            metadata["generation"] = metadata.get("generation", 0) + int(changed)
            metadata.setdefault("creationTimestamp", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            metadata.setdefault("uid", str(uuid.uuid4()))
            self._changed(content)
        return 201 if stored is None else 200, content

    def _prune(self, key: Key, content: dict[str, Any]) -> None:
        if key[0] == "httproutes":
            for rule in content["spec"]["rules"]:
                for name in self.prunes & rule.keys():
                    del rule[name]

    def _changed(self, content: dict[str, Any]) -> None:
        self._versions += 1
        content["metadata"]["resourceVersion"] = str(self._versions)

    def touch(self, key: Key, **parts: Any) -> None:
        """Exchange parts of an object, as a controller or a person does who asks for no apply."""
        content = self.objects[key].content
        for name, part in parts.items():
            content[name] = {**content["metadata"], **part} if name == "metadata" else part
        self._changed(content)

    def delete(self, key: Key) -> None:
        """Delete an object, or let it wait for its finalizers."""
        content = self.objects[key].content
        if not self.finalizers:
            del self.objects[key]
            self._versions += 1
        elif "deletionTimestamp" not in content["metadata"]:
            self.touch(key, metadata={"deletionTimestamp": "2026-11-24T12:00:00Z"})

    def finalize(self) -> None:
        """The finalizers are done."""
        for key, stored in list(self.objects.items()):
            if "deletionTimestamp" in stored.content["metadata"]:
                del self.objects[key]
                self._versions += 1

    def keys(self, plural: str) -> list[Key]:
        return [key for key in sorted(self.objects) if key[0] == plural]

    def lists(self) -> int:
        """Return how many lists were answered or refused."""
        return len([1 for method, path, *_ in self.requests if method == "GET" and path.endswith(tuple(KINDS))])

    def of(self, plural: str) -> list[dict[str, Any]]:
        return [stored.content for (kind, _, _), stored in sorted(self.objects.items()) if kind == plural]

    def service(self, revision_id: str) -> dict[str, Any]:
        [found] = [
            each
            for each in self.of("inferenceservices")
            if each["metadata"]["labels"]["mlops.io/revision"] == revision_id
        ]
        return found

    def key(self, revision_id: str) -> Key:
        metadata = self.service(revision_id)["metadata"]
        return "inferenceservices", metadata["namespace"], metadata["name"]

    def becomes_ready(self, revision_id: str) -> None:
        """What KServe's controller writes when the pods answer."""
        service = self.service(revision_id)
        copies = service["spec"]["predictor"]["minReplicas"]
        status = {
            "observedGeneration": service["metadata"]["generation"],
            "conditions": [{"type": "PredictorReady", "status": "True"}, {"type": "Ready", "status": "True"}],
            "modelStatus": {"copies": {"failedCopies": 0, "totalCopies": copies}, "transitionStatus": "UpToDate"},
        }
        self.touch(self.key(revision_id), status=status)

    def is_not_ready(self, revision_id: str, *, transition: str = "InProgress", **failure: Any) -> None:
        """What it writes when they do not."""
        status = {
            "observedGeneration": self.service(revision_id)["metadata"]["generation"],
            "conditions": [{"type": "Ready", "status": "False", "message": "pods are not available"}],
            "modelStatus": {"transitionStatus": transition, **({"lastFailureInfo": failure} if failure else {})},
        }
        self.touch(self.key(revision_id), status=status)

    def weights(self) -> dict[str, dict[str, int]]:
        return {
            route["metadata"]["labels"]["mlops.io/deployment"]: {
                ref["name"]: ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]
            }
            for route in self.of("httproutes")
        }


def list_again(runtime: KServeRuntime) -> None:
    """Let the next question list what the cluster has, as it does after a while."""
    runtime.services.expire()
    runtime.routes.expire()


def kubeconfig(url: str) -> KubeConfig:
    return KubeConfig.from_one(cluster=Server(server=url), user=User(token="of-a-service-account"))


class Listening:
    """The cluster behind a port of this machine."""

    def __init__(self, cluster: Cluster) -> None:
        config = uvicorn.Config(cluster, host="127.0.0.1", port=0, log_level="critical", lifespan="off")  # type: ignore[arg-type]
        self._server = uvicorn.Server(config)

    async def __aenter__(self) -> str:
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        await self._task


def _refusal(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


def _selector(query: dict[str, list[str]]) -> dict[str, str]:
    return dict(part.split("=", 1) for part in query.get("labelSelector", [""])[0].split(",") if part)


def _leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for name, value in tree.items():
        here = (*path, name)
        found.update(_leaves(value, here) if isinstance(value, dict) and value else {here: value})
    return found


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = copy.deepcopy(value)


def _remove(tree: dict[str, Any], path: tuple[str, ...]) -> None:
    for name in path[:-1]:
        tree = tree.get(name, {})
    tree.pop(path[-1], None)
