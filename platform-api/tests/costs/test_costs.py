"""From a bill or a meter to the API, the command line and the metrics Prometheus reads."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import httpx
import orjson
import psutil
import pytest
from moto.server import ThreadedMotoServer
from prometheus_client import REGISTRY, generate_latest
from pydantic import SecretStr, ValidationError

from mlops_platform.adapters.aws.costs import AwsCosts
from mlops_platform.adapters.local.meter import LocalMeter
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.costs import jobs, repository, service
from mlops_platform.costs.budgets import month_of
from mlops_platform.costs.interfaces import Bill, Cost, CostsUnavailable, Meter, ProcessUse, Reading, StoredUse
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.kit.clock import now
from mlops_platform.settings import Settings
from tests.conftest import client_for

GIB = 1024**3


class Given(Meter):
    """A meter that sees what a test says."""

    def __init__(self, *readings: Reading) -> None:
        self.readings = list(readings)

    def read(self) -> Reading:
        return self.readings.pop(0)


class Billed(Bill):
    """A bill that says what a test says, and how often it was asked."""

    def __init__(self, costs: list[Cost]) -> None:
        self.answer = costs
        self.asked = 0

    async def costs(self, since: date, until: date) -> list[Cost]:
        self.asked += 1
        return [cost for cost in self.answer if since <= cost.day < until]


def today() -> date:
    return now().date()


def use(cpu: float, created: datetime, revision: str = "", kind: str = "model-serving", pid: int = 1) -> ProcessUse:
    return ProcessUse(kind, pid, created.timestamp(), cpu, GIB, revision)


def sample(name: str, **labels: str) -> float | None:
    for line in generate_latest(REGISTRY).decode().splitlines():
        if line.startswith(f"{name}{{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    return None


async def deployed(services: BuiltServices, revision: str, tenant: str, model: str) -> None:
    at = now()
    async with services.database.session() as session:
        session.add(
            DeploymentRow(
                id=f"d-{revision}",
                model_name=model,
                environment="staging",
                tenant=tenant,
                desired_paused=False,
                generation=1,
                observed_generation=1,
                observed_message="",
                created_at=at,
                updated_at=at,
            )
        )
        await session.flush()
        session.add(
            RevisionRow(
                id=revision,
                deployment_id=f"d-{revision}",
                number=1,
                version=1,
                digest="sha256:0",
                risk_level="low",
                config={},
                plan=[],
                approval_id=None,
                requested_by="a@company.com",
                justification="x",
                state="live",
                reason="",
                build="done",
                bundle=None,
                engine="onnx",
                feature_refs=[],
                traffic=1.0,
                step=0,
                step_began_at=None,
                routed_generation=None,
                created_at=at,
                updated_at=at,
            )
        )


def predicted(services: BuiltServices, tenant: str, model: str, rows: int) -> None:
    record = {
        "id": f"{tenant}-{model}",
        "at": now().timestamp(),
        "model": model,
        "version": 1,
        "revision": "r",
        "environment": "staging",
        "tenant": tenant,
        "inputs": [{}] * rows,
        "predictions": [0] * rows,
        "entities": None,
        "seconds": 0.001,
    }
    services.prediction_log.append(orjson.dumps(record), rows)
    services.prediction_log.close()
    services.prediction_log.move()


def tenant_file(folder: Path, name: str, budget: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(
        f"name: {name}\nprofile: small\ndata_classification: internal\nteam: {name}\ncost_center: cc-1\n"
        f"owners: [lead@company.com]\nbudget_usd: {budget}\n"
    )


async def test_measured_use_becomes_costs_of_models_and_shared_services_are_divided_by_rows(
    services: BuiltServices, tmp_path: Path
) -> None:
    tenant_file(tmp_path / "tenants", "risk", "0.10")
    await deployed(services, "r1", "risk", "fraud")
    predicted(services, "risk", "fraud", 30)
    predicted(services, "web", "ads", 10)
    # the hour that is measured lies within today, at any time of the day
    at = now().replace(hour=0, minute=0, second=0, microsecond=0)
    meter = Given(
        Reading(at, (use(0, at, "r1"), use(0, at, kind="api", pid=2)), (StoredUse("prediction-log", 10**9),)),
        Reading(
            at + timedelta(hours=1),
            (use(3600, at, "r1"), use(3600, at, kind="api", pid=2)),
            (StoredUse("prediction-log", 10**9),),
        ),
    )
    part = replace(
        services, costs=meter, settings=services.settings.model_copy(update={"tenants_dir": tmp_path / "tenants"})
    )
    await service.refresh(part)
    await service.refresh(part)
    await jobs.expose(part)

    # one of two processors and one of eight GiB for an hour of a machine that costs 0.096
    hour = 0.024 + 0.006
    assert sample("cost_month_to_date_usd", service="model-serving", tenant="risk", model="fraud") == pytest.approx(
        hour
    )
    assert sample("cost_month_to_date_usd", service="api", tenant="risk", model="fraud") == pytest.approx(hour * 3 / 4)
    assert sample("cost_month_to_date_usd", service="api", tenant="web", model="ads") == pytest.approx(hour / 4)
    assert sample("aws_billing_estimated_charges_usd", service="api") == pytest.approx(hour)
    assert sample("cost_daily_usd", service="api") == pytest.approx(hour)
    assert sample("tenant_budget_usd", tenant="risk") == pytest.approx(0.10)
    spent = sample("tenant_cost_month_to_date_usd", tenant="risk")
    assert spent == pytest.approx(hour * 7 / 4, rel=0.01)


async def test_a_second_worker_continues_from_the_last_reading_and_pays_nothing_twice(services: BuiltServices) -> None:
    at = now()
    same = Reading(at, (use(100, at - timedelta(seconds=10)),), ())
    for _ in range(3):
        await service.refresh(replace(services, costs=Given(same)))
    async with services.database.read_session() as session:
        costs = await repository.between(session, *month_of(at.date()))
    assert sum(cost.usd for cost in costs) == pytest.approx(Decimal("0.000683"), rel=Decimal("0.01"))


async def test_a_bill_is_asked_only_when_due_and_later_answers_replace_earlier_ones(services: BuiltServices) -> None:
    bill = Billed([Cost(today(), "Amazon EC2", "risk", "", Decimal(5)), Cost(today(), "AWS KMS", "", "", Decimal(1))])
    part = replace(services, costs=bill)
    await service.refresh(part)
    await service.refresh(part)
    assert bill.asked == 1
    bill.answer = [Cost(today(), "Amazon EC2", "risk", "", Decimal(7))]
    async with services.database.session() as session:
        await repository.keep_reading(session, now() - timedelta(days=1), "bill", None)
    await service.refresh(part)
    async with services.database.read_session() as session:
        costs = await repository.between(session, *month_of(today()))
    assert [(cost.service, cost.tenant, cost.usd) for cost in costs] == [("Amazon EC2", "risk", Decimal(7))]


async def test_a_bill_that_cannot_be_read_leaves_what_is_known(services: BuiltServices) -> None:
    class Silent(Bill):
        async def costs(self, since: date, until: date) -> list[Cost]:
            raise CostsUnavailable("not now")

    async with services.database.session() as session:
        await repository.add(session, [Cost(today(), "known", "risk", "", Decimal(3))])
    with pytest.raises(CostsUnavailable):
        await jobs.JOBS[0].run(replace(services, costs=Silent()))
    assert sample("aws_billing_estimated_charges_usd", service="known") == 3


async def test_what_is_gone_is_shown_as_zero_and_not_as_it_was(services: BuiltServices) -> None:
    async with services.database.session() as session:
        await repository.add(session, [Cost(today(), "gone", "risk", "", Decimal(3))])
    await jobs.expose(services)
    async with services.database.session() as session:
        await repository.replace_days(session, today(), today() + timedelta(days=1), [])
    await jobs.expose(services)
    assert sample("cost_month_to_date_usd", service="gone") == 0


async def test_yesterdays_costs_are_the_daily_figure_once_they_are_known(services: BuiltServices) -> None:
    async with services.database.session() as session:
        await repository.add(
            session,
            [
                Cost(today(), "daily", "a", "", Decimal(1)),
                Cost(today() - timedelta(days=1), "daily", "a", "", Decimal(9)),
            ],
        )
    await jobs.expose(services)
    assert sample("cost_daily_usd", service="daily") == 9


async def test_people_see_the_costs_of_their_own_tenant_and_auditors_of_all(
    services: BuiltServices, as_: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    tenant_file(tmp_path / "tenants", "risk", "100")
    tenant_file(tmp_path / "tenants", "web", "10")
    async with services.database.session() as session:
        await repository.add(
            session,
            [
                Cost(today(), "EC2", "risk", "fraud", Decimal(90)),
                Cost(today(), "EC2", "web", "ads", Decimal(4)),
                Cost(today(), "KMS", "shared", "", Decimal(1)),
            ],
        )
    settings = services.settings.model_copy(update={"tenants_dir": tmp_path / "tenants"})
    async with client_for(replace(services, settings=settings)) as client:

        async def seen(*roles: str, tenant: str) -> Any:
            answer = await client.get("/api/v1/costs", headers=as_("x@company.com", *roles, tenant=tenant))
            assert answer.status_code == 200, answer.text
            return answer.json()

        own = await seen("data-scientist", tenant="risk")
        assert own["items"] == [{"service": "EC2", "tenant": "risk", "model": "fraud", "usd": "90.000000"}]
        assert own["budgets"] == [{"tenant": "risk", "spent": "90.000000", "budget": "100.000000", "share": "0.9000"}]
        assert own["total"] == "90.000000"
        # an architect reviews models of every team, and their bills are no part of that
        assert {item["tenant"] for item in (await seen("architect", tenant="web"))["items"]} == {"web"}
        everything = await seen("auditor", tenant="x")
        assert {item["tenant"] for item in everything["items"]} == {"risk", "web", "shared"}
        assert everything["by_service"] == {"EC2": "94.000000", "KMS": "1.000000"}
        machine = await client.get("/api/v1/costs", headers=as_("m@company.com", "service", tenant="risk"))
        assert machine.status_code == 403


# --- the meter of this machine


def test_the_meter_finds_running_processes_and_stored_bytes_and_no_strangers(tmp_path: Path) -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        created = psutil.Process(busy.pid).create_time()
        (tmp_path / "runtime" / "status").mkdir(parents=True)
        (tmp_path / "run").mkdir()
        (tmp_path / "runtime" / "status" / "r1.json").write_text(
            json.dumps({"pid": busy.pid, "process_started": created})
        )
        # the same pid, started at another time: somebody else's process
        (tmp_path / "runtime" / "status" / "r2.json").write_text(
            json.dumps({"pid": busy.pid, "process_started": created - 500})
        )
        children = {
            "api": {"pid": os.getpid(), "created": psutil.Process().create_time()},
            "gone": {"pid": None, "created": None},
        }
        (tmp_path / "run" / "state.json").write_text(json.dumps({"children": children}))
        (tmp_path / "predictions").mkdir()
        (tmp_path / "predictions" / "a").write_bytes(b"x" * 1000)
        psutil.Process(busy.pid).cpu_times()
        while psutil.Process(busy.pid).cpu_times().user < 0.2:
            pass
        reading = LocalMeter(tmp_path).read()
    finally:
        busy.kill()
        busy.wait()
    found = {(each.service, each.revision_id): each for each in reading.processes}
    assert set(found) == {("model-serving", "r1"), ("api", "")}
    assert found["model-serving", "r1"].cpu_seconds >= 0.2
    assert found["api", ""].memory_bytes > 10_000_000
    assert reading.stored == (StoredUse("prediction-log", 1000),)


def test_an_empty_home_costs_nothing(tmp_path: Path) -> None:
    reading = LocalMeter(tmp_path / "nothing").read()
    assert (reading.processes, reading.stored) == ((), ())


# --- AWS Cost Explorer


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def explorer(url: str) -> Any:
    return boto3.client(
        "ce", region_name="us-east-1", endpoint_url=url, aws_access_key_id="t", aws_secret_access_key="t"
    )


def group(service_name: str, tag: str, amount: str) -> dict[str, Any]:
    return {"Keys": [service_name, tag], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}}


async def test_a_bill_of_cost_explorer_is_read_by_day_service_and_tenant(aws: str) -> None:
    day = {"Start": "2026-11-01", "End": "2026-11-02"}
    groups = [
        group("Amazon EC2", "tenant$risk", "12.5"),
        group("AWS KMS", "tenant$", "1.25"),
        group("Tax", "tenant$", "0"),
    ]
    answer = {"results": [{"ResultsByTime": [{"TimePeriod": day, "Total": {}, "Groups": groups, "Estimated": True}]}]}
    request = urllib.request.Request(
        f"{aws}/moto-api/static/ce/cost-and-usage-results",
        json.dumps(answer).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:  # noqa: ASYNC210 - a test on loopback
        assert response.status == 201
    bill = AwsCosts("tenant", "environment", "production", explorer(aws))
    assert await bill.costs(date(2026, 11, 1), date(2026, 11, 2)) == [
        Cost(date(2026, 11, 1), "Amazon EC2", "risk", "", Decimal("12.5")),
        Cost(date(2026, 11, 1), "AWS KMS", "", "", Decimal("1.25")),
    ]


async def test_pages_are_followed_and_credits_left_out() -> None:
    class Pages:
        def __init__(self) -> None:
            self.requests: list[dict[str, Any]] = []

        def get_cost_and_usage(self, **request: Any) -> dict[str, Any]:
            self.requests.append(dict(request))
            page = len(self.requests)
            entry = {
                "TimePeriod": {"Start": f"2026-11-0{page}", "End": ""},
                "Groups": [group("EC2", "tenant$a", str(page))],
            }
            return {"ResultsByTime": [entry], **({"NextPageToken": "more"} if page == 1 else {})}

    pages = Pages()
    found = await AwsCosts("tenant", "environment", "production", pages).costs(date(2026, 11, 1), date(2026, 11, 3))
    assert [cost.usd for cost in found] == [1, 2]
    assert pages.requests[1]["NextPageToken"] == "more"
    assert {"Not": {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Credit", "Refund"]}}} in pages.requests[0][
        "Filter"
    ]["And"]
    assert {"Tags": {"Key": "environment", "Values": ["production"]}} in pages.requests[0]["Filter"]["And"]


async def test_an_explorer_that_does_not_answer_is_a_situation_with_a_sentence() -> None:
    nowhere = boto3.client(
        "ce",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="t",
        aws_secret_access_key="t",
    )
    with pytest.raises(CostsUnavailable, match="ce:GetCostAndUsage"):
        await AwsCosts("tenant", "environment", "dev", nowhere).costs(date(2026, 11, 1), date(2026, 11, 2))


def test_reading_a_bill_needs_to_know_whose() -> None:
    with pytest.raises(ValidationError, match="MLOPS_COSTS_AWS_ENVIRONMENT"):
        Settings(costs="aws", database_url=SecretStr("postgresql+psycopg://x"))


async def test_before_anything_was_read_the_answer_says_so(
    client: httpx.AsyncClient, as_: Callable[..., dict[str, str]]
) -> None:
    answer = await client.get("/api/v1/costs", headers=as_("m@company.com", "manager"))
    assert answer.json() == {
        "month": datetime.now(UTC).date().replace(day=1).isoformat(),
        "currency": "USD",
        "source": "none",
        "read_at": None,
        "total": "0.000000",
        "by_service": {},
        "items": [],
        "budgets": [],
    }
