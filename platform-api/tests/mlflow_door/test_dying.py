"""A door that dies between MLflow's answer and the commit; two people at once; a poisoned item."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from mlops_platform.audit import service as audit
from mlops_platform.audit.schemas import AuditEvent
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.deployments import service as deployments
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.mlflow_door import changes, jobs
from mlops_platform.mlflow_door.interfaces import MlflowNotAnswering
from mlops_platform.mlflow_door.places import StillBeingWritten, Writing
from mlops_platform.mlflow_door.registrar import Registrar, Whole
from mlops_platform.mlflow_door.tables import PendingChangeRow
from mlops_platform.models import holding
from mlops_platform.models.registration import AnotherTenantsModel
from mlops_platform.models.tables import ModelRow

from ..support.parts import FileRegistry

CREATE = ("POST", "/api/2.0/mlflow/registered-models/create")
Persons = Callable[..., Principal]


class Died(BaseException):
    """The process is gone: nothing after it runs."""


@pytest.fixture
def parts(services: BuiltServices, tmp_path: Path) -> BuiltServices:
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "bundle.json").write_text("{}")
    return replace(
        services,
        registry=FileRegistry(tmp_path / "registry", tmp_path / "bundles", tmp_path / "prepared", services.signer),
    )


def _registrar(services: BuiltServices, writing: Writing | None = None) -> Registrar:
    return Registrar(
        services.database, lambda: services.registry, services.authorizer, deployments.is_deployed, writing or Writing()
    )


def _change(name: str, template: tuple[str, str] = CREATE, **fields: Any) -> changes.Change:
    import orjson

    return changes.change_of(*template, orjson.dumps({"name": name, **fields}), "ana@company.com")


async def _events(services: BuiltServices, resource: str) -> list[AuditEvent]:
    async with services.database.read_session() as session:
        return (await audit.events(session, resource=resource)).items


async def _pending(services: BuiltServices) -> list[PendingChangeRow]:
    async with services.database.read_session() as session:
        return list((await session.execute(select(PendingChangeRow))).scalars())


async def _grow_old(services: BuiltServices) -> None:
    async with services.database.session() as session:
        await session.execute(update(PendingChangeRow).values(at=now() - timedelta(hours=1)))


async def test_a_change_whose_door_died_has_its_event_later(parts: BuiltServices, principal: Persons) -> None:
    ana, name = principal("ana@company.com", "data-scientist"), f"m-{uuid.uuid4().hex[:8]}"

    async def dies(_body: bytes) -> Whole:
        raise Died

    with pytest.raises(Died):
        await _registrar(parts).apply(ana, "default", _change(name), dies)
    assert await _events(parts, f"model:{name}") == []
    assert len(await _pending(parts)) == 1
    # too young: its door may still wait for MLflow
    await jobs.write_down_pending(parts)
    assert await _events(parts, f"model:{name}") == []
    await _grow_old(parts)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(jobs.write_down_pending(parts))
    (event,) = await _events(parts, f"model:{name}")
    assert (event.action, event.actor, event.details["outcome"]) == (
        "model:model:created",
        "ana@company.com",
        "not seen",
    )
    assert await _pending(parts) == []


async def test_mlflow_that_does_not_answer_leaves_the_change_pending(parts: BuiltServices, principal: Persons) -> None:
    ana = principal("ana@company.com", "data-scientist")

    async def silent(_body: bytes) -> Whole:
        raise MlflowNotAnswering

    with pytest.raises(MlflowNotAnswering):
        await _registrar(parts).apply(ana, "default", _change("silent"), silent)
    assert [row.name for row in await _pending(parts)] == ["silent"]


async def test_what_mlflow_refuses_is_no_event(parts: BuiltServices, principal: Persons) -> None:
    ana = principal("ana@company.com", "data-scientist")

    async def refuses(_body: bytes) -> Whole:
        return Whole(400, [], b'{"error_code": "INVALID_PARAMETER_VALUE"}')

    answer = await _registrar(parts).apply(ana, "default", _change("refused"), refuses)
    assert answer.status == 400
    assert (await _events(parts, "model:refused"), await _pending(parts)) == ([], [])


async def test_one_poisoned_change_holds_up_no_other(
    parts: BuiltServices, principal: Persons, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = principal("ana@company.com", "data-scientist")

    async def dies(_body: bytes) -> Whole:
        raise Died

    for name in ("poisoned", "healthy"):
        with pytest.raises(Died):
            await _registrar(parts).apply(ana, "default", _change(name), dies)
    await _grow_old(parts)
    real = holding.copy

    async def copy(session: Any, registry: Any, name: str, version: int | None, *actor: Any) -> bool:
        if name == "poisoned":
            raise RuntimeError(name)
        return bool(await real(session, registry, name, version, *actor))

    monkeypatch.setattr(holding, "copy", copy)
    await jobs.write_down_pending(parts)
    assert len(await _events(parts, "model:healthy")) == 1
    assert [row.name for row in await _pending(parts)] == ["poisoned"]


async def test_two_tenants_take_one_name_at_once_and_one_gets_it(parts: BuiltServices, principal: Persons) -> None:
    registrar = _registrar(parts)
    made: list[str] = []

    async def take(tenant: str) -> Whole | AnotherTenantsModel:
        caller = principal(f"p@{tenant}.com", "data-scientist", tenant=tenant)

        async def create(_body: bytes) -> Whole:
            made.append(tenant)
            await parts.registry.register(
                "contested", "runs:/x/model", tenant=tenant, tags={}, description="", model_tags={"tenant": tenant}
            )
            return Whole(200, [], b"{}")

        try:
            return await registrar.apply(caller, tenant, _change("contested"), create)
        except AnotherTenantsModel as refused:
            return refused

    # a group: when one fails, none of the others goes on holding locks on the next test's tables
    async with asyncio.TaskGroup() as group:
        taking = [group.create_task(take(tenant)) for tenant in ("one", "two", "three")]
    outcomes = [one.result() for one in taking]
    assert len(made) == 1
    assert sum(isinstance(outcome, AnotherTenantsModel) for outcome in outcomes) == 2
    async with parts.database.read_session() as session:
        model = await session.get(ModelRow, "contested")
    assert model is not None
    assert [model.tenant] == made


async def test_a_version_is_not_registered_while_its_bytes_are_written(
    parts: BuiltServices, principal: Persons
) -> None:
    ana, writing = principal("ana@company.com", "data-scientist"), Writing()
    create = ("POST", "/api/2.0/mlflow/model-versions/create")
    change = _change("half", create, source="mlflow-artifacts:/0/run1/artifacts/model", run_id="run1")

    async def never(_body: bytes) -> Whole:
        raise AssertionError("MLflow must not be asked")

    with writing.at("0/run1/artifacts/model/weights"), pytest.raises(StillBeingWritten):
        await _registrar(parts, writing).apply(ana, "default", change, never)
    assert await _pending(parts) == []
    assert not writing.below_any("run1")
