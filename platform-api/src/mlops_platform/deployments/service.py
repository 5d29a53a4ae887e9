"""Reading deployments: for people, for the data plane, and for rooms that ask what serves."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from mlops_platform.audit import service as audit
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.deployments import repository
from mlops_platform.deployments.headline import headline
from mlops_platform.deployments.interfaces import Placement
from mlops_platform.deployments.schemas import (
    DeploymentDetail,
    DeploymentSummary,
    LiveRevision,
    RevisionView,
    RoutingSnapshot,
)
from mlops_platform.deployments.state import ANSWERING, ENDED, PENDING
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.errors import NotFound
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.paging import Page, decode_cursor, encode_cursor


class DeploymentNotFound(NotFound):
    """No such deployment for this caller."""

    title = "There is no such deployment"

    def __init__(self, deployment_id: str) -> None:
        super().__init__(
            f"There is no deployment '{deployment_id}' that you can see; `mlops deployments list` shows yours."
        )


async def is_deployed(session: ReadSession | Session, model_name: str, version: int | None) -> bool:
    """Return whether a version (any version when None) answers or is on its way somewhere."""
    query = (
        select(RevisionRow.id)
        .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        .where(DeploymentRow.model_name == model_name, RevisionRow.state.not_in(ENDED))
    )
    return (
        await session.execute(query if version is None else query.where(RevisionRow.version == version))
    ).first() is not None


async def list_deployments(
    session: ReadSession,
    caller: Principal,
    *,
    model_name: str | None = None,
    environment: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[DeploymentSummary]:
    """Return deployments the caller may see, newest first."""
    query = repository.visible_to(caller)
    if model_name:
        query = query.where(DeploymentRow.model_name == model_name)
    if environment:
        query = query.where(DeploymentRow.environment == environment)
    if cursor:
        query = query.where(DeploymentRow.id < str(decode_cursor(cursor).get("id", "")))
    rows = list((await session.execute(query.order_by(DeploymentRow.id.desc()).limit(limit + 1))).scalars())
    revisions = await repository.revisions_of(session, [row.id for row in rows])
    items = [_summary(row, revisions.get(row.id, [])) for row in rows[:limit]]
    return Page(items=items, next_cursor=encode_cursor({"id": items[-1].id}) if len(rows) > limit else None)


async def get(
    session: ReadSession | Session, authorizer: Authorizer, caller: Principal, deployment_id: str
) -> DeploymentDetail:
    """Return a deployment with its revisions and history. Raises DeploymentNotFound.

    Values of environment variables are for who may operate it; others see the names.
    """
    row = (
        await session.execute(repository.visible_to(caller).where(DeploymentRow.id == deployment_id))
    ).scalar_one_or_none()
    if row is None:
        raise DeploymentNotFound(deployment_id)
    revisions = await repository.revisions(session, deployment_id)
    history = await audit.events(ReadSession(session), resource=f"deployment:{deployment_id}", limit=100)
    own = is_own(row, revisions, caller)
    shown = [RevisionView.model_validate(revision) for revision in revisions]
    if not authorizer.allowed(caller, "deployment:operate", row.tenant, own=own):
        shown = [revision.model_copy(update={"config": _names_only(revision.config)}) for revision in shown]
    return DeploymentDetail(
        **_summary(row, revisions).model_dump(),
        revisions=shown,
        history=history.items,
    )


def is_own(deployment: DeploymentRow, revisions: list[RevisionRow], caller: Principal) -> bool:
    """Return whether the caller requested everything that is on its way or answers here, in staging."""
    requesters = {revision.requested_by for revision in revisions if revision.state not in ENDED}
    return deployment.environment == "staging" and requesters == {caller.subject}


def _names_only(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "environment_vars": dict.fromkeys(config.get("environment_vars", {}))}


async def answers(
    session: ReadSession | Session, model_name: str, version: int, digest: str, environment: str, number: int
) -> bool:
    """Return whether this revision of the environment serves exactly these bytes now."""
    query = (
        select(RevisionRow.id)
        .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        .where(DeploymentRow.model_name == model_name, DeploymentRow.environment == environment)
        .where(RevisionRow.version == version, RevisionRow.digest == digest, RevisionRow.number == number)
        .where(RevisionRow.state.in_(ANSWERING))
    )
    return (await session.execute(query)).first() is not None


async def live_version(session: ReadSession | Session, model_name: str, environment: str) -> int | None:
    """Return the version that is live in an environment, None when none is."""
    query = (
        select(RevisionRow.version)
        .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        .where(DeploymentRow.model_name == model_name, DeploymentRow.environment == environment)
        .where(RevisionRow.state == "live")
        .order_by(RevisionRow.number.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar()


async def requesters(session: ReadSession | Session, model_name: str, version: int) -> set[str]:
    """Return everybody who asked for a deployment of a version, in any environment."""
    query = (
        select(RevisionRow.requested_by)
        .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        .where(DeploymentRow.model_name == model_name, RevisionRow.version == version)
    )
    return set((await session.execute(query)).scalars())


async def routing_generation(session: ReadSession) -> int:
    """Return the number that changes with every change of what answers."""
    return await repository.routing_generation(session)


async def live_routes(session: ReadSession, address_of: Callable[[Placement], str | None]) -> RoutingSnapshot:
    """Return everything that answers, and the generation it was true at.

    `address_of` gives the address of a revision's model process (the runtime knows it), or None.
    """
    generation = await repository.routing_generation(session)
    query = (
        select(RevisionRow, DeploymentRow)
        .join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        .where(RevisionRow.state.in_(ANSWERING), RevisionRow.bundle.is_not(None))
    )
    live = [
        LiveRevision(
            model_name=deployment.model_name,
            tenant=deployment.tenant,
            environment=deployment.environment,
            version=revision.version,
            revision_id=revision.id,
            revision_number=revision.number,
            traffic=revision.traffic,
            bundle=revision.bundle or "",
            engine=revision.engine or "process",
            address=address_of(
                Placement(revision.id, deployment.model_name, deployment.tenant, deployment.environment)
            ),
            feature_refs=tuple(revision.feature_refs),
            risk_level=revision.risk_level,
        )
        for revision, deployment in (await session.execute(query)).all()
    ]
    return RoutingSnapshot(generation, tuple(live))


def _summary(row: DeploymentRow, revisions: list[RevisionRow]) -> DeploymentSummary:
    serving = max(
        (revision for revision in revisions if revision.state in ANSWERING),
        key=lambda found: found.traffic,
        default=None,
    )
    coming = next((revision for revision in revisions if revision.state in PENDING and revision is not serving), None)
    newest = revisions[0] if revisions else None
    shown = serving or coming or newest
    return DeploymentSummary.model_validate(
        {
            "id": row.id,
            "model_name": row.model_name,
            "environment": row.environment,
            "tenant": row.tenant,
            "state": shown.state if shown else "empty",
            "version": serving.version if serving else None,
            "traffic": serving.traffic if serving else 0.0,
            "next_version": coming.version if coming else None,
            "next_state": coming.state if coming else None,
            "headline": headline(serving, coming, newest),
            "paused": row.desired_paused,
            "message": ((coming or newest).reason or row.observed_message) if newest else "",
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }
    )


async def owners_of_revisions(session: ReadSession | Session) -> dict[str, tuple[str, str]]:
    """Return revision id -> (tenant, model) of every revision there ever was: whose a process is, and who pays for it."""
    query = select(RevisionRow.id, DeploymentRow.tenant, DeploymentRow.model_name).join(
        DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id
    )
    return {revision: (tenant, model) for revision, tenant, model in await session.execute(query)}
