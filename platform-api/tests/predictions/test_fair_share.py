"""One tenant's load is its own: over its share it gets 429, and the others get answers."""

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions import fair_share, gateway
from mlops_platform.predictions.fair_share import Buckets, FairShare, OverItsShare
from mlops_platform.predictions.gateway import Gateway
from tests.support.trust import EveryBuild, nothing_revoked
from tests.support.waiting import eventually_async

Ask = Callable[..., Awaitable[httpx.Response]]


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(fair_share.time, "monotonic", lambda: self.now)


def admitted(shares: FairShare, tenant: str, asked: int) -> int:
    """Ask so often; return how many were admitted."""
    count = 0
    for _ in range(asked):
        try:
            shares.admit(tenant)
        except OverItsShare:
            continue
        count += 1
    return count


def test_a_burst_is_admitted_then_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    shares = FairShare(Buckets(), rate=10, burst=5, in_flight=1)
    assert admitted(shares, "loud", 50) == 5
    with pytest.raises(OverItsShare, match="Try again in 1 s") as refusal:
        shares.admit("loud")
    assert refusal.value.retry_after == 1
    assert admitted(shares, "quiet", 50) == 5
    clock.now += 1
    assert admitted(shares, "loud", 50) == 5
    clock.now += 0.3
    assert admitted(shares, "loud", 50) == 3


def test_without_a_rate_everything_is_admitted() -> None:
    assert admitted(FairShare(Buckets(), None, 1, 1), "loud", 1_000) == 1_000


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.floats(0, 2)), max_size=60),
    st.integers(1, 20),
    st.integers(1, 10),
)
def test_no_tenant_ever_gets_more_than_its_burst_and_rate(
    asked: list[tuple[str, float]], rate: int, burst: int
) -> None:
    """An obvious model: in any window, no more than the burst and what the rate gives in its length."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        shares = FairShare(Buckets(), rate, burst, 1)
        taken: dict[str, list[float]] = {"a": [], "b": []}
        for tenant, pause in asked:
            clock.now += pause
            if admitted(shares, tenant, 1):
                taken[tenant].append(clock.now)
        for times in taken.values():
            for first in range(len(times)):
                for last in range(first, len(times)):
                    assert last - first + 1 <= burst + rate * (times[last] - times[first]) + 1e-6


def _admit_in_a_child(shares: FairShare, asked: int, counts: Any) -> None:
    counts.put(admitted(shares, "loud", asked))


def test_processes_forked_from_one_parent_share_a_bucket() -> None:
    forks = multiprocessing.get_context("fork")
    shares, counts = FairShare(Buckets(), rate=0.01, burst=100, in_flight=1), forks.Queue()
    children = [forks.Process(target=_admit_in_a_child, args=(shares, 90, counts)) for _ in range(2)]
    for child in children:
        child.start()
    total = sum(counts.get(timeout=30) for _ in children)
    for child in children:
        child.join(30)
    # each may have counted for the other in the same instant, and no more than that
    assert 100 <= total <= 110


def test_more_tenants_than_places_share_limits_and_break_nothing() -> None:
    shares = FairShare(Buckets(), rate=1, burst=1, in_flight=1)
    assert sum(admitted(shares, f"tenant-{number}", 1) for number in range(2_000)) >= 900
    assert admitted(FairShare(Buckets(), rate=1, burst=1, in_flight=1), "\ud800 odd \x00", 5) == 1


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gateway, "BUCKETS", Buckets())
    return


def asking(services: BuiltServices, as_: Callable[..., dict[str, str]], *live: LiveRevision, **limits: Any) -> Ask:
    """Return a function that asks a gateway with these limits."""

    async def routes() -> RoutingSnapshot:
        return RoutingSnapshot(1, live)

    async def generation() -> int:
        return 1

    async def nowhere(scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError(scope["path"])

    own = replace(services, settings=services.settings.model_copy(update=limits))
    door = Gateway(nowhere, own, routes, generation, nothing_revoked, EveryBuild())
    client = httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://platform")

    async def ask(model: str, tenant: str, path: str = "/api/v1/predict") -> httpx.Response:
        plain = {"model_name": model, "input_data": {"x": 3.0}}
        infer = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [3.0]}]}
        headers = as_("ana@company.com", "data-scientist", tenant=tenant)
        return await client.post(path, json=plain if path.startswith("/api") else infer, headers=headers)

    ask.door = door  # type: ignore[attr-defined]
    return ask


async def test_a_noisy_neighbour_is_told_to_wait_and_the_others_are_answered(
    services: BuiltServices, revision: LiveRevision, as_: Callable[..., dict[str, str]], fresh: None
) -> None:
    loud = replace(revision, model_name="loud", tenant="loud", revision_id="r2")
    ask = asking(services, as_, revision, loud, tenant_requests_per_second=0.5, tenant_requests_burst=20)
    noise = [await ask("loud", "loud") for _ in range(60)]
    codes = [answer.status_code for answer in noise]
    assert codes.count(200) in (20, 21)
    assert codes.count(429) == 60 - codes.count(200)
    refused = noise[-1]
    assert refused.json()["type"] == "/problems/over-its-share"
    assert int(refused.headers["retry-after"]) >= 1
    assert [(await ask("halves", "default")).status_code for _ in range(15)] == [200] * 15
    assert (await ask("loud", "loud", "/v2/models/loud/infer")).status_code == 429


async def test_the_short_way_counts_as_the_long_way_does(
    services: BuiltServices, revision: LiveRevision, as_: Callable[..., dict[str, str]], fresh: None
) -> None:
    """A request that the short way leaves to the long way is one request."""
    ask = asking(services, as_, revision, tenant_requests_per_second=0.01, tenant_requests_burst=4)
    door: Gateway = ask.door  # type: ignore[attr-defined]
    answer = await ask("halves", "default")
    headers = [(name.lower(), value) for name, value in answer.request.headers.raw]
    body = answer.request.content
    aside = body.replace(b"{", b'{"return_explanations": true, ', 1)
    assert door.at_once(b"/api/v1/predict", headers, aside) is None
    codes = [found.status for _ in range(5) if (found := door.at_once(b"/api/v1/predict", headers, body))]
    assert codes == [200, 200, 200, 429, 429]


async def test_requests_that_wait_are_bounded_and_counted_down(
    services: BuiltServices,
    revision: LiveRevision,
    as_: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = asyncio.Event()

    async def slowly(*_: object) -> bytes:
        await gate.wait()
        return b"{}"

    monkeypatch.setattr(gateway, "retrieve_raw", slowly)
    ask = asking(services, as_, revision, tenant_requests_in_flight=3)
    retrieve = "/api/v1/features/retrieve"
    waiting = [asyncio.create_task(ask("x", "default", retrieve)) for _ in range(8)]

    async def five_refused() -> bool:
        return sum(task.done() for task in waiting) == 5

    await eventually_async(five_refused)
    assert {task.result().status_code for task in waiting if task.done()} == {429}
    other = asyncio.create_task(ask("x", "other", retrieve))
    next(task for task in waiting if not task.done()).cancel()
    gate.set()
    await asyncio.wait(waiting, timeout=10)
    codes = [task.result().status_code for task in waiting if not task.cancelled()]
    assert (codes.count(200), codes.count(429)) == (2, 5)
    assert (await other).status_code == 200
    assert (await ask("x", "default", retrieve)).status_code == 200
