"""Tenants are applied to a Kubernetes API over HTTP: idempotent, patient with a busy server, plain about a refusal."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import kmock
import pytest
import yaml
from aiohttp import web
from lightkube import KubeConfig

from mlops_platform.adapters.kubernetes.tenants import FIELD_MANAGER, KubernetesTenants
from mlops_platform.tenants.definition import load
from mlops_platform.tenants.interfaces import ClusterRefused, ClusterUnavailable, ObjectRefused, TenantCluster
from mlops_platform.tenants.places import Places
from mlops_platform.tenants.render import manifests
from mlops_platform.tenants.usage import QuotaStatus

FRAUD = Path(__file__).parents[3] / "kubernetes" / "tenants" / "fraud.yaml"


class Api:
    """What the server keeps, and the statuses it is told to fail with."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.versions = 0
        self.faults: list[int] = []
        self.in_text = False

    def answer(self, request: kmock.Request) -> web.Response:
        path = request.url.path
        self.requests.append(f"{request.method} {path}")
        if self.faults and self.in_text:
            return web.Response(text="too many requests, please try again later", status=self.faults.pop(0))
        if self.faults:
            return self._status(self.faults.pop(0), "told to fail")
        if request.method == "GET":
            prefix = path + "/"
            items = [value for key, value in sorted(self.objects.items()) if key.startswith(prefix)]
            return self._json(200, {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})
        return self._apply(path, request)

    def _apply(self, path: str, request: kmock.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        assert headers["content-type"] == "application/apply-patch+yaml"
        assert request.url.query["fieldManager"] == FIELD_MANAGER
        assert request.url.query["force"] == "true"
        wanted = yaml.safe_load(request.body)
        parts = path.split("/")
        if (
            "namespaces" in parts[:-2]
            and f"/api/v1/namespaces/{parts[parts.index('namespaces') + 1]}" not in self.objects
        ):
            return self._status(404, "namespaces not found")
        known = self.objects.get(path)
        if known is None or {**known, "metadata": {}} != {**wanted, "metadata": {}}:
            self.versions += 1
        self.objects[path] = wanted
        return self._json(201 if known is None else 200, wanted)

    def _json(self, status: int, content: Any) -> web.Response:
        # exactly this type, as a Kubernetes API sends it
        headers = {"Content-Type": "application/json"}
        return web.Response(body=json.dumps(content).encode(), status=status, headers=headers)

    def _status(self, code: int, message: str) -> web.Response:
        return self._json(
            code,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "code": code,
                "message": message,
                "reason": "Test",
            },
        )


class TenantClusterContract:
    """What every cluster keeps to."""

    __test__ = False

    async def test_applying_twice_gives_the_same(self, cluster: TenantCluster, api: Api) -> None:
        (tenant,) = load(FRAUD)
        found = manifests(tenant, Places())
        for _ in range(2):
            for manifest in found:
                await asyncio.to_thread(cluster.apply, manifest)
        assert len(api.objects) == len(found)
        assert api.versions == len(found), "the second time changed something"

    async def test_a_namespace_that_is_not_there_is_a_refusal_with_a_name(self, cluster: TenantCluster) -> None:
        (tenant,) = load(FRAUD)
        with pytest.raises(ObjectRefused, match="ResourceQuota tenant"):
            await asyncio.to_thread(cluster.apply, manifests(tenant, Places())[1])

    async def test_quotas_are_read_with_what_is_used(self, cluster: TenantCluster, api: Api) -> None:
        api.objects["/api/v1/namespaces/a/resourcequotas/tenant"] = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "tenant", "namespace": "a"},
            "spec": {"hard": {"pods": "10"}},
            "status": {"hard": {"pods": "10"}, "used": {"pods": "9"}},
        }
        found = await asyncio.to_thread(cluster.quotas, ["a", "b"])
        assert found == [QuotaStatus("a", "tenant", {"pods": "10"}, {"pods": "9"})]


def kubeconfig(folder: Path, url: str) -> Path:
    """A file that names the server, as `aws eks update-kubeconfig` writes one."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": {"token": "t"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return file


class TestKubernetesTenants(TenantClusterContract):
    __test__ = True

    @pytest.fixture
    def api(self) -> Api:
        return Api()

    @pytest.fixture
    async def url(self, api: Api) -> AsyncIterator[str]:
        class Handler(kmock.RawHandler):
            async def _handle(self, request: kmock.Request) -> web.Response:
                return api.answer(request)

        async with Handler() as handler, kmock.Server(handler) as server:
            yield str(server.url)

    @pytest.fixture
    def pauses(self) -> list[float]:
        return []

    @pytest.fixture
    def cluster(self, url: str, tmp_path: Path, pauses: list[float]) -> KubernetesTenants:
        return KubernetesTenants(KubeConfig.from_file(kubeconfig(tmp_path, url)), pause=pauses.append)

    @pytest.fixture
    def namespace(self) -> dict[str, Any]:
        (tenant,) = load(FRAUD)
        return manifests(tenant, Places())[0]

    @pytest.mark.parametrize("status", [429, 500, 503])
    async def test_a_busy_server_is_asked_again(
        self, cluster: KubernetesTenants, api: Api, namespace: Any, pauses: list[float], status: int
    ) -> None:
        api.faults = [status, status]
        await asyncio.to_thread(cluster.apply, namespace)
        assert len(api.objects) == 1
        assert pauses == [0.5, 1.0]

    async def test_a_server_that_sheds_load_in_plain_text_is_asked_again(
        self, cluster: KubernetesTenants, api: Api, namespace: Any
    ) -> None:
        api.faults, api.in_text = [429, 502], True
        await asyncio.to_thread(cluster.apply, namespace)
        assert len(api.objects) == 1

    async def test_a_server_that_stays_busy_is_given_up_with_a_sentence(
        self, cluster: KubernetesTenants, api: Api, namespace: Any
    ) -> None:
        api.faults = [503] * 10
        with pytest.raises(ClusterUnavailable, match="apply again"):
            await asyncio.to_thread(cluster.apply, namespace)
        assert len(api.requests) == 4

    @pytest.mark.parametrize(
        ("status", "expected"),
        [(401, ClusterRefused), (403, ClusterRefused), (409, ObjectRefused), (422, ObjectRefused)],
    )
    async def test_a_refusal_is_not_asked_again(
        self, cluster: KubernetesTenants, api: Api, namespace: Any, status: int, expected: type[Exception]
    ) -> None:
        api.faults = [status]
        with pytest.raises(expected, match="Namespace tenant-fraud-staging"):
            await asyncio.to_thread(cluster.apply, namespace)
        assert len(api.requests) == 1

    async def test_nobody_listening_is_a_situation_with_a_sentence(
        self, namespace: Any, tmp_path: Path, pauses: list[float]
    ) -> None:
        nowhere = KubernetesTenants(
            KubeConfig.from_file(kubeconfig(tmp_path, "http://127.0.0.1:9")), pause=pauses.append
        )
        with pytest.raises(ClusterUnavailable, match="does not answer"):
            await asyncio.to_thread(nowhere.apply, namespace)
        assert len(pauses) == 3

    async def test_the_command_applies_and_warns_of_full_quotas(
        self, url: str, api: Api, tmp_path: Path, mlops: Callable[..., Any]
    ) -> None:
        config = kubeconfig(tmp_path, url)
        applied = await asyncio.to_thread(mlops, "tenants", "apply", str(FRAUD), KUBECONFIG=str(config))
        assert applied.code == 0, applied.err
        assert "in tenant-fraud-staging, tenant-fraud-production" in applied.out
        quota = api.objects["/api/v1/namespaces/tenant-fraud-staging/resourcequotas/tenant"]
        quota["status"] = {"hard": {"pods": "25"}, "used": {"pods": "24"}}
        shown = await asyncio.to_thread(
            mlops, "tenants", "usage", str(FRAUD), "--fail-on-warning", KUBECONFIG=str(config)
        )
        assert shown.code == 1
        assert "warning: tenant-fraud-staging uses 24 of 25 pods" in shown.out
        again = await asyncio.to_thread(mlops, "tenants", "usage", str(FRAUD), "--json", KUBECONFIG=str(config))
        assert again.json[0]["warning"] is True
