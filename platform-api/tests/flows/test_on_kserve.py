"""The reconciler on a cluster: deploy, canary by weight, promote, roll back, undeploy, with statuses moved as KServe moves them."""

import asyncio
import copy
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mlops_platform.adapters.kserve import manifests
from mlops_platform.adapters.kserve.manifests import ClusterPlace
from mlops_platform.adapters.kserve.runtime import KServeRuntime
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.builds.interfaces import BundleStore
from mlops_platform.deployments import operations, service
from mlops_platform.deployments.interfaces import Placement, Routing, RuntimeUnavailable
from mlops_platform.deployments.operations import Operation
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.predictions import standing
from mlops_platform.rollouts.interfaces import Signals
from mlops_platform.rollouts.reconciler import reconcile
from mlops_platform.rollouts.rollout import Signal

from ..contracts.cluster import Cluster, Fault, Listening, kubeconfig, list_again
from ..support.agreed import record_agreement

PLACE = ClusterPlace(image=f"registry.example/model-server@sha256:{'a' * 64}")
OPERATOR = Principal("max@company.com", frozenset({Role("manager")}), "risk")


class Judged(Signals):
    """Says what a test wants to be seen."""

    def __init__(self) -> None:
        self.signal = Signal(0, 0, None)

    async def since(self, revision_id: str, start: datetime) -> Signal:
        return self.signal


class Published(BundleStore):
    """Bundles of a bucket, read from a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def publish(self, folder: Path) -> str:
        return f"s3://bundles/b/{folder.name}"

    def fetch(self, address: str) -> Path:
        return self.folder / address.rsplit("/", 1)[1]

    def keep_beside(self, address: str, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def beside(self, address: str, name: str) -> bytes | None:
        return None


class OnKServe:
    def __init__(self, services: BuiltServices, cluster: Cluster, signals: Judged) -> None:
        self.services, self.cluster, self.signals = services, cluster, signals

    async def approved(self, version: int, deployment_id: str | None = None, tenant: str = "risk") -> tuple[str, str]:
        """A revision that is built and approved, as builds and approvals leave it: (deployment, revision)."""
        at = now()
        bundle = self.services.bundles.fetch(f"s3://bundles/b/{version}")
        if not bundle.exists():
            bundle.mkdir(parents=True)
            (bundle / "bundle.json").write_text(f'{{"version": {version}}}')
            await self.services.signer.sign(bundle)
        async with self.services.database.session() as session:
            if deployment_id is None:
                deployment_id = new_id()
                session.add(
                    DeploymentRow(
                        id=deployment_id,
                        model_name=f"churn-{tenant}",
                        environment="production",
                        tenant=tenant,
                        desired_paused=False,
                        generation=0,
                        observed_generation=0,
                        observed_message="",
                        created_at=at,
                        updated_at=at,
                    )
                )
                await session.flush()
            row = RevisionRow(
                id=new_id(),
                deployment_id=deployment_id,
                number=version,
                version=version,
                digest=f"sha256:{version:064x}",
                risk_level="high",
                config={"replicas": 2, "resources": {}, "environment_vars": {}},
                approval_id=f"approval-{version}" if tenant == "risk" else f"approval-{tenant}-{version}",
                requested_by="ana@company.com",
                plan=[{"traffic": 0.1, "hold_seconds": 3600}, {"traffic": 1.0, "hold_seconds": 0}],
                justification="test",
                state="approved",
                reason="",
                build="built",
                bundle=f"s3://bundles/b/{version}",
                engine="onnx",
                feature_refs=[],
                traffic=0.0,
                step=0,
                step_began_at=None,
                routed_generation=None,
                created_at=at,
                updated_at=at,
            )
            session.add(row)
            await session.flush()
            deployment = await session.get(DeploymentRow, deployment_id)
            assert deployment is not None
            await record_agreement(session, deployment, row)
            return deployment_id, row.id

    async def work(self, passes: int = 1) -> None:
        for _ in range(passes):
            runtime = self.services.runtime
            assert isinstance(runtime, KServeRuntime)
            list_again(runtime)
            async with self.services.database.session() as session:
                # a process of the data plane that has loaded all there is
                await standing.report(session, "data-plane-0", 1_000_000, {})
            await reconcile(self.services)

    async def state(self, revision_id: str) -> str:
        async with self.services.database.read_session() as session:
            found = await session.execute(select(RevisionRow.state).where(RevisionRow.id == revision_id))
            return str(found.scalar_one())

    async def message(self, deployment_id: str) -> str:
        async with self.services.database.read_session() as session:
            query = select(DeploymentRow.observed_message).where(DeploymentRow.id == deployment_id)
            return str((await session.execute(query)).scalar_one())

    async def operate(self, deployment_id: str, operation: Operation, tenant: str = "risk") -> None:
        async with self.services.database.session() as session:
            caller = replace(OPERATOR, tenant=tenant)
            await operations.operate(session, self.services.authorizer, caller, deployment_id, operation, "test")
        await self.work()

    async def live(self, version: int, deployment_id: str | None = None, tenant: str = "risk") -> tuple[str, str]:
        deployment_id, revision_id = await self.approved(version, deployment_id, tenant)
        await self.work()
        self.cluster.becomes_ready(revision_id)
        await self.work()
        await self.operate(deployment_id, "promote", tenant)
        return deployment_id, revision_id

    def weights(self) -> dict[str, int]:
        [weights] = self.cluster.weights().values()
        return weights

    def running(self) -> set[str]:
        return {each["metadata"]["labels"]["mlops.io/revision"] for each in self.cluster.of("inferenceservices")}


def backend(revision_id: str, model: str = "churn-risk") -> str:
    return f"{manifests.service_name(revision_id, model)}-predictor"


@pytest.fixture
async def kserve(services: BuiltServices, tmp_path: Path) -> AsyncIterator[OnKServe]:
    cluster, signals = Cluster(), Judged()
    async with Listening(cluster) as url:
        runtime = KServeRuntime(PLACE, config=kubeconfig(url), timeout_seconds=2)
        yield OnKServe(
            replace(services, runtime=runtime, signals=signals, bundles=Published(tmp_path / "bucket")),
            cluster,
            signals,
        )
        await runtime.close()


async def test_deploy_canary_promote_roll_back_and_undeploy(kserve: OnKServe) -> None:
    deployment_id, first = await kserve.live(1)
    assert kserve.weights() == {backend(first): 1000}
    _, second = await kserve.approved(2, deployment_id)
    await kserve.work()
    assert await kserve.state(second) == "starting"
    await kserve.work()
    assert await kserve.state(second) == "starting", "the cluster has not said that it runs"
    assert kserve.weights() == {backend(first): 1000}, "no traffic before it can answer"
    kserve.cluster.becomes_ready(second)
    await kserve.work()
    assert await kserve.state(second) == "rolling_out"
    assert kserve.weights() == {backend(first): 900, backend(second): 100}
    await kserve.operate(deployment_id, "promote")
    assert (await kserve.state(first), await kserve.state(second)) == ("standby", "live")
    assert kserve.weights() == {backend(second): 1000}
    assert kserve.running() == {first, second}, "the one before stays for an instant rollback"
    await kserve.operate(deployment_id, "rollback")
    assert kserve.weights() == {backend(first): 1000}
    assert kserve.running() == {first}
    await kserve.operate(deployment_id, "undeploy")
    assert kserve.cluster.weights() == {}
    assert kserve.running() == set()


async def test_a_red_gate_takes_the_weight_back(kserve: OnKServe) -> None:
    deployment_id, first = await kserve.live(1)
    _, second = await kserve.approved(2, deployment_id)
    await kserve.work()
    kserve.cluster.becomes_ready(second)
    await kserve.work()
    kserve.signals.signal = Signal(1_000, 900, 0.01)
    await kserve.work()
    assert await kserve.state(second) == "rolled_back"
    assert kserve.weights() == {backend(first): 1000}
    assert kserve.running() == {first}


async def test_a_bundle_the_model_server_refuses_fails_and_the_old_one_answers(kserve: OnKServe) -> None:
    deployment_id, first = await kserve.live(1)
    _, second = await kserve.approved(2, deployment_id)
    await kserve.work()
    kserve.cluster.is_not_ready(second, reason="ModelLoadFailed", exitCode=4, message="digest_mismatch")
    await kserve.work()
    assert await kserve.state(second) == "failed"
    assert kserve.weights() == {backend(first): 1000}
    assert kserve.running() == {first}


async def test_a_cluster_that_does_not_answer_is_asked_again_and_nothing_is_lost(kserve: OnKServe) -> None:
    deployment_id, _ = await kserve.live(1)
    kserve.cluster.faults += [Fault(503, method="DELETE")]
    with pytest.raises(Exception, match="cannot take orders"):
        await kserve.operate(deployment_id, "undeploy")
    await kserve.work(2)
    assert kserve.cluster.weights() == {}
    assert kserve.running() == set()


async def test_a_tenant_without_a_namespace_holds_up_no_other_and_is_told(kserve: OnKServe) -> None:
    kserve.cluster.namespaces = {"tenant-risk-production"}
    stuck, _ = await kserve.approved(1, tenant="fraud")
    _, revision_id = await kserve.approved(1)
    await kserve.work()
    kserve.cluster.becomes_ready(revision_id)
    await kserve.work()
    assert await kserve.state(revision_id) == "rolling_out"
    assert "namespace" in await kserve.message(stuck)
    kserve.cluster.namespaces = None
    # a deployment that failed is tried again, later each time
    async with asyncio.timeout(20):
        while len(kserve.running()) < 2:
            await kserve.work()


async def test_what_somebody_deletes_by_hand_comes_back(kserve: OnKServe) -> None:
    _, first = await kserve.live(1)
    [key] = kserve.cluster.keys("inferenceservices")
    kserve.cluster.delete(key)
    await kserve.work()
    assert kserve.running() == {first}


async def test_a_route_deleted_or_changed_by_hand_comes_back_without_a_change_of_the_deployment(
    kserve: OnKServe,
) -> None:
    _, first = await kserve.live(1)
    await kserve.work()
    [key] = kserve.cluster.keys("httproutes")
    kserve.cluster.delete(key)
    await kserve.work()
    assert kserve.weights() == {backend(first): 1000}
    spec = copy.deepcopy(kserve.cluster.objects[key].content["spec"])
    spec["rules"][0]["backendRefs"] = [{"name": "mine", "port": 80, "weight": 1}]
    kserve.cluster.touch(key, spec=spec)
    await kserve.work()
    assert kserve.weights() == {backend(first): 1000}


async def test_a_route_of_a_deployment_that_is_gone_is_removed(kserve: OnKServe) -> None:
    await kserve.live(1)
    stray = manifests.http_route(PLACE, Routing("of-nobody", "churn", "risk", "production", (("r", 1.0),)))
    kserve.cluster.apply(
        ("httproutes", stray["metadata"]["namespace"], stray["metadata"]["name"]), stray, manifests.MANAGER
    )
    await kserve.work()
    assert "of-nobody" not in kserve.cluster.weights()
    assert len(kserve.cluster.weights()) == 1


async def test_a_route_the_cluster_refuses_is_told_and_holds_up_no_other(kserve: OnKServe) -> None:
    refused, _ = await kserve.live(1)
    _, other = await kserve.live(1, tenant="fraud")
    await kserve.work()
    for key in kserve.cluster.keys("httproutes"):
        kserve.cluster.delete(key)
    kserve.cluster.namespaces = {"tenant-fraud-production"}
    await kserve.work()
    assert [list(weights) for weights in kserve.cluster.weights().values()] == [[backend(other, "churn-fraud")]]
    assert "namespace" in await kserve.message(refused)


async def test_a_service_the_cluster_does_not_let_go_holds_up_no_other(kserve: OnKServe) -> None:
    deployment_id, first = await kserve.live(1)
    _, other = await kserve.live(1, tenant="fraud")
    kserve.cluster.delete(kserve.cluster.key(other))
    kserve.cluster.faults.append(Fault(status=403, method="DELETE", kind="inferenceservices"))
    await kserve.operate(deployment_id, "undeploy")
    assert kserve.running() == {first, other}
    await kserve.work()
    assert kserve.running() == {other}


async def test_a_cluster_that_cannot_be_listed_is_not_acted_on(kserve: OnKServe) -> None:
    deployment_id, first = await kserve.live(1)
    kserve.cluster.delete(kserve.cluster.key(first))
    runtime = kserve.services.runtime
    assert isinstance(runtime, KServeRuntime)
    list_again(runtime)
    kserve.cluster.down = True
    orders = len(kserve.cluster.requests)
    with pytest.raises(RuntimeUnavailable):
        await reconcile(kserve.services)
    assert [method for method, *_ in kserve.cluster.requests[orders:] if method != "GET"] == []
    assert deployment_id in kserve.cluster.weights()


async def test_a_repeated_pass_changes_nothing_in_the_cluster(kserve: OnKServe) -> None:
    await kserve.live(1)
    before = {key: each.content["metadata"]["resourceVersion"] for key, each in kserve.cluster.objects.items()}
    await kserve.work(3)
    assert {key: each.content["metadata"]["resourceVersion"] for key, each in kserve.cluster.objects.items()} == before


async def test_the_data_plane_is_told_the_address_in_the_cluster(kserve: OnKServe) -> None:
    _, first = await kserve.live(1)
    async with kserve.services.database.read_session() as session:
        snapshot = await service.live_routes(session, kserve.services.runtime.address)
    [live] = snapshot.revisions
    assert live.address == manifests.address(PLACE, Placement(first, "churn-risk", "risk", "production"))
    assert live.address == (await kserve.services.runtime.observe(first)).address
    assert live.bundle == "s3://bundles/b/1"


def test_the_place_of_a_model_is_known_without_asking() -> None:
    placement: Any = Placement("r", "churn", "risk", "staging")
    assert manifests.address(PLACE, placement).endswith("-predictor.tenant-risk-staging.svc.cluster.local")


async def test_a_bundle_changed_after_it_was_signed_is_never_ordered(kserve: OnKServe) -> None:
    _, revision_id = await kserve.approved(1)
    (kserve.services.bundles.fetch("s3://bundles/b/1") / "bundle.json").write_text("{}")
    await kserve.work()
    assert await kserve.state(revision_id) == "failed"
    assert kserve.running() == set()
