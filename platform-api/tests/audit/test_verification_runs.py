"""Verification remembers what it has seen, trusts no note that it did not sign, and never runs on the loop that answers."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import text

from mlops_platform.audit import jobs, runs
from mlops_platform.audit.interfaces import VerificationFailed, Verifier
from mlops_platform.audit.schemas import Verification
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.worker import run_job
from tests.conftest import client_for
from tests.support.waiting import eventually

from .test_anchors import write

(NEW,) = (job for job in jobs.JOBS if job.name == "audit-verification-new")


async def changed(services: BuiltServices, statement: str) -> None:
    async with services.database.session() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(statement))


async def test_a_run_reads_what_is_new_and_a_full_one_everything(services: BuiltServices) -> None:
    await write(services.database, 5)
    assert (await runs.run(services.database, full=False)).since == 0, "nothing is known yet"
    await write(services.database, 2)
    second = await runs.run(services.database, full=False)
    assert (second.intact, second.since, second.events, second.anchored_heads) == (True, 5, 7, 7)
    await changed(services, "UPDATE audit_events SET tenant = 'another' WHERE seq = 2")
    assert (await runs.run(services.database, full=False)).intact, "it was read before: that is what 'since' says"
    assert not (await runs.run(services.database, full=True)).intact
    again = await runs.run(services.database, full=False)
    assert (again.intact, again.since) == (False, 0), "what is wrong stays reported until it is right"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_events WHERE seq = 2",
        "DELETE FROM audit_heads WHERE size = 2",
        "UPDATE audit_events SET payload = replace(payload, 'x:1', 'y:1') WHERE seq = 7",
        "UPDATE audit_tree SET size = 6",
        "DELETE FROM audit_events WHERE seq > 3",
    ],
)
async def test_a_run_over_what_is_new_finds_what_it_can(services: BuiltServices, statement: str) -> None:
    await write(services.database, 5)
    await runs.run(services.database, full=True)
    await write(services.database, 2)
    await changed(services, statement)
    assert not (await runs.run(services.database, full=False)).intact


@pytest.mark.parametrize("column", ["content", "signature"])
async def test_a_note_that_somebody_wrote_is_not_believed(services: BuiltServices, column: str) -> None:
    await write(services.database, 5)
    await runs.run(services.database, full=True)
    await changed(services, "UPDATE audit_events SET tenant = 'another' WHERE seq = 2")
    # another mark's own signature does not fit either
    await changed(
        services,
        f"UPDATE audit_marks SET {column} = (SELECT {column} FROM audit_marks WHERE name = 'result') WHERE name = 'verified'",
    )
    result = await runs.run(services.database, full=False)
    assert (result.intact, result.since) == (False, 0)


async def test_a_forged_result_is_not_shown(
    services: BuiltServices, client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    auditor = as_("aud@company.com", "auditor")
    path = "/api/v1/audit/verifications/latest"
    assert (await client.get(path, headers=auditor)).status_code == 404
    await write(services.database, 2)
    await runs.run(services.database, full=True)
    assert (await client.get(path, headers=auditor)).json()["events"] == 2
    await changed(services, "UPDATE audit_marks SET content = replace(content, 'true', 'false') WHERE name = 'result'")
    assert (await client.get(path, headers=auditor)).status_code == 404


class Held(Verifier):
    """A verification that takes as long as the test wants."""

    def __init__(self) -> None:
        self.begun = 0

    async def verify(self, *, full: bool) -> Verification:
        self.begun += 1
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_long_check_is_answered_with_under_way(
    services: BuiltServices, as_: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_REQUEST_SECONDS", 0.1)
    async with client_for(services, audit_verifier=Held()) as client:
        answer = await client.get("/api/v1/audit/verify", headers=as_("aud@company.com", "auditor"))
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (202, {"state": "running"}, "10")


async def test_the_loop_answers_others_while_a_log_is_verified(
    services: BuiltServices, client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    """The twin on the loop stands still for as long as it hashes."""
    await write(services.database, 300)
    slowest = 0.0

    async def answers(task: "asyncio.Task[Any]") -> None:
        nonlocal slowest
        while not task.done():
            began = time.perf_counter()
            await asyncio.sleep(0)
            slowest = max(slowest, time.perf_counter() - began)

    asked = asyncio.create_task(client.get("/api/v1/audit/verify", headers=as_("aud@company.com", "auditor")))
    await answers(asked)
    answer = asked.result()
    # a busy machine takes longer than a request may: the verification goes on
    assert answer.status_code == 202 or answer.json()["events"] == 300
    in_its_own_process = slowest
    assert in_its_own_process < 0.2


async def test_who_asks_meanwhile_joins_the_run_and_who_gives_up_does_not_end_it(services: BuiltServices) -> None:
    await write(services.database, 3)
    verifier = services.audit_verifier
    first = asyncio.create_task(verifier.verify(full=True))
    second = asyncio.create_task(verifier.verify(full=True))
    await asyncio.sleep(0)
    first.cancel()
    result = await second
    assert result.events == 3
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_process_that_fails_is_said_and_not_taken_for_a_result(
    services: BuiltServices, as_: Callable[..., dict[str, str]]
) -> None:
    class Failing(Verifier):
        async def verify(self, *, full: bool) -> Verification:
            raise VerificationFailed("The verifying process ended with code 1; its log says why.")

    async with client_for(services, audit_verifier=Failing()) as client:
        answer = await client.get("/api/v1/audit/verify", headers=as_("aud@company.com", "auditor"))
    assert answer.status_code == 503
    assert "ended with code 1" in answer.json()["detail"]


async def test_the_worker_verifies_what_is_new(services: BuiltServices) -> None:
    await write(services.database, 2)
    assert await run_job(NEW, services) == "ok"
    async with services.database.read_session() as session:
        latest = await runs.latest(session)
    assert latest is not None
    assert latest.events == 2


_PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "mlops_platform.verifier", str(os.getpid())])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("is_ready", [True, False], ids=["verifying", "still importing"])
def test_the_verifying_process_ends_with_whoever_started_it(is_ready: bool) -> None:
    # this end of the pipe stays open, as a long check would go on: the end of its order is not what ends it
    reading, writing = os.pipe()
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdin=reading, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        if is_ready:
            # it waits for its order: its own code runs
            eventually(lambda: child.nice() > 0, 30)
        parent.kill()
        parent.wait(10)
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10)
    finally:
        parent.kill()
        os.close(reading)
        os.close(writing)
