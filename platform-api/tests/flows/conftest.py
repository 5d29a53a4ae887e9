"""The whole road in one process: API, worker passes on demand, model host, real MLflow, real PostgreSQL."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.jobs import JOBS
from mlops_platform.kit.ids import new_id
from mlops_platform.local.model_host import ModelHost
from mlops_platform.local.watchdog_client import Watchdog
from mlops_platform.worker import run_job

from ..support.waiting import PATIENCE

COLUMNS = ["age", "income", "visits"]
_A_PERSON_WAITS = 5  # seconds between two passes of a job
Headers = Callable[..., dict[str, str]]


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(5)
    return pd.DataFrame(random.normal(size=(300, 3)), columns=COLUMNS)


@pytest.fixture(scope="session")
def model(rows: pd.DataFrame) -> Any:
    target = (rows["age"] + 0.5 * rows["income"] > 0).astype(int)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, target)


@pytest.fixture(scope="session")
def log_model(mlflow_server: str, model: Any, rows: pd.DataFrame) -> Callable[..., str]:
    """Log and register with the plain MLflow client; return the model's name."""

    def log(risk_level: str | None = "medium", name: str | None = None, *, examples: int = 40, **tags: str) -> str:
        mlflow.set_tracking_uri(mlflow_server)
        name = name or f"model-{new_id()[-12:]}"
        with mlflow.start_run():
            logged = mlflow.sklearn.log_model(
                model,
                name="model",
                input_example=rows.head(examples) if examples else None,
                signature=infer_signature(rows, model.predict(rows)),
                pip_requirements=["scikit-learn"],
            )
            mlflow.log_metric("accuracy", 0.9)
        declared = {"risk_level": risk_level} if risk_level else {}
        mlflow.register_model(logged.model_uri, name, tags={**declared, "owner": "ana@company.com", **tags})
        return name

    return log


class RunsCodeAtLoad:
    """What a hostile pickle holds."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, (f"open({self.marker!r}, 'w').write('owned')",))


def hostile_bytes(marker: str) -> bytes:
    return pickle.dumps(RunsCodeAtLoad(marker))


@dataclass
class Road:
    """The platform as its people use it."""

    services: BuiltServices
    client: httpx.AsyncClient
    as_: Headers
    may_fail: frozenset[str] = frozenset()
    """Jobs that a test breaks on purpose."""

    async def ask(self, method: str, path: str, who: dict[str, str], **arguments: Any) -> Any:
        answer = await self.client.request(method, path, headers=who, **arguments)
        assert answer.is_success, answer.text
        return answer.json()

    async def deploy(
        self, name: str, version: str = "1", stage: str = "staging", who: dict[str, str] | None = None
    ) -> httpx.Response:
        body = {"model_name": name, "model_version": version, "target_stage": stage, "justification": "test"}
        return await self.client.post(
            "/api/v1/models/deploy", json=body, headers=who or self.as_("ana@company.com", "data-scientist")
        )

    async def decide(self, approval_id: str, email: str, role: str, decision: str = "approve") -> httpx.Response:
        path = f"/api/v1/approvals/{approval_id}/decisions"
        body = {"decision": decision, "comment": "looked at"}
        return await self.client.post(path, json=body, headers=self.as_(email, role))

    async def work(self) -> None:
        """One pass of the worker: every job that runs while a person waits, in the worker's own order."""
        results = {job.name: await run_job(job, self.services) for job in JOBS if job.every_seconds <= _A_PERSON_WAITS}
        failed = {name for name, result in results.items() if result == "failed"} - self.may_fail
        assert not failed, f"{failed} failed; the log above says why"

    async def until(self, deployment_id: str, state: str, seconds: float = 60) -> dict[str, Any]:
        """Work until the newest revision is in a state."""
        async with asyncio.timeout(seconds * PATIENCE):
            while True:
                await self.work()
                shown = await self.ask(
                    "GET", f"/api/v1/deployments/{deployment_id}", self.as_("v@company.com", "viewer")
                )
                if shown["revisions"][0]["state"] == state:
                    return dict(shown)
                assert shown["revisions"][0]["state"] not in {"failed", "rejected", "rolled_back"} - {state}, shown[
                    "revisions"
                ][0]
                await asyncio.sleep(0.1)

    async def predict(self, name: str, who: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        body = {"model_name": name, "input_data": {"age": 1.0, "income": 0.5, "visits": 0.1}, **more}
        return await self.client.post(
            "/api/v1/predict", json=body, headers=who or self.as_("ana@company.com", "data-scientist")
        )

    async def predict_when_routed(self, name: str, **more: Any) -> dict[str, Any]:
        """Predict, giving the routing table and a first explanation their time."""
        async with asyncio.timeout(30 * PATIENCE):
            while (answer := await self.predict(name, **more)).status_code == 404:
                await asyncio.sleep(0.05)
        assert answer.is_success, answer.text
        return dict(answer.json())


@pytest.fixture
async def road(
    services: BuiltServices, client: httpx.AsyncClient, as_: Headers, mlflow_server: str
) -> AsyncIterator[Road]:
    with Watchdog() as watchdog:
        host = ModelHost(services.settings.runtime_dir, services.settings.bundle_dir, watchdog, lambda _event: None)
        host.start()
        yield Road(services, client, as_)
        await host.stop()


async def bring_to_life(road: Road, name: str) -> tuple[Road, str, str]:
    """Have two people approve a medium-risk model, and wait until it answers: (road, model name, deployment id)."""
    held = (await road.deploy(name)).json()
    await road.decide(held["approval_id"], "sam@company.com", "senior-data-scientist")
    await road.decide(held["approval_id"], "max@company.com", "manager")
    await road.until(held["deployment_id"], "live")
    await road.predict_when_routed(name)
    return road, name, held["deployment_id"]


@pytest.fixture
async def live_model(road: Road, log_model: Callable[..., str]) -> tuple[Road, str, str]:
    """A medium-risk model that two people approved and that answers: (road, model name, deployment id)."""
    return await bring_to_life(road, log_model())
