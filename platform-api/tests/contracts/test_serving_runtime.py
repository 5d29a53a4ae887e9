"""What every serving runtime keeps to, on this machine's processes and on a Kubernetes API; and what a cluster may do wrong."""

import asyncio
import copy
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.adapters.kserve import manifests
from mlops_platform.adapters.kserve.manifests import ClusterPlace
from mlops_platform.adapters.kserve.runtime import InferenceService, KServeRuntime
from mlops_platform.adapters.local.runtime import LocalRuntime
from mlops_platform.deployments.interfaces import (
    Observed,
    RevisionSpec,
    Routing,
    RuntimeConflict,
    RuntimeUnavailable,
    ServingRuntime,
)
from mlops_platform.kit.ids import new_id
from mlops_platform.local.model_host import ModelHost
from mlops_platform.local.watchdog_client import Watchdog

from . import crds
from .cluster import Cluster, Fault, Listening, kubeconfig, list_again

PLACE = ClusterPlace(image=f"registry.example/model-server@sha256:{'a' * 64}")
# answers /health/ready on the Unix socket it is told, or ends as a model server does that refuses its bundle
HOSTED = Path(__file__).with_name("hosted_model.py")


def a_spec(**more: Any) -> RevisionSpec:
    return RevisionSpec(
        **{
            "revision_id": new_id(),
            "model_name": "churn",
            "version": 3,
            "bundle": "s3://bundles/b/churn/0",
            "environment": "staging",
            "tenant": "risk",
            "digest": f"sha256:{'b' * 64}",
            "approval_id": "approval-1",
            **more,
        }
    )


def routed(spec: RevisionSpec, *shares: tuple[str, float]) -> Routing:
    return Routing("deployment-1", spec.model_name, spec.tenant, spec.environment, shares)


async def eventually(runtime: ServingRuntime, revision_id: str, seconds: float = 20) -> Observed:
    """Wait until a revision is ready or has failed."""
    async with asyncio.timeout(seconds):
        while not ((seen := await runtime.observe(revision_id)).ready or seen.failed):
            await asyncio.sleep(0.05)
    return seen


class ServingRuntimeContract:
    """What every serving runtime keeps to."""

    __test__ = False
    refused = "refused"

    async def comes_up(self, spec: RevisionSpec) -> None:
        """Let the revision's processes become ready."""

    async def is_refused(self, spec: RevisionSpec) -> None:
        """Let the model server refuse the bundle."""

    async def test_what_was_asked_for_runs_and_says_so(self, runtime: ServingRuntime) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        assert spec.revision_id in await runtime.known()
        await self.comes_up(spec)
        seen = await eventually(runtime, spec.revision_id)
        assert seen.ready
        assert not seen.failed
        assert seen.replicas == 1
        assert seen.address == runtime.address(spec.placement)

    async def test_before_it_answers_it_is_waited_for_and_has_not_failed(self, runtime: ServingRuntime) -> None:
        spec = a_spec()
        unknown = await runtime.observe(spec.revision_id)
        assert (unknown.ready, unknown.failed) == (False, False)
        assert unknown.message
        await runtime.apply(spec)
        waiting = await runtime.observe(spec.revision_id)
        assert not waiting.failed
        assert waiting.message

    async def test_a_refused_bundle_has_failed_and_says_why(self, runtime: ServingRuntime) -> None:
        spec = a_spec(bundle=self.refused)
        await runtime.apply(spec)
        await self.is_refused(spec)
        seen = await eventually(runtime, spec.revision_id)
        assert seen.failed
        assert "digest_mismatch" in seen.message

    async def test_asking_twice_changes_nothing(self, runtime: ServingRuntime) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        await self.comes_up(spec)
        before = await eventually(runtime, spec.revision_id)
        await runtime.apply(spec)
        assert await runtime.observe(spec.revision_id) == before
        assert await runtime.known() == {spec.revision_id}

    async def test_what_is_removed_runs_no_more_and_removing_twice_is_fine(self, runtime: ServingRuntime) -> None:
        kept, gone = a_spec(), a_spec()
        for spec in (kept, gone):
            await runtime.apply(spec)
        await runtime.remove(gone.revision_id)
        await runtime.remove(gone.revision_id)
        await runtime.remove("never-was")
        assert await runtime.known() == {kept.revision_id}

    async def test_traffic_may_be_shared_again_and_again_and_given_up(self, runtime: ServingRuntime) -> None:
        old, new = a_spec(), a_spec()
        for shares in ([(old.revision_id, 1.0)], [(old.revision_id, 0.9), (new.revision_id, 0.1)], [], []):
            await runtime.route(routed(old, *shares))
            assert await runtime.misrouted([routed(old, *shares)]) == set()
        assert await runtime.misrouted([]) == set()


class TestLocalRuntime(ServingRuntimeContract):
    __test__ = True

    @pytest.fixture
    async def runtime(self, tmp_path: Path) -> AsyncIterator[LocalRuntime]:
        with Watchdog() as watchdog:
            host = ModelHost(
                tmp_path, tmp_path / "bundles", watchdog, lambda _event: None, [sys.executable, str(HOSTED)]
            )
            host.start()
            yield LocalRuntime(tmp_path)
            await host.stop()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def kserve(cluster: Cluster) -> AsyncIterator[KServeRuntime]:
    async with Listening(cluster) as url:
        runtime = KServeRuntime(PLACE, config=kubeconfig(url), timeout_seconds=0.5, patience_seconds=60)
        yield runtime
        await runtime.close()


class TestKServeRuntime(ServingRuntimeContract):
    __test__ = True

    @pytest.fixture
    def runtime(self, kserve: KServeRuntime, cluster: Cluster) -> KServeRuntime:
        self.cluster = cluster
        return kserve

    async def comes_up(self, spec: RevisionSpec) -> None:
        self.cluster.becomes_ready(spec.revision_id)

    async def is_refused(self, spec: RevisionSpec) -> None:
        self.cluster.is_not_ready(
            spec.revision_id,
            transition="BlockedByFailedLoad",
            reason="ModelLoadFailed",
            exitCode=4,
            message="digest_mismatch: The model's files differ.",
        )

    async def test_the_order_names_approval_artifact_image_and_replicas(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        spec = a_spec(replicas=3, resources={"cpu": "2", "memory": "4Gi"}, environment_vars={"THRESHOLD": "0.5"})
        await runtime.apply(spec)
        service = cluster.service(spec.revision_id)
        assert service["metadata"]["namespace"] == "tenant-risk-staging"
        assert service["metadata"]["annotations"]["mlops.io/approval-id"] == "approval-1"
        assert service["metadata"]["annotations"]["mlops.io/artifact-digest"] == spec.digest
        assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
        predictor = service["spec"]["predictor"]
        assert (predictor["minReplicas"], predictor["maxReplicas"]) == (3, 6)
        assert predictor["model"]["image"] == PLACE.image
        assert predictor["model"]["storageUri"] == spec.bundle
        assert predictor["model"]["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}
        assert {"name": "THRESHOLD", "value": "0.5"} in predictor["model"]["env"]

    async def test_a_models_settings_cannot_name_another_artifact(self) -> None:
        order = manifests.inference_service(PLACE, a_spec(environment_vars={"MODEL_SERVER_DIGEST": "sha256:other"}))
        named = [each for each in order["spec"]["predictor"]["model"]["env"] if each["name"] == "MODEL_SERVER_DIGEST"]
        assert [each["value"] for each in named] == [f"sha256:{'b' * 64}"]

    async def test_a_pod_fetches_its_statement_and_the_list_before_the_model_is_loaded_and_goes_on(self) -> None:
        spec = a_spec(
            statement="statement-1.json",
            statement_uri="s3://b/s",
            revocations_uri="s3://b/r",
            libraries_uri="s3://b/.environments",
            public_keys="k",
        )
        predictor = manifests.inference_service(PLACE, spec)["spec"]["predictor"]
        [fetcher] = predictor["initContainers"]
        assert fetcher["image"] == PLACE.image
        # such an init container is waited for until its probe holds, and runs as long as the pod
        assert fetcher["restartPolicy"] == "Always"
        assert fetcher["startupProbe"]["exec"]["command"] == ["test", "-s", "/mnt/approval/revocations.json"]
        told = {each["name"]: each["value"] for each in fetcher["env"]}
        assert told["MODEL_SERVER_STATEMENT_URI"] == "s3://b/s"
        assert told["MODEL_SERVER_REVOCATIONS_URI"] == "s3://b/r"
        assert told["MODEL_SERVER_BUNDLE_URI"] == spec.bundle
        assert told["MODEL_SERVER_LIBRARIES_URI"] == "s3://b/.environments"
        mounts = predictor["model"]["volumeMounts"]
        assert all(mount["readOnly"] for mount in mounts), "a model writes neither approvals nor libraries"
        assert fetcher["volumeMounts"] == [{"name": mount["name"], "mountPath": mount["mountPath"]} for mount in mounts]
        for name, mount in zip(("APPROVAL", "LIBRARIES"), mounts, strict=True):
            assert {"name": f"MODEL_SERVER_{name}_FOLDER", "value": mount["mountPath"]} in predictor["model"]["env"]
        assert told["MODEL_SERVER_LIBRARIES_FOLDER"] == mounts[1]["mountPath"]

    async def test_scaling_is_the_same_order_with_another_number(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        cluster.becomes_ready(spec.revision_id)
        await runtime.apply(replace(spec, replicas=5))
        assert cluster.service(spec.revision_id)["spec"]["predictor"]["minReplicas"] == 5
        seen = await runtime.observe(spec.revision_id)
        assert not seen.ready, "the status is of the generation before"
        cluster.becomes_ready(spec.revision_id)
        list_again(runtime)
        assert (await runtime.observe(spec.revision_id)).replicas == 5

    async def test_the_same_order_keeps_the_resource_version(self, runtime: KServeRuntime, cluster: Cluster) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        before = cluster.service(spec.revision_id)["metadata"]["resourceVersion"]
        await runtime.apply(spec)
        assert cluster.service(spec.revision_id)["metadata"]["resourceVersion"] == before

    async def test_shares_become_weights_and_no_shares_no_route(self, runtime: KServeRuntime, cluster: Cluster) -> None:
        old, new = a_spec(), a_spec()
        await runtime.route(routed(old, (old.revision_id, 0.95), (new.revision_id, 0.05)))
        [weights] = cluster.weights().values()
        assert sorted(weights.values()) == [50, 950]
        await runtime.route(routed(old, (new.revision_id, 1.0)))
        assert cluster.weights() == {
            "deployment-1": {f"{manifests.service_name(new.revision_id, 'churn')}-predictor": 1000}
        }
        await runtime.route(routed(old))
        assert cluster.weights() == {}

    async def test_what_a_person_changed_is_reported_and_not_fought_over(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        by_hand = manifests.inference_service(PLACE, replace(spec, replicas=9))
        key = ("inferenceservices", by_hand["metadata"]["namespace"], by_hand["metadata"]["name"])
        cluster.apply(key, by_hand, "kubectl", force=True)
        with pytest.raises(RuntimeConflict, match="minReplicas"):
            await runtime.apply(spec)
        assert cluster.service(spec.revision_id)["spec"]["predictor"]["minReplicas"] == 9

    async def test_a_rollback_wins_over_whoever_touched_the_weights(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        old, new = a_spec(), a_spec()
        shared = manifests.http_route(PLACE, routed(old, (old.revision_id, 0.5), (new.revision_id, 0.5)))
        key = ("httproutes", shared["metadata"]["namespace"], shared["metadata"]["name"])
        cluster.apply(key, shared, "kubectl")
        await runtime.route(routed(old, (old.revision_id, 1.0)))
        assert [list(each.values()) for each in cluster.weights().values()] == [[1000]]

    @pytest.mark.parametrize(
        ("fault", "sentence", "wait"),
        [
            (Fault(429, {"retry-after": "17"}), "cannot take orders", 17),
            (Fault(500), "cannot take orders", 5),
            (Fault(503, {"retry-after": "3"}), "cannot take orders", 3),
            (Fault(502, html=True), "cannot take orders", 5),
            (Fault(401), "does not know the platform's service account", 5),
            (Fault(seconds=1.5), "does not answer", 5),
        ],
        ids=["429", "500", "503", "proxy", "unauthorised", "slow"],
    )
    async def test_a_cluster_in_trouble_is_unavailable_and_the_next_try_succeeds(
        self, runtime: KServeRuntime, cluster: Cluster, fault: Fault, sentence: str, wait: int
    ) -> None:
        spec = a_spec()
        cluster.faults.append(fault)
        with pytest.raises(RuntimeUnavailable, match=sentence) as caught:
            await runtime.apply(spec)
        assert caught.value.retry_after == wait
        await runtime.apply(spec)
        assert await runtime.known() == {spec.revision_id}

    @pytest.mark.parametrize("status", [403, 404, 422])
    async def test_what_concerns_one_deployment_is_a_conflict_of_that_deployment(
        self, runtime: KServeRuntime, cluster: Cluster, status: int
    ) -> None:
        cluster.faults.append(Fault(status))
        with pytest.raises(RuntimeConflict):
            await runtime.apply(a_spec())

    async def test_a_tenant_without_a_namespace_is_told_what_is_missing(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        cluster.namespaces = {"tenant-fraud-staging"}
        with pytest.raises(RuntimeConflict, match="namespace"):
            await runtime.apply(a_spec())

    async def test_a_route_that_somebody_deleted_is_astray_until_it_is_routed_again(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        wanted = routed(a_spec(), ("r1", 1.0))
        assert await runtime.misrouted([wanted]) == {"deployment-1"}, "nobody routed it yet"
        await runtime.route(wanted)
        assert await runtime.misrouted([wanted]) == set()
        [key] = cluster.keys("httproutes")
        cluster.delete(key)
        list_again(runtime)
        assert await runtime.misrouted([wanted]) == {"deployment-1"}
        await runtime.route(wanted)
        assert await runtime.misrouted([wanted]) == set()
        assert cluster.keys("httproutes") == [key]

    async def test_weights_that_somebody_changed_are_astray_and_what_servers_add_is_not(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        wanted = routed(a_spec(), ("r1", 0.5), ("r2", 0.5))
        await runtime.route(wanted)
        [key] = cluster.keys("httproutes")
        spec = copy.deepcopy(cluster.objects[key].content["spec"])
        spec["parentRefs"][0]["kind"] = "Gateway"
        spec["rules"][0]["matches"] = [{"path": {"type": "PathPrefix", "value": "/"}}]
        cluster.touch(key, spec=spec, status={"parents": []})
        list_again(runtime)
        assert await runtime.misrouted([wanted]) == set()
        spec["rules"][0]["backendRefs"][0]["weight"] = 1
        cluster.touch(key, spec=copy.deepcopy(spec))
        list_again(runtime)
        assert await runtime.misrouted([wanted]) == {"deployment-1"}
        await runtime.route(wanted)
        assert [sorted(each.values()) for each in cluster.weights().values()] == [[500, 500]]

    async def test_a_route_that_lost_the_platforms_label_is_astray(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        wanted = routed(a_spec(), ("r1", 1.0))
        await runtime.route(wanted)
        assert await runtime.misrouted([wanted]) == set()
        [key] = cluster.keys("httproutes")
        cluster.touch(key, metadata={"labels": {}})
        list_again(runtime)
        assert await runtime.misrouted([wanted]) == {"deployment-1"}
        await runtime.route(wanted)
        assert await runtime.misrouted([wanted]) == set()

    async def test_a_route_of_no_deployment_is_astray_and_goes(self, runtime: KServeRuntime, cluster: Cluster) -> None:
        await runtime.route(routed(a_spec(), ("r1", 1.0)))
        assert await runtime.misrouted([]) == {"deployment-1"}
        assert await runtime.misrouted([routed(a_spec())]) == {"deployment-1"}, "it should share nothing"
        await runtime.route(Routing("deployment-1", "", "", "", ()))
        assert cluster.keys("httproutes") == []
        assert await runtime.misrouted([]) == set()

    async def test_a_cluster_that_leaves_a_field_out_is_not_asked_for_it_again_and_again(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        cluster.prunes = {"timeouts"}
        wanted = routed(a_spec(), ("r1", 1.0))
        await runtime.route(wanted)
        assert await runtime.misrouted([wanted]) == set()
        list_again(runtime)
        assert await runtime.misrouted([wanted]) == set()

    async def test_what_waits_for_its_finalizers_runs_no_more_and_is_not_deleted_again(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        ours, by_hand = a_spec(), a_spec()
        for spec in (ours, by_hand):
            await runtime.apply(spec)
        assert await runtime.known() == {ours.revision_id, by_hand.revision_id}
        cluster.finalizers = True
        await runtime.remove(ours.revision_id)
        cluster.delete(cluster.key(by_hand.revision_id))
        list_again(runtime)
        assert await runtime.known() == set()
        await runtime.remove(ours.revision_id)
        assert [method for method, *_ in cluster.requests].count("DELETE") == 1
        assert not (await runtime.observe(by_hand.revision_id)).failed, "it may come again"
        cluster.finalize()
        await runtime.apply(by_hand)
        list_again(runtime)
        assert await runtime.known() == {by_hand.revision_id}

    async def test_a_cluster_that_is_not_there_is_unavailable(self) -> None:
        runtime = KServeRuntime(PLACE, config=kubeconfig("http://127.0.0.1:9"), timeout_seconds=1)
        with pytest.raises(RuntimeUnavailable, match="does not answer"):
            await runtime.known()
        await runtime.close()

    @pytest.mark.parametrize(
        ("status", "failed"),
        [
            ({"transition": "InProgress"}, False),
            ({"transition": "InProgress", "reason": "RuntimeUnhealthy", "message": "no node has room"}, False),
            ({"transition": "BlockedByFailedLoad", "reason": "ModelLoadFailed", "exitCode": 137}, False),
            ({"transition": "InvalidSpec", "reason": "NoSupportingRuntime"}, True),
            ({"transition": "InProgress", "reason": "InvalidPredictorSpec"}, True),
        ],
    )
    async def test_failed_is_told_apart_from_waiting(
        self, runtime: KServeRuntime, cluster: Cluster, status: dict[str, Any], failed: bool
    ) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        cluster.is_not_ready(spec.revision_id, **status)
        list_again(runtime)
        seen = await runtime.observe(spec.revision_id)
        assert seen.failed is failed
        assert seen.message

    async def test_waiting_ends_when_patience_does(self, runtime: KServeRuntime, cluster: Cluster) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        cluster.is_not_ready(spec.revision_id, reason="RuntimeUnhealthy", message="no node has room")
        cluster.touch(cluster.key(spec.revision_id), metadata={"creationTimestamp": "2026-01-01T00:00:00Z"})
        list_again(runtime)
        seen = await runtime.observe(spec.revision_id)
        assert seen.failed
        assert "no node has room" in seen.message


@pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="not run: KUBECONFIG names no cluster")
async def test_a_real_api_server_takes_the_orders() -> None:
    """Needs KServe's and Gateway API's definitions and the namespace tenant-contract-staging."""
    runtime = KServeRuntime(PLACE)
    spec = a_spec(tenant="contract")
    try:
        await runtime.apply(spec)
        await runtime.apply(spec)
        assert spec.revision_id in await runtime.known()
        await runtime.route(routed(spec, (spec.revision_id, 1.0)))
        await runtime.route(routed(spec))
        await runtime.apply(replace(spec, replicas=2))
        assert (await runtime.observe(spec.revision_id)).message
    finally:
        await runtime.remove(spec.revision_id)
        assert spec.revision_id not in await runtime.known()
        await runtime.close()


def test_the_resource_is_the_one_kserve_defines() -> None:
    assert InferenceService._api_info.plural == "inferenceservices"


@pytest.mark.skipif(not crds.at_hand(), reason="not run: no definitions in MLOPS_CRDS or beside the repository")
@pytest.mark.parametrize("name", ["churn", "Fraud Detection v2", "9-lives", "a" * 250, "модель"])
@pytest.mark.parametrize("tenant", ["risk", "Team A", "t" * 120])
def test_every_order_is_strictly_valid(name: str, tenant: str) -> None:
    spec = a_spec(model_name=name, tenant=tenant, approval_id=None)
    for order in (
        manifests.inference_service(PLACE, spec),
        manifests.http_route(PLACE, routed(spec, (spec.revision_id, 0.5), ("x", 0.5))),
    ):
        assert crds.problems(order) == []
        for part in (order["metadata"]["name"], order["metadata"]["namespace"]):
            assert len(f"{part}") <= 63
        assert all(len(value) <= 63 for value in order["metadata"]["labels"].values())
    assert len(f"{manifests.service_name(spec.revision_id, name)}-predictor") <= 63


@pytest.mark.skipif(not crds.at_hand(), reason="not run: no definitions in MLOPS_CRDS or beside the repository")
def test_the_schema_check_sees_a_field_that_does_not_exist_and_a_wrong_type() -> None:
    order = manifests.inference_service(PLACE, a_spec())
    order["spec"]["predictor"]["replicas"] = 3
    order["spec"]["predictor"]["minReplicas"] = "three"
    found = " ".join(crds.problems(order))
    assert "replicas" in found
    assert "three" in found


def test_tenants_whose_names_look_alike_do_not_share_a_namespace() -> None:
    names = ["team-a", "Team A", "team.a", "team_a", "team--a", *(f"{'t' * 60}{number}" for number in range(3))]
    assert len({manifests.namespace(PLACE, name, "staging") for name in names}) == len(names)


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.5), (0.333, 0.333, 0.334), (0.05, 0.95), (0.0004, 0.9996)])
def test_weights_add_up_to_a_thousand(shares: tuple[float, ...]) -> None:
    weights = manifests.weights_of(tuple((f"r{number}", share) for number, share in enumerate(shares)))
    assert sum(weight for _, weight in weights) == 1000
    for (_, weight), share in zip(weights, shares, strict=True):
        assert abs(weight / 1000 - share) <= 0.001
