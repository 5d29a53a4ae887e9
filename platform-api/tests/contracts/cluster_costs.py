"""What knowing a cluster costs: `cd platform-api && ../.venv/bin/python -m tests.contracts.cluster_costs 500 2000 5000`.

Per number of models a server process with as many InferenceServices and HTTPRoutes as a real cluster has them (status, managed
fields, gzip), and a runtime that is asked twice a second, as the reconciler does. The server answers from memory without encoding:
what a real API server needs for that is not measured here.
"""

import asyncio
import gzip
import json
import statistics
import subprocess
import sys
import time
import uuid
from typing import Any

import psutil
import uvicorn

from mlops_platform.adapters.kserve import manifests
from mlops_platform.adapters.kserve.manifests import MANAGER, ClusterPlace
from mlops_platform.adapters.kserve.runtime import KServeRuntime
from mlops_platform.deployments.interfaces import RevisionSpec, Routing
from mlops_platform.kit.ids import new_id

from .cluster import kubeconfig

PLACE = ClusterPlace(image=f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/model-server@sha256:{'a' * 64}")
AT = "2026-11-24T12:00:00Z"
SECONDS = 40


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def owned(order: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    """Return an object as a cluster has it: with status, identity and who set which field."""

    def fields(tree: dict[str, Any]) -> dict[str, Any]:
        return {f"f:{name}": fields(part) if isinstance(part, dict) else {} for name, part in tree.items()}

    metadata = order["metadata"]
    set_by = (
        (MANAGER, "Apply", {"metadata": {"labels": metadata["labels"]}, "spec": order["spec"]}),
        ("manager", "Update", {"status": status}),
    )
    managed = [
        {
            "manager": manager,
            "operation": operation,
            "apiVersion": order["apiVersion"],
            "time": AT,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields(tree),
        }
        for manager, operation, tree in set_by
    ]
    identity = {"uid": str(uuid.uuid4()), "resourceVersion": "1", "generation": 1, "creationTimestamp": AT}
    return {**order, "metadata": {**metadata, **identity, "managedFields": managed}, "status": status}


def a_model(number: int) -> tuple[dict[str, Any], dict[str, Any], Routing]:
    """Return a service, its route, and the shares that are wanted."""
    name, tenant, url = (
        f"customer-churn-risk-{number}",
        f"team-{number % 40}",
        "http://name.namespace.svc.cluster.local",
    )
    spec = RevisionSpec(
        f"revision-{number:08}-of-a-model",
        name,
        3,
        f"s3://company-bundles/bundles/{name}/{'c' * 64}",
        "production",
        tenant,
        f"sha256:{'b' * 64}",
        new_id(),
        replicas=2,
        environment_vars={"THRESHOLD": "0.5", "LOG_LEVEL": "info"},
    )
    routing = Routing(f"deployment-{number:08}", name, tenant, "production", ((spec.revision_id, 1.0),))
    good = ("IngressReady", "LatestDeploymentReady", "PredictorReady", "Ready", "RoutesReady", "Stopped")
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": AT} for kind in good]
    service_status = {
        "address": {"url": url},
        "url": url,
        "clusterServingRuntimeName": "model-server",
        "components": {"predictor": {"url": url}},
        "conditions": conditions,
        "deploymentMode": "Standard",
        "modelStatus": {"copies": {"failedCopies": 0, "totalCopies": 2}, "transitionStatus": "UpToDate"},
        "observedGeneration": 1,
    }
    route = manifests.http_route(PLACE, routing)
    parent = {"parentRef": route["spec"]["parentRefs"][0], "controllerName": "gateway.envoyproxy.io/controller"}
    route_status = {"parents": [{**parent, "conditions": conditions[:2]}]}
    return owned(manifests.inference_service(PLACE, spec), service_status), owned(route, route_status), routing


async def serve(models: int) -> None:
    """Answer lists, one service fewer from the second half of the time on."""
    pairs = [a_model(number)[:2] for number in range(models)]

    def encoded(items: list[dict[str, Any]]) -> bytes:
        return gzip.compress(json.dumps({"metadata": {"resourceVersion": "9"}, "items": items}).encode(), 1)

    services, routes = encoded([service for service, _ in pairs]), encoded([route for _, route in pairs])
    fewer, began = encoded([service for service, _ in pairs[1:]]), time.monotonic()

    async def answer(scope: Any, _receive: Any, send: Any) -> None:
        late = time.monotonic() - began > SECONDS / 2
        body = routes if "httproutes" in scope["path"] else fewer if late else services
        headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    sizes = len(gzip.decompress(services)) + len(gzip.decompress(routes)), len(services) + len(routes)
    config = uvicorn.Config(answer, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    say(json.dumps([server.servers[0].sockets[0].getsockname()[1], *sizes, time.time() + SECONDS / 2]))
    began = time.monotonic()
    await task


async def measure(models: int) -> None:
    """Ask a runtime twice a second and print what that took."""
    command = [sys.executable, "-m", "tests.contracts.cluster_costs", "--serve", str(models)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        port, size, wire, changes_at = json.loads(server.stdout.readline())
        wanted = [a_model(number)[2] for number in range(models)]
        runtime = KServeRuntime(PLACE, config=kubeconfig(f"http://127.0.0.1:{port}"))
        await runtime.known()
        await runtime.misrouted(wanted)
        began, cpu, noticed = time.monotonic(), time.process_time(), 0.0
        rest, passes = [], 0
        while time.monotonic() - began < SECONDS:
            before = time.process_time()
            known = await runtime.known()
            assert await runtime.misrouted(wanted) == set()
            rest.append(time.process_time() - before)
            passes += 1
            if not noticed and len(known) < models:
                noticed = time.time() - changes_at
            await asyncio.sleep(0.5)
        share = (time.process_time() - cpu) / (time.monotonic() - began)
        listing = sum(took for took in rest if took > 3 * statistics.median(rest))
        await runtime.close()
    finally:
        server.kill()
        server.wait()
    say(
        f"{models} models: {size / 1e6:.1f} MB a time, {wire / 1e6:.2f} MB on the wire; worker {share:.1%} of a core, "
        f"of that {listing / (time.monotonic() - began):.1%} for lists; a pass without list "
        f"{1000 * statistics.median(rest):.1f} ms; a deletion by hand noticed after {noticed:.1f} s; "
        f"{psutil.Process().memory_info().rss / 1e6:.0f} MB in memory"
    )


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        asyncio.run(serve(int(sys.argv[2])))
    else:
        for asked in sys.argv[1:]:
            asyncio.run(measure(int(asked)))
