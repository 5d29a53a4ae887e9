"""A revision that runs and whose bundle is gone is built again: after a restore, a moved home, a lost disk.

Nobody has to approve anything: the version, its digest and the agreement are those of before, and the new statement ends
when the old one would have. What differs is said beside the deployment and in the audit log.
"""

import anyio
import structlog

from mlops_platform.audit.schemas import SystemActor
from mlops_platform.builds.bundles import lock_name, obtain
from mlops_platform.builds.interfaces import BundleDamaged, BundleUnavailable
from mlops_platform.checks import gates
from mlops_platform.database.locks import try_lock
from mlops_platform.dependencies import Services
from mlops_platform.deployments import revisions, worklist
from mlops_platform.deployments.revisions import Deployment, Revision
from mlops_platform.deployments.state import RUNNING
from mlops_platform.failing.attempts import Attempts, CannotBeDone, Item, attempts
from mlops_platform.rollouts.subjects import subject_of
from mlops_platform.rollouts.sweep import hold_up, spec_of
from mlops_platform.statements import service as statements
from mlops_platform.statements.agreement import NotProven
from mlops_platform.statements.bundle_hashes import statement_file
from mlops_platform.statements.composition import GateResult
from mlops_platform.statements.service import Kept

log = structlog.get_logger(__name__)
ACTOR = SystemActor("worker")
JOB = "lost-bundles"


async def build_again(services: Services) -> None:
    """Put back the bundle, or the statement beside it, of every revision that runs and has lost it, each by itself.

    A store that does not answer says nothing: then nothing is known to be lost.
    """
    async with services.database.read_session() as session:
        running = await worklist.running(session)
        signed = await statements.of_revisions(session, [revision.id for revision, _ in running])
    tries = await attempts(services.database, JOB, [revision.id for revision, _ in running])
    for revision, deployment in running:
        if revision.bundle is not None and tries.due(revision.id):
            await _look(services, tries, deployment, revision, revision.bundle, signed.get(revision.id))


async def _look(
    services: Services, tries: Attempts, deployment: Deployment, revision: Revision, address: str, kept: Kept | None
) -> None:
    what = f"bundle of {deployment.model_name} version {revision.version}"
    lost = False
    # a registry that does not give this version says nothing of the others; a store of bundles that is away says all
    async with tries.attempt(
        Item(revision.id, what, deployment.tenant, ends=True), through=BundleUnavailable
    ) as attempt:
        try:
            await anyio.to_thread.run_sync(services.bundles.fetch, address)
        except BundleDamaged as damaged:
            async with try_lock(services.database, lock_name(revision.digest)) as held:
                if held:
                    lost = True
                    await _told(services, deployment, revision, damaged.detail)
                    await _rebuild(services, deployment, revision, kept)
        else:
            if kept is not None:
                await anyio.to_thread.run_sync(_put_back, services, revision, address, kept)
    if lost and attempt.error is not None:
        again = f"The bundle of revision {revision.number} is missing and could not be built again: {attempt.sentence}"
        await hold_up(services, deployment.id, again)


async def _told(services: Services, deployment: Deployment, revision: Revision, why: str) -> None:
    log.error("the bundle of a running revision is gone", revision=revision.id, reason=why)
    again = f"The bundle of revision {revision.number} is missing. Version {revision.version} is being built again."
    await hold_up(services, deployment.id, again)


def _put_back(services: Services, revision: Revision, address: str, kept: Kept) -> None:
    """Write the statement beside the bundle again when it is not there: the table holds the envelope."""
    name = statement_file(revision.id)
    if services.bundles.beside(address, name) is None:
        statements.hand_out(services, address, name, kept.envelope.encode())
        log.warning("a lost statement was put back", revision=revision.id)


class CannotRebuild(CannotBeDone):
    """The version does not build any more, or its approval does not hold any more; the sentence says which."""


async def _rebuild(services: Services, deployment: Deployment, revision: Revision, kept: Kept | None) -> None:
    if kept is not None and revision.review_since is not None:
        raise CannotRebuild("it is due for review; deploy the version again.")
    name, version = deployment.model_name, revision.version
    built = await obtain(services, name, version, revision.digest, list(revision.feature_refs))
    if built.bundle is None:
        raise CannotRebuild(built.sentence)
    await services.signer.verify(built.bundle)
    address = await anyio.to_thread.run_sync(services.bundles.publish, built.bundle)
    signed = None
    if kept is not None:
        async with services.database.read_session() as session:
            newest = await gates.newest(session, name, version, revision.digest)
        results = [GateResult(one.gate, one.status, one.sentence) for one in newest.values()]
        try:
            signed = await statements.sign(
                services, subject_of(deployment, revision), built.bundle, address, results, until=kept.valid_until
            )
        except NotProven as missing:
            raise CannotRebuild(f"the audit log does not prove the approval: {missing}") from missing
    async with services.database.session() as session:
        row, place = await revisions.locked(session, revision.id)
        # it was ended meanwhile: then nothing is to be served
        if row.state not in RUNNING:
            return
        await revisions.record_rebuild(session, place, row, address, built.key, ACTOR)
        if signed is not None:
            await statements.keep(session, signed)
    await services.runtime.apply(spec_of(services, deployment, row))
