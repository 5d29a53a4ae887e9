"""The registry mirror against a real MLflow: what people do with its plain client is in the catalogue after a pass."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mlflow import MlflowClient
from prometheus_client import REGISTRY
from sqlalchemy import select, update

from mlops_platform import bootstrap
from mlops_platform.adapters.mlflow import entries
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.failing.attempts import attempts
from mlops_platform.failing.tables import FailingItemRow
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.models import copying, jobs, registration
from mlops_platform.models.interfaces import ModelRegistry, NotInRegistry, RegisteredVersion, RegistryUnavailable
from mlops_platform.models.schemas import Metadata, RegisterRequest
from mlops_platform.models.tables import ModelRow, ModelVersionRow
from mlops_platform.worker import run_job

# MLflow's server takes no local path as a source
_ELSEWHERE = "s3://elsewhere/model"
(MIRROR,) = (job for job in jobs.JOBS if job.name == "registry-mirror")


class Fussy:
    """A registry that refuses some calls and passes on the rest."""

    def __init__(self, real: ModelRegistry) -> None:
        self._real = real
        self.wrong: Callable[[str, int | None], Exception | None] = lambda *_: None
        self.read: list[tuple[str, int | None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def get_version(self, name: str, version: int | None) -> RegisteredVersion:
        self.read.append((name, version))
        if (error := self.wrong(name, version)) is not None:
            raise error
        return await self._real.get_version(name, version)


@pytest.fixture
def people(mlflow_server: str) -> MlflowClient:
    """The plain MLflow client, as a notebook uses it."""
    return MlflowClient(mlflow_server, mlflow_server)


@pytest.fixture
def prefix(people: MlflowClient) -> Iterator[str]:
    """Names of this test; other tests' models stay in the registry and are mirrored too."""
    yield (prefix := f"m{new_id()[-12:]}")
    for model in people.search_registered_models(f"name LIKE '{prefix}%'"):
        people.delete_registered_model(model.name)


@pytest.fixture
async def worker(services: BuiltServices) -> BuiltServices:
    """A worker that has seen everything there is, so that a test sees its own changes."""
    fussy = replace(services, registry=Fussy(services.registry))  # type: ignore[arg-type]  # a wrapper of one
    assert await run_job(MIRROR, fussy) == "ok"
    return fussy


def _register(people: MlflowClient, name: str, **tags: str) -> int:
    if not people.search_registered_models(f"name = '{name}'"):
        people.create_registered_model(name)
    return int(people.create_model_version(name, _ELSEWHERE, tags=tags).version)


def _logged_run(people: MlflowClient, **metrics: float) -> str:
    run = people.create_run("0")
    for name, value in metrics.items():
        people.log_metric(run.info.run_id, name, value)
    # what makes it a model that can be registered by runs:/…
    people.log_text(run.info.run_id, "flavors: {sklearn: {}}", "model/MLmodel")
    people.set_terminated(run.info.run_id)
    return str(run.info.run_id)


async def _catalogue(services: BuiltServices, prefix: str) -> dict[tuple[str, int], ModelVersionRow]:
    async with services.database.read_session() as session:
        query = select(ModelVersionRow).where(ModelVersionRow.name.startswith(prefix))
        return {(row.name, row.version): row for row in (await session.execute(query)).scalars()}


async def test_a_version_of_a_plain_client_is_in_the_catalogue_after_a_pass(
    worker: BuiltServices, people: MlflowClient, prefix: str
) -> None:
    run = _logged_run(people, accuracy=0.9)
    # a tag says nothing about whose it is
    people.create_registered_model(f"{prefix}-a", tags={"tenant": "risk", "owner": "ana@company.com"})
    people.create_model_version(f"{prefix}-a", _ELSEWHERE, run_id=run, tags={"risk_level": "high"})
    assert await run_job(MIRROR, worker) == "ok"
    row = (await _catalogue(worker, prefix))[(f"{prefix}-a", 1)]
    assert (row.risk_level, row.stage, row.metrics, row.run_id) == ("high", "development", {"accuracy": 0.9}, run)
    async with worker.database.read_session() as session:
        model = await session.get(ModelRow, row.name)
    assert model is not None
    assert (model.tenant, model.owner, model.latest_version) == ("default", "ana@company.com", 1)


async def test_a_changed_tag_is_copied_and_what_is_known_is_not_read_again(
    worker: BuiltServices, people: MlflowClient, prefix: str
) -> None:
    for letter in "ab":
        _register(people, f"{prefix}-{letter}", risk_level="low")
    await run_job(MIRROR, worker)
    # past the door: the door copies a tag at once, and here the hourly comparison finds it
    people.set_model_version_tag(f"{prefix}-a", "1", "risk_level", "high")
    copying.seen_by(worker.database).compared = None
    assert isinstance(worker.registry, Fussy)
    worker.registry.read.clear()
    await run_job(MIRROR, worker)
    assert (await _catalogue(worker, prefix))[(f"{prefix}-a", 1)].risk_level == "high"
    # other tests register in the same MLflow: only the names of this one count
    assert [each for each in worker.registry.read if each[0].startswith(prefix)] == [(f"{prefix}-a", 1)]


async def test_one_version_that_cannot_be_copied_holds_up_no_other_and_is_tried_again(
    worker: BuiltServices, people: MlflowClient, prefix: str
) -> None:
    names = [f"{prefix}-{letter}" for letter in "abc"]
    for name in names:
        _register(people, name)
    assert isinstance(worker.registry, Fussy)
    worker.registry.wrong = lambda name, _: ValueError("a run nobody can read") if name == names[1] else None
    failed = {"worker_job": "registry-mirror"}
    before = REGISTRY.get_sample_value("worker_items_failed_total", failed) or 0
    assert await run_job(MIRROR, worker) == "ok"
    assert set(await _catalogue(worker, prefix)) == {(names[0], 1), (names[2], 1)}
    assert REGISTRY.get_sample_value("worker_items_failed_total", failed) == before + 1
    # what comes later does not make it forgotten, and it is not tried at every pass
    await asyncio.to_thread(_register, people, names[2])
    worker.registry.read.clear()
    await run_job(MIRROR, worker)
    assert (names[2], 2) in await _catalogue(worker, prefix)
    assert (names[1], 1) not in worker.registry.read
    worker.registry.wrong = lambda *_: None
    async with worker.database.session() as session:
        await session.execute(update(FailingItemRow).values(next_try_at=now()))
    # another worker, which has read the registry from now on only, knows it from the table
    copying.seen_by(worker.database).compared = time.monotonic()
    await run_job(MIRROR, worker)
    assert (names[1], 1) in await _catalogue(worker, prefix)
    assert not (await attempts(worker.database, copying.JOB)).items


async def test_a_registry_that_goes_away_in_the_middle_of_a_pass_loses_nothing(
    worker: BuiltServices, people: MlflowClient, prefix: str
) -> None:
    names = [f"{prefix}-{number}" for number in range(4)]
    for name in names:
        _register(people, name)
    assert isinstance(worker.registry, Fussy)
    # whichever is read second: what was copied before must not stand for what comes before it
    worker.registry.read.clear()
    fussy = worker.registry
    fussy.wrong = lambda *_: RegistryUnavailable() if len(fussy.read) == 2 else None
    assert await run_job(MIRROR, worker) == "failed"
    assert len(await _catalogue(worker, prefix)) == 1
    fussy.wrong = lambda *_: None
    assert await run_job(MIRROR, worker) == "ok"
    assert set(await _catalogue(worker, prefix)) == {(name, 1) for name in names}


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_version_registered_over_the_api_hides_none_that_a_plain_client_registered_before(
    worker: BuiltServices,
    people: MlflowClient,
    prefix: str,
    principal: Callable[..., Principal],
    monkeypatch: pytest.MonkeyPatch,
    restarted: bool,
) -> None:
    # as if the two were registered longer apart than searches overlap
    monkeypatch.setattr(entries, "_OVERLAP", timedelta(0))
    _register(people, f"{prefix}-plain")
    metadata = Metadata(name=f"{prefix}-api", risk_level="low", owner="ana@company.com")
    request = RegisterRequest(model_uri=f"runs:/{_logged_run(people)}/model", metadata=metadata)
    async with worker.database.session() as session:
        await registration.register(session, worker.registry, principal("ana@company.com", "data-scientist"), request)
    if restarted:
        worker = bootstrap.build(worker.settings)
    assert await run_job(MIRROR, worker) == "ok"
    assert set(await _catalogue(worker, prefix)) == {(f"{prefix}-plain", 1), (f"{prefix}-api", 1)}
    if restarted:
        await worker.database.dispose()


async def test_a_metric_that_is_no_number_hides_no_version(
    worker: BuiltServices, people: MlflowClient, prefix: str
) -> None:
    run = _logged_run(people, loss=float("nan"), worst=float("inf"), accuracy=0.5)
    people.create_registered_model(f"{prefix}-nan")
    people.create_model_version(f"{prefix}-nan", _ELSEWHERE, run_id=run)
    assert await run_job(MIRROR, worker) == "ok"
    assert (await _catalogue(worker, prefix))[(f"{prefix}-nan", 1)].metrics == {
        "accuracy": 0.5,
        # MLflow keeps infinity as the largest number its database holds
        "worst": sys.float_info.max,
    }


async def test_a_version_deleted_while_it_is_copied_is_no_error(
    worker: BuiltServices, people: MlflowClient, prefix: str
) -> None:
    for letter in "ab":
        _register(people, f"{prefix}-{letter}")
    assert isinstance(worker.registry, Fussy)
    gone = NotInRegistry("deleted a moment ago")
    worker.registry.wrong = lambda name, _: gone if name == f"{prefix}-b" else None
    assert await run_job(MIRROR, worker) == "ok"
    assert set(await _catalogue(worker, prefix)) == {(f"{prefix}-a", 1)}


async def test_two_workers_at_once_copy_everything_once(
    worker: BuiltServices, people: MlflowClient, prefix: str
) -> None:
    for letter in "abcd":
        _register(people, f"{prefix}-{letter}")
    results = await asyncio.gather(run_job(MIRROR, worker), run_job(MIRROR, worker))
    assert "failed" not in results
    assert "ok" in results
    assert len(await _catalogue(worker, prefix)) == 4
