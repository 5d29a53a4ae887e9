"""A platform without slow servers: its own database, audit log and data plane, a registry of files, an obedient runtime."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.jobs import JOBS
from mlops_platform.kit.ids import new_id
from mlops_platform.kit.jobs import Job
from mlops_platform.worker import run_job

from .bundles import halves
from .parts import quick
from .poison import spoiled
from .waiting import eventually_async


def job(name: str) -> Job:
    """Return the worker's job of this name."""
    (found,) = (one for one in JOBS if one.name == name)
    return found


@dataclass
class Ground:
    """What a case prepares, poisons, runs and looks at."""

    services: BuiltServices
    client: httpx.AsyncClient
    headers: dict[str, str]
    as_: Callable[..., dict[str, str]]
    names: list[str] = field(default_factory=list)

    @property
    def poisoned(self) -> str:
        """The model in the middle."""
        return self.names[len(self.names) // 2]

    @property
    def neighbours(self) -> set[str]:
        """Every other model."""
        return set(self.names) - {self.poisoned}

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        answer = await self.client.request(method, f"/api/v1{path}", json=body, headers=self.headers)
        assert answer.is_success, answer.text
        return answer.json()

    async def registered(self, count: int = 3, risk: str = "low") -> None:
        """Register models, each with one version."""
        for _ in range(count):
            self.names.append(f"poison-{new_id()[-12:]}")
            await self.another_version(self.names[-1], risk)

    async def another_version(self, name: str, risk: str = "low") -> None:
        """Register the next version of a model."""
        metadata = {"name": name, "risk_level": risk, "owner": "ana@company.com"}
        await self.ask("POST", "/models/register", {"model_uri": "runs:/0/model", "metadata": metadata})

    async def deployed(self, count: int = 3, risk: str = "low") -> dict[str, dict[str, Any]]:
        """Ask for a deployment of that many fresh models; return the answers by model."""
        await self.registered(count, risk)
        body = {"model_version": "1", "target_stage": "staging", "justification": "because"}
        return {name: await self.ask("POST", "/models/deploy", {"model_name": name, **body}) for name in self.names}

    async def answering(self, count: int = 3) -> None:
        """Bring that many fresh models to life."""
        await self.deployed(count)
        await self.run("deployment-builds")
        await self.reconciled(dict.fromkeys(self.names, "live"))

    async def reconciled(self, wanted: dict[str, str]) -> None:
        """Work until the newest revisions of these models are in these states."""

        async def done() -> bool:
            await self.run("deployment-reconcile")
            states = await self.states()
            return {name: states[name] for name in wanted} == wanted

        await eventually_async(done, 30, f"{wanted}")

    async def states(self) -> dict[str, str]:
        """Return the state of each model's newest revision."""
        shown = (await self.ask("GET", "/deployments"))["items"]
        details = [await self.ask("GET", f"/deployments/{one['id']}") for one in shown]
        return {one["model_name"]: one["revisions"][0]["state"] for one in details}

    def spoil(self, part: str, method: str, when: Callable[..., bool]) -> None:
        """Spoil a method of one of the services."""
        self.services = replace(self.services, **{part: spoiled(getattr(self.services, part), method, when)})

    async def run(self, name: str) -> None:
        """One pass of a job. That an item failed is said in the log; the pass itself does not fail."""
        assert await run_job(job(name), self.services) == "ok", f"{name} failed: the log above says why"


@pytest.fixture
async def ground(services: BuiltServices, as_: Callable[..., dict[str, str]]) -> AsyncIterator[Ground]:
    """The ground of one test, on an empty database."""
    from ..conftest import client_for

    parts = quick(services)
    await services.signer.sign(halves(services.settings.home / "prepared"))
    async with client_for(parts) as client:
        yield Ground(parts, client, as_("ana@company.com", "data-scientist", "ml-engineer"), as_)
