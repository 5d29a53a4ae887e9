"""What a worker knows of a cluster: never from too long ago, its own orders at once, and at a pace the API server can bear."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import ValidationError
from prometheus_client import REGISTRY

from mlops_platform.adapters.kserve import inventory, manifests
from mlops_platform.adapters.kserve.inventory import Inventory
from mlops_platform.adapters.kserve.manifests import MANAGER, ClusterPlace
from mlops_platform.adapters.kserve.resources import ListedService, Metadata
from mlops_platform.adapters.kserve.runtime import KServeRuntime
from mlops_platform.deployments.interfaces import RevisionSpec, Routing, RuntimeConflict, RuntimeUnavailable
from mlops_platform.kit.ids import new_id

from .cluster import Cluster, Fault, Listening, kubeconfig, list_again

PLACE = ClusterPlace(image=f"registry.example/model-server@sha256:{'a' * 64}")
SERVICES = "inferenceservices"


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Server:
    """What a list answers, and what happens while it is read."""

    def __init__(self, clock: Clock) -> None:
        self.has: list[ListedService] = []
        self.lists = 0
        self.seconds = 0.0
        self.error: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self._clock = clock

    async def read(self) -> Sequence[ListedService]:
        self.lists += 1
        found = list(self.has)
        await self.answers.wait()
        self._clock.now += self.seconds
        if self.error is not None:
            raise self.error
        return found


def a_service(name: str, **more: str) -> ListedService:
    return ListedService(Metadata(name=name, namespace="n", resourceVersion="1", **more))  # type: ignore[arg-type]


async def names(known: "Inventory[ListedService]") -> set[str]:
    return {name for _, name in await known.items()}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(inventory, "time", clock)
    return clock


@pytest.fixture
async def server(clock: Clock) -> Server:
    return Server(clock)


@pytest.fixture
def known(server: Server) -> "Inventory[ListedService]":
    return Inventory("InferenceService", server.read, 5)


class TestPace:
    async def test_a_list_counts_until_its_time_is_over(
        self, known: "Inventory[ListedService]", server: Server, clock: Clock
    ) -> None:
        server.has = [a_service("a")]
        for _ in range(20):
            assert await names(known) == {"a"}
        assert server.lists == 1
        server.has = [a_service("b")]
        clock.now += 4.9
        assert await names(known) == {"a"}
        clock.now += 0.2
        assert await names(known) == {"b"}
        assert server.lists == 2

    async def test_a_server_that_takes_long_is_asked_less_often(
        self, known: "Inventory[ListedService]", server: Server, clock: Clock
    ) -> None:
        server.seconds = 3
        await known.items()
        clock.now += 29
        await known.items()
        assert server.lists == 1
        clock.now += 2
        await known.items()
        assert server.lists == 2

    async def test_two_callers_at_once_share_one_list(self, known: "Inventory[ListedService]", server: Server) -> None:
        server.has = [a_service("a")]
        server.answers.clear()
        callers = [asyncio.create_task(names(known)) for _ in range(3)]
        await asyncio.sleep(0)
        server.answers.set()
        assert await asyncio.gather(*callers) == [{"a"}] * 3
        assert server.lists == 1


class TestOrders:
    async def test_own_orders_are_known_at_once(self, known: "Inventory[ListedService]", server: Server) -> None:
        server.has = [a_service("a")]
        await known.items()
        known.upsert(a_service("b"))
        known.remove(("n", "a"))
        assert await names(known) == {"b"}
        assert server.lists == 1

    async def test_an_order_wins_over_a_list_that_was_under_way(
        self, known: "Inventory[ListedService]", server: Server
    ) -> None:
        server.has = [a_service("a"), a_service("kept")]
        server.answers.clear()
        caller = asyncio.create_task(names(known))
        await asyncio.sleep(0)
        known.remove(("n", "a"))
        known.upsert(a_service("b"))
        server.answers.set()
        assert await caller == {"b", "kept"}

    async def test_the_list_after_it_wins_over_an_order(
        self, known: "Inventory[ListedService]", server: Server, clock: Clock
    ) -> None:
        await known.items()
        known.upsert(a_service("deleted-by-hand"))
        clock.now += 6
        assert await names(known) == set()

    async def test_what_waits_for_its_finalizers_is_not_there(
        self, known: "Inventory[ListedService]", server: Server
    ) -> None:
        going = a_service("a", deletionTimestamp="2026-11-24T12:00:00Z")
        server.has = [going, a_service("b")]
        assert await names(known) == {"b"}
        known.upsert(going)
        assert await names(known) == {"b"}


class TestFailures:
    async def test_the_last_list_counts_for_a_while_and_then_nothing_does(
        self, known: "Inventory[ListedService]", server: Server, clock: Clock
    ) -> None:
        failures = _failures()
        server.has = [a_service("a")]
        await known.items()
        server.error = RuntimeUnavailable("The cluster's API server cannot take orders now.", retry_after=10)
        for _ in range(3):
            clock.now += 10
            assert await names(known) == {"a"}
        clock.now += 10
        with pytest.raises(RuntimeUnavailable, match="cannot take orders") as caught:
            await known.items()
        assert caught.value.retry_after == 10
        assert _failures() == failures + 4
        server.error, server.has = None, [a_service("b")]
        clock.now += 10
        assert await names(known) == {"b"}

    async def test_a_server_that_asks_to_wait_is_waited_for_up_to_a_minute(
        self, known: "Inventory[ListedService]", server: Server, clock: Clock
    ) -> None:
        server.error = RuntimeUnavailable("busy", retry_after=3600)
        for seconds, lists in ((0, 1), (30, 1), (29, 1), (2, 2)):
            clock.now += seconds
            with pytest.raises(RuntimeUnavailable):
                await known.items()
            assert server.lists == lists

    async def test_a_refusal_is_no_conflict_of_one_deployment(
        self, known: "Inventory[ListedService]", server: Server
    ) -> None:
        server.error = RuntimeConflict("check its roles")
        with pytest.raises(RuntimeUnavailable, match="roles") as caught:
            await known.items()
        assert caught.value.retry_after == 5

    async def test_an_unexpected_error_is_raised_and_not_repeated_before_its_time(
        self, known: "Inventory[ListedService]", server: Server, clock: Clock
    ) -> None:
        server.error = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            await known.items()
        with pytest.raises(RuntimeUnavailable, match="worker's log"):
            await known.items()
        assert server.lists == 1
        server.error = None
        clock.now += 6
        assert await names(known) == set()

    async def test_a_caller_that_is_cancelled_leaves_the_next_one_to_list(
        self, known: "Inventory[ListedService]", server: Server
    ) -> None:
        server.answers.clear()
        caller = asyncio.create_task(names(known))
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.wait({caller})
        server.answers.set()
        server.has = [a_service("a")]
        assert await names(known) == {"a"}


def _failures() -> float:
    return REGISTRY.get_sample_value("kserve_list_failures_total", {"kind": "InferenceService"}) or 0.0


def a_spec() -> RevisionSpec:
    return RevisionSpec(new_id(), "churn", 3, "s3://bundles/b/churn/0", "staging", "risk", f"sha256:{'b' * 64}")


def of_another_worker(cluster: Cluster, spec: RevisionSpec) -> None:
    """Let another worker order a revision."""
    order = manifests.inference_service(PLACE, spec)
    cluster.apply((SERVICES, order["metadata"]["namespace"], order["metadata"]["name"]), order, MANAGER)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@asynccontextmanager
async def running(cluster: Cluster, **more: Any) -> AsyncIterator[KServeRuntime]:
    async with Listening(cluster) as url:
        runtime = KServeRuntime(PLACE, config=kubeconfig(url), **{"timeout_seconds": 5, **more})
        try:
            yield runtime
        finally:
            await runtime.close()


@pytest.fixture
async def runtime(cluster: Cluster) -> AsyncIterator[KServeRuntime]:
    async with running(cluster, list_seconds=3600) as runtime:
        yield runtime


class TestOnACluster:
    async def test_passes_over_a_cluster_at_rest_ask_it_nothing(self, runtime: KServeRuntime, cluster: Cluster) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        routing = Routing("d", "churn", "risk", "staging", ((spec.revision_id, 1.0),))
        await runtime.route(routing)
        for _ in range(50):
            assert await runtime.known() == {spec.revision_id}
            assert await runtime.misrouted([routing]) == set()
        assert cluster.lists() == 2, "one of services, one of routes"
        assert len(cluster.requests) == 4

    async def test_what_others_do_is_known_after_a_while(self, cluster: Cluster) -> None:
        async with running(cluster, list_seconds=0.05) as runtime:
            assert await runtime.known() == set()
            spec = a_spec()
            of_another_worker(cluster, spec)
            async with asyncio.timeout(20):
                while await runtime.known() != {spec.revision_id}:
                    await asyncio.sleep(0.01)

    async def test_a_status_is_read_when_it_is_asked_for(self, runtime: KServeRuntime, cluster: Cluster) -> None:
        specs = [a_spec(), a_spec()]
        for spec in specs:
            await runtime.apply(spec)
        await runtime.known()
        requests = len(cluster.requests)
        assert not (await runtime.observe(specs[0].revision_id)).ready
        cluster.becomes_ready(specs[0].revision_id)
        assert (await runtime.observe(specs[0].revision_id)).ready
        assert len(cluster.requests) == requests + 2

    async def test_what_another_worker_deleted_is_seen_when_it_is_observed(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        cluster.delete(cluster.key(spec.revision_id))
        assert "not running" in (await runtime.observe(spec.revision_id)).message
        assert await runtime.known() == set()
        await runtime.remove(spec.revision_id)

    async def test_an_object_that_only_claims_to_be_the_platforms_stops_no_other(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        spec = a_spec()
        await runtime.apply(spec)
        await runtime.route(Routing("d", "churn", "risk", "staging", ((spec.revision_id, 1.0),)))
        stranger = {"app.kubernetes.io/managed-by": MANAGER}
        for plural in ("inferenceservices", "httproutes"):
            [key] = cluster.keys(plural)
            cluster.objects[plural, "elsewhere", "stranger"] = cluster.objects[key].copied()
            cluster.touch((plural, "elsewhere", "stranger"), metadata={"labels": stranger, "name": "stranger"}, spec={})
        list_again(runtime)
        assert await runtime.known() == {spec.revision_id}
        assert await runtime.misrouted([]) == {"d"}

    async def test_an_answer_that_is_no_list_fails_the_pass_and_the_next_list_heals_it(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        cluster.faults.append(Fault(200))
        with pytest.raises(ValidationError):
            await runtime.known()
        list_again(runtime)
        assert await runtime.known() == set()

    async def test_an_account_that_may_not_list_is_told_which_roles_it_needs(
        self, runtime: KServeRuntime, cluster: Cluster
    ) -> None:
        cluster.faults.append(Fault(403, method="GET"))
        with pytest.raises(RuntimeUnavailable, match="roles"):
            await runtime.known()

    async def test_closing_and_using_it_again_begins_anew(self, runtime: KServeRuntime, cluster: Cluster) -> None:
        assert await runtime.known() == set()
        await runtime.close()
        spec = a_spec()
        of_another_worker(cluster, spec)
        assert await runtime.known() == {spec.revision_id}
        await runtime.close()
        await runtime.close()
