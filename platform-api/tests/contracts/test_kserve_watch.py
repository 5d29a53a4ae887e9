"""What a worker knows of a cluster: from one list and a watch, whatever happens to the watch; and never from too long ago."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from mlops_platform.adapters.kserve import manifests
from mlops_platform.adapters.kserve.cache import Cache
from mlops_platform.adapters.kserve.manifests import MANAGER, ClusterPlace
from mlops_platform.adapters.kserve.runtime import KServeRuntime
from mlops_platform.deployments.interfaces import RevisionSpec, RuntimeUnavailable
from mlops_platform.kit.ids import new_id

from .cluster import Cluster, Fault, Listening, in_step, kubeconfig

PLACE = ClusterPlace(image=f"registry.example/model-server@sha256:{'a' * 64}")
SERVICES = "inferenceservices"


def a_spec() -> RevisionSpec:
    return RevisionSpec(new_id(), "churn", 3, "s3://bundles/b/churn/0", "staging", "risk", f"sha256:{'b' * 64}")


def of_somebody_else(cluster: Cluster, spec: RevisionSpec) -> None:
    """Let another worker order a revision."""
    order = manifests.inference_service(PLACE, spec)
    cluster.apply((SERVICES, order["metadata"]["namespace"], order["metadata"]["name"]), order, MANAGER)


def restarts(reason: str, kind: str = "InferenceService") -> float:
    return REGISTRY.get_sample_value("kserve_watch_restarts_total", {"kind": kind, "reason": reason}) or 0.0


async def becomes(wanted: Any, ask: Callable[[], Awaitable[Any]], seconds: float = 20) -> None:
    """Wait until an answer is what is wanted; while there is none, go on asking."""
    answer: Any = None
    try:
        async with asyncio.timeout(seconds):
            while answer != wanted:
                await asyncio.sleep(0.02)
                try:
                    answer = await ask()
                except RuntimeUnavailable as unavailable:
                    answer = unavailable.detail
    except TimeoutError:
        pytest.fail(f"still {answer!r}, not {wanted!r}")


async def watching(cluster: Cluster) -> None:
    """Wait until a watch is open that can be cut."""
    async with asyncio.timeout(20):
        while not cluster.open:
            await asyncio.sleep(0.005)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@asynccontextmanager
async def running(cluster: Cluster, **more: Any) -> AsyncIterator[KServeRuntime]:
    async with Listening(cluster) as url:
        # short pauses, long patience: a busy machine must not look like a slow server
        runtime = KServeRuntime(PLACE, config=kubeconfig(url), **{"timeout_seconds": 5, "pause_seconds": 0.01, **more})
        try:
            yield runtime
        finally:
            await runtime.close()


@pytest.fixture
async def runtime(cluster: Cluster) -> AsyncIterator[KServeRuntime]:
    async with running(cluster) as runtime:
        yield runtime


async def test_nothing_is_listed_again_however_often_it_is_asked(runtime: KServeRuntime, cluster: Cluster) -> None:
    spec = a_spec()
    await runtime.apply(spec)
    for _ in range(50):
        await runtime.observe(spec.revision_id)
        await runtime.known()
        await runtime.misrouted([])
    await runtime.remove(spec.revision_id)
    assert await runtime.known() == set()
    assert cluster.lists() == 2, "one of services, one of routes"


async def test_a_list_longer_than_a_page_is_read_to_its_end(
    runtime: KServeRuntime, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_platform.adapters.kserve.watch._PAGE", 2)
    specs = [a_spec() for _ in range(5)]
    for spec in specs:
        of_somebody_else(cluster, spec)
    assert await runtime.known() == {spec.revision_id for spec in specs}
    assert cluster.lists() == 3


async def test_a_list_that_expires_is_begun_again_while_the_asker_waits(
    runtime: KServeRuntime, cluster: Cluster
) -> None:
    spec = a_spec()
    of_somebody_else(cluster, spec)
    cluster.faults.append(Fault(410, method="GET"))
    assert await runtime.known() == {spec.revision_id}


async def test_what_others_do_is_known_within_moments(runtime: KServeRuntime, cluster: Cluster) -> None:
    crashes = restarts("crashed")
    assert await runtime.known() == set()
    spec = a_spec()
    of_somebody_else(cluster, spec)
    await becomes({spec.revision_id}, runtime.known)
    cluster.becomes_ready(spec.revision_id)
    await in_step(runtime, cluster)
    assert (await runtime.observe(spec.revision_id)).ready
    cluster.touch(cluster.key(spec.revision_id), metadata={"annotations": {"note": "no\x85line \u2028ends"}})
    cluster.delete(cluster.key(spec.revision_id))
    await becomes(set(), runtime.known)
    assert cluster.lists() == 1
    assert restarts("crashed") == crashes


@pytest.mark.parametrize("expires_by", ["status", "event"])
async def test_a_version_that_is_forgotten_is_listed_again_and_nothing_is_missed(
    runtime: KServeRuntime, cluster: Cluster, expires_by: Literal["status", "event"]
) -> None:
    kept, deleted, added = a_spec(), a_spec(), a_spec()
    for spec in (kept, deleted):
        await runtime.apply(spec)
    assert await runtime.known() == {kept.revision_id, deleted.revision_id}
    await watching(cluster)
    before, cluster.expires_by = restarts("expired"), expires_by
    cluster.cut()
    cluster.delete(cluster.key(deleted.revision_id))
    of_somebody_else(cluster, added)
    cluster.forget()
    await becomes({kept.revision_id, added.revision_id}, runtime.known)
    assert cluster.lists() == 2
    assert restarts("expired") == before + 1
    # and the watch goes on from the new list
    of_somebody_else(cluster, deleted)
    await becomes({kept.revision_id, added.revision_id, deleted.revision_id}, runtime.known)
    assert cluster.lists() == 2


@pytest.mark.parametrize("within_a_line", [False, True])
async def test_what_happens_while_the_connection_is_cut_is_not_lost(
    runtime: KServeRuntime, cluster: Cluster, within_a_line: bool
) -> None:
    deleted, added = a_spec(), a_spec()
    await runtime.apply(deleted)
    assert await runtime.known() == {deleted.revision_id}
    before = restarts("disconnected")
    for _ in range(3):
        await watching(cluster)
        cluster.cut(within_a_line=within_a_line)
        cluster.delete(cluster.key(deleted.revision_id))
        of_somebody_else(cluster, added)
        await becomes({added.revision_id}, runtime.known)
        deleted, added = added, deleted
    assert cluster.lists() == 1, "the watch goes on where it was"
    assert restarts("disconnected") >= before + 3


async def test_a_watch_that_ends_regularly_goes_on_without_a_pause_or_a_list(cluster: Cluster) -> None:
    async with running(cluster, watch_seconds=1, pause_seconds=60) as runtime:
        assert await runtime.known() == set()
        async with asyncio.timeout(20):
            while len(cluster.watches) < 3:
                await asyncio.sleep(0.02)
        spec = a_spec()
        of_somebody_else(cluster, spec)
        await becomes({spec.revision_id}, runtime.known)
        assert cluster.lists() == 1


@pytest.mark.parametrize("status", [500, 503, 429, 403])
async def test_a_watch_that_is_refused_goes_on_later_from_where_it_was(
    runtime: KServeRuntime, cluster: Cluster, status: int
) -> None:
    spec = a_spec()
    assert await runtime.known() == set()
    await watching(cluster)
    cluster.faults += [Fault(status, watch=True), Fault(status, watch=True, html=True)]
    cluster.cut()
    of_somebody_else(cluster, spec)
    await becomes({spec.revision_id}, runtime.known)
    assert cluster.lists() == 1
    assert not cluster.faults


async def test_a_server_that_asks_to_wait_is_waited_for(runtime: KServeRuntime, cluster: Cluster) -> None:
    assert await runtime.known() == set()
    await watching(cluster)
    cluster.faults.append(Fault(429, {"retry-after": "1"}, watch=True))
    began = time.monotonic()
    cluster.cut()
    await becomes(2, lambda: _count(cluster))
    assert cluster.watches[1][0] - began >= 1


async def _count(cluster: Cluster) -> int:
    return len(cluster.watches)


async def test_refusals_in_a_row_are_met_with_longer_and_longer_pauses(cluster: Cluster) -> None:
    async with running(cluster, pause_seconds=0.02) as runtime:
        assert await runtime.known() == set()
        await watching(cluster)
        cluster.faults += [Fault(503, watch=True) for _ in range(5)]
        began = time.monotonic()
        cluster.cut()
        await becomes(True, lambda: _is_empty(cluster.faults))
        await becomes(2, lambda: _count(cluster))
        assert time.monotonic() - began >= 0.5 * 0.02 * (1 + 2 + 4 + 8 + 16)


async def _is_empty(faults: list[Fault]) -> bool:
    return not faults


async def test_a_cluster_that_is_gone_too_long_is_not_answered_for(cluster: Cluster) -> None:
    spec = a_spec()
    async with running(cluster, watch_seconds=1, timeout_seconds=0.5) as runtime:
        of_somebody_else(cluster, spec)
        await becomes({spec.revision_id}, runtime.known)
        cluster.silent = cluster.down = True
        cluster.delete(cluster.key(spec.revision_id))
        await becomes("The cluster's API server cannot take orders now.", runtime.known)
        with pytest.raises(RuntimeUnavailable):
            await runtime.observe(spec.revision_id)
        with pytest.raises(RuntimeUnavailable):
            await runtime.misrouted([])
        cluster.silent = cluster.down = False
        cluster.faults.clear()
        await becomes(set(), runtime.known)


async def test_a_connection_that_is_silently_dead_is_noticed(cluster: Cluster) -> None:
    async with running(cluster, watch_seconds=1, timeout_seconds=1) as runtime:
        assert await runtime.known() == set()
        await watching(cluster)
        cluster.silent = True
        spec = a_spec()
        of_somebody_else(cluster, spec)
        await becomes(2, lambda: _count(cluster))
        cluster.silent = False
        await becomes({spec.revision_id}, runtime.known)


async def test_a_slow_server_is_unavailable_and_answers_later(cluster: Cluster) -> None:
    async with running(cluster, timeout_seconds=0.5) as runtime:
        cluster.faults.append(Fault(seconds=1.5, method="GET"))
        with pytest.raises(RuntimeUnavailable, match="does not answer"):
            await runtime.known()
        await becomes(set(), runtime.known)


async def test_an_account_that_may_not_look_is_told_which_roles_it_needs(
    runtime: KServeRuntime, cluster: Cluster
) -> None:
    cluster.faults.append(Fault(403, method="GET"))
    with pytest.raises(RuntimeUnavailable, match="roles"):
        await runtime.known()
    await becomes(set(), runtime.known)


async def test_ones_own_orders_are_known_before_the_cluster_tells_of_them(
    runtime: KServeRuntime, cluster: Cluster
) -> None:
    specs = [a_spec(), a_spec()]
    await runtime.apply(specs[0])
    assert await runtime.known() == {specs[0].revision_id}
    cluster.silent = True
    await runtime.apply(specs[1])
    assert await runtime.known() == {spec.revision_id for spec in specs}
    await runtime.remove(specs[0].revision_id)
    assert await runtime.known() == {specs[1].revision_id}
    assert cluster.lists() == 1


async def test_a_watch_that_ends_at_once_is_not_believed_and_not_hurried(cluster: Cluster) -> None:
    async with running(cluster, pause_seconds=0.2) as runtime:
        assert await runtime.known() == set()
        contact = REGISTRY.get_sample_value("kserve_watch_last_contact_timestamp_seconds", {"kind": "InferenceService"})
        before = restarts("disconnected")
        await watching(cluster)
        cluster.ends_at_once = True
        cluster.cut()
        await becomes(True, lambda: _reached(before + 4))
        assert len(cluster.watches) <= 6
        now = REGISTRY.get_sample_value("kserve_watch_last_contact_timestamp_seconds", {"kind": "InferenceService"})
        assert now == contact


async def _reached(count: float) -> bool:
    return restarts("disconnected") >= count


async def test_a_defect_in_the_task_is_logged_and_counted_and_it_begins_again(
    runtime: KServeRuntime, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await runtime.known() == set()
    before = restarts("crashed")

    def break_off(cache: Cache, _: str, item: dict[str, Any]) -> None:
        cache.version = int(item["metadata"]["resourceVersion"])
        raise ZeroDivisionError

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(Cache, "tell", break_off)
        spec = a_spec()
        of_somebody_else(cluster, spec)
        await becomes({spec.revision_id}, runtime.known)
    assert restarts("crashed") > before
    assert "watch crashed" in {entry["event"] for entry in logs}
    cluster.delete(cluster.key(spec.revision_id))
    await becomes(set(), runtime.known)


async def test_closing_leaves_no_task_and_using_it_again_begins_anew(cluster: Cluster) -> None:
    async with Listening(cluster) as url:
        before = asyncio.all_tasks()
        runtime = KServeRuntime(PLACE, config=kubeconfig(url), timeout_seconds=5)
        assert await runtime.known() == set()
        assert await runtime.misrouted([]) == set()
        ours = {task for task in asyncio.all_tasks() - before if task.get_name().startswith("watch of")}
        assert len(ours) == 2
        await runtime.close()
        assert all(task.done() for task in ours)
        spec = a_spec()
        of_somebody_else(cluster, spec)
        assert await runtime.known() == {spec.revision_id}
        await runtime.close()
        await runtime.close()
