"""Writes to the registry: MLflow does them, the audit log names the person, the catalogue shows them at once.

A write is announced in a transaction of its own before MLflow gets it, so that none goes without an event when the door dies
in between (jobs.py). Writes to one name wait for each other, and for registrations over the API.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import orjson
from sqlalchemy import delete

from mlops_platform.audit import service as audit
from mlops_platform.database.session import Database, Session
from mlops_platform.errors import Conflict, Forbidden, PlatformError
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.kit.replies import Header
from mlops_platform.mlflow_door.changes import Change
from mlops_platform.mlflow_door.places import StillBeingWritten, Writing
from mlops_platform.mlflow_door.tables import PendingChangeRow
from mlops_platform.models import holding, registration
from mlops_platform.models.interfaces import ModelRegistry
from mlops_platform.models.registration import AnotherTenantsModel, DeployedCheck
from mlops_platform.models.service import ModelNotFound


@dataclass(frozen=True)
class Whole:
    """An answer that was read to its end."""

    status: int
    headers: list[Header]
    body: bytes


Send = Callable[[bytes], Awaitable[Whole]]
_DONE = Whole(200, [(b"content-type", b"application/json")], b"{}")


class NameIsServed(Conflict):
    """A model that was served cannot be renamed."""

    title = "The model's name is in use"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' was deployed, and its deployments are known by this name; register under another name."
        )


class OwnerStays(Forbidden):
    """Somebody else's model would change hands."""

    title = "The owner is somebody else"

    def __init__(self) -> None:
        super().__init__("Ask its owner, or somebody who may delete models, to name another owner.")


class Registrar:
    """Carries out writes to the registry for people."""

    def __init__(
        self,
        database: Database,
        registry: Callable[[], ModelRegistry],
        authorizer: Authorizer,
        deployed: DeployedCheck,
        writing: Writing,
    ) -> None:
        """`registry` may take seconds to its first answer: it is asked in a thread, and by nobody who only reads."""
        self._database, self._the_registry = database, registry
        self._authorizer, self._deployed, self._writing = authorizer, deployed, writing

    async def apply(self, caller: Principal, tenant: str, change: Change, send: Send) -> Whole:
        """Return MLflow's answer to a change in a tenant's workspace, or ours to a deletion.

        Raises NotPermitted, AnotherTenantsModel, ModelNotFound, NameIsServed, OwnerStays, StillBeingWritten, StillDeployed,
        MlflowNotAnswering and what registration.delete_version raises. When MLflow did not answer, it may have done it: the
        event follows within minutes.
        """
        if change.deletes and (answer := await self._deleted(caller, tenant, change)) is not None:
            return answer
        needed = "model:delete" if change.deletes or change.new_name else "model:register"
        demand(self._authorizer, caller, needed, tenant)
        # before anything is announced or locked
        registry = await self._registry()
        pending = await self._announce(caller, tenant, change)
        sent = False
        try:
            async with self._database.session() as session:
                await holding.lock_names(session, change.name, change.new_name or change.name)
                await self._refuse(session, caller, tenant, change)
                sent = True
                answer = await send(change.raw())
                if answer.status < 300:  # noqa: PLR2004 - success
                    await self._write_down(session, registry, caller, tenant, change, answer)
                await session.execute(delete(PendingChangeRow).where(PendingChangeRow.id == pending))
        except PlatformError:
            if not sent:
                await self._forget(pending)
            raise
        return answer

    async def _registry(self) -> ModelRegistry:
        return await anyio.to_thread.run_sync(self._the_registry)

    async def _announce(self, caller: Principal, tenant: str, change: Change) -> str:
        row = PendingChangeRow(
            id=new_id(),
            at=now(),
            subject=caller.subject,
            tenant=tenant,
            action=change.action.value,
            name=change.name,
            new_name=change.new_name,
            resource=change.resource,
            details=change.details,
        )
        async with self._database.session() as session:
            session.add(row)
        return row.id

    async def _forget(self, pending: str) -> None:
        async with self._database.session() as session:
            await session.execute(delete(PendingChangeRow).where(PendingChangeRow.id == pending))

    async def _refuse(self, session: Session, caller: Principal, tenant: str, change: Change) -> None:
        owner = await holding.tenant_of(session, change.name)
        if owner is not None and owner != tenant:
            raise AnotherTenantsModel(change.name) if change.creates_model else ModelNotFound(change.name)
        if change.new_name is not None:
            if await holding.tenant_of(session, change.new_name) is not None:
                raise AnotherTenantsModel(change.new_name)
            if await holding.past_development(session, change.name) or await self._deployed(session, change.name, None):
                raise NameIsServed(change.name)
        if change.body.get("key") == "owner":
            persons = await holding.persons_of(session, change.name, change.version)
            if (
                persons
                and caller.subject not in persons
                and not self._authorizer.allowed(caller, "model:delete", tenant)
            ):
                raise OwnerStays
        if self._writing.below_any(str(change.body.get("run_id") or ""), str(change.body.get("model_id") or "")):
            raise StillBeingWritten

    async def _write_down(
        self,
        session: Session,
        registry: ModelRegistry,
        caller: Principal,
        tenant: str,
        change: Change,
        answer: Whole,
    ) -> None:
        version, resource = change.version, change.resource
        if (made := _made(answer)) is not None:
            version, resource = made, f"model:{change.name}:{made}"
        if change.body.get("key") == "risk_level" and version is None:
            await holding.take_over_risk(self._database, registry, change.name)
        if change.new_name is not None:
            await holding.renamed(session, registry, change.name, change.new_name, caller)
        else:
            await holding.copy(session, registry, change.name, version, caller)
        # last: it locks the audit log's tree until the commit
        await audit.record(
            session, action=change.action, actor=caller, resource=resource, tenant=tenant, details=change.details
        )

    async def _deleted(self, caller: Principal, tenant: str, change: Change) -> Whole | None:
        """Delete what the catalogue holds, as the API does; None when it holds no such model (a prompt, or nothing)."""
        registry = await self._registry()
        async with self._database.session() as session:
            await holding.lock_names(session, change.name)
            await holding.copy(session, registry, change.name, change.version)
            owner = await holding.tenant_of(session, change.name)
            if owner is None:
                return None
            if owner != tenant:
                raise ModelNotFound(change.name)
            parts = (session, registry, self._authorizer, caller, change.name)
            if change.version is None:
                await registration.delete_model(*parts, self._deployed)
            else:
                await registration.delete_version(*parts, str(change.version), self._deployed)
        return _DONE


def _made(answer: Whole) -> int | None:
    """Return the number of a version that MLflow has just made or changed."""
    try:
        return int(orjson.loads(answer.body)["model_version"]["version"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
