"""Every pass compares all that should run with all that does, and corrects the runtime, whoever changed it."""

from collections import defaultdict
from collections.abc import Iterable

import structlog

from mlops_platform.database.locks import try_lock
from mlops_platform.dependencies import Services
from mlops_platform.deployments import revisions, worklist
from mlops_platform.deployments.interfaces import RevisionSpec, Routing, RuntimeConflict
from mlops_platform.deployments.revisions import Deployment, Revision
from mlops_platform.deployments.state import ANSWERING
from mlops_platform.statements import service as statements
from mlops_platform.statements.bundle_hashes import statement_file
from mlops_platform.statements.interfaces import Posted

log = structlog.get_logger(__name__)
_Pair = tuple[Deployment, Revision]


async def sweep(services: Services) -> None:
    """Apply what should run and is not known to the runtime, remove what should not run any more, share traffic as wanted."""
    async with services.database.read_session() as session:
        wanted = {revision.id: (deployment, revision) for revision, deployment in await worklist.running(session)}
    known = await services.runtime.known()
    for revision_id in known - wanted.keys():
        try:
            await services.runtime.remove(revision_id)
        except RuntimeConflict as conflict:
            # its deployment may be gone, so there is nobody to tell but the log; the next pass asks again
            log.warning("revision not removed", revision=revision_id, reason=conflict.detail)
    missing = wanted.keys() - known
    async with services.database.read_session() as session:
        signed = await statements.of_revisions(session, list(missing))
    for revision_id in missing:
        deployment, revision = wanted[revision_id]
        if revision_id not in signed and services.settings.statement_grace_until is None:
            # its process would refuse it anyway: a state in a table is no agreement
            await hold_up(services, deployment.id, f"revision {revision.number} has no statement of approval")
            continue
        try:
            await services.runtime.apply(spec_of(services, deployment, revision))
        except RuntimeConflict as conflict:
            await hold_up(services, deployment.id, conflict.detail)
    for deployment_id in await services.runtime.misrouted(_routings(wanted.values())):
        async with try_lock(services.database, f"deployment:{deployment_id}") as held:
            # held by another worker: it shares the traffic at the end of its pass
            if held:
                await _route_again(services, deployment_id)


def _routings(running: Iterable[_Pair]) -> list[Routing]:
    shares: dict[str, list[tuple[str, float]]] = defaultdict(list)
    deployments = {}
    for deployment, revision in running:
        if _shares(revision):
            deployments[deployment.id] = deployment
            shares[deployment.id].append((revision.id, revision.traffic))
    return [_routing(deployment, shares[deployment.id]) for deployment in deployments.values()]


async def _route_again(services: Services, deployment_id: str) -> None:
    # read again: since the sweep looked, a pass may have changed the shares
    async with services.database.read_session() as session:
        deployment = await worklist.deployment(session, deployment_id)
    log.info("traffic is shared again", deployment=deployment_id)
    if deployment is None:
        await services.runtime.route(Routing(deployment_id, "", "", "", ()))
        return
    try:
        await services.runtime.route(await routing_of(services, deployment))
    except RuntimeConflict as conflict:
        await hold_up(services, deployment_id, conflict.detail)


async def routing_of(services: Services, deployment: Deployment) -> Routing:
    """Return the shares as they are now."""
    async with services.database.read_session() as session:
        rows = await worklist.revisions(session, deployment.id)
    return _routing(deployment, [(row.id, row.traffic) for row in rows if _shares(row)])


def _routing(deployment: Deployment, shares: Iterable[tuple[str, float]]) -> Routing:
    """The same shares make equal routings, in whatever order they were read."""
    ordered = tuple(sorted(shares))
    return Routing(deployment.id, deployment.model_name, deployment.tenant, deployment.environment, ordered)


def _shares(revision: Revision) -> bool:
    return revision.state in ANSWERING and revision.traffic > 0


async def hold_up(services: Services, deployment_id: str, message: str) -> None:
    """Write why a deployment is held up where people see it."""
    log.warning("deployment held up", deployment=deployment_id, reason=message)
    async with services.database.session() as session:
        await revisions.note(session, deployment_id, message)


def spec_of(services: Services, deployment: Deployment, revision: Revision) -> RevisionSpec:
    """Return what should run for a revision, and the statement its process has to verify."""
    name = statement_file(revision.id)
    posted = Posted("", "") if services.bulletin is None else services.bulletin.where(name)
    return RevisionSpec(
        revision_id=revision.id,
        model_name=deployment.model_name,
        version=revision.version,
        bundle=revision.bundle or "",
        environment=deployment.environment,
        tenant=deployment.tenant,
        digest=revision.digest,
        approval_id=revision.approval_id,
        replicas=revision.config["replicas"],
        resources=revision.config["resources"],
        environment_vars=revision.config["environment_vars"],
        statement=name,
        public_keys=_public_keys(services),
        statement_uri=posted.statement,
        revocations_uri=posted.revocations,
        libraries_uri="" if services.archives is None else services.archives.place,
    )


def _public_keys(services: Services) -> str:
    try:
        return services.settings.statement_public_keys.read_text()
    except FileNotFoundError:
        # nothing was signed yet: a process without keys refuses whatever it is given
        return ""
