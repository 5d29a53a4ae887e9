"""Libraries of models that run are put back when they are gone, and those that no bundle names are removed after a while."""

import anyio
import structlog

from mlops_platform.builds.interfaces import BundleDamaged, BundleUnavailable
from mlops_platform.dependencies import Services
from mlops_platform.deployments import worklist
from mlops_platform.environment_locks.service import provide_again
from mlops_platform.environment_locks.use import users
from mlops_platform.failing.attempts import Item, attempts
from model_server.libraries.found import named_in

log = structlog.get_logger(__name__)
JOB = "lost-libraries"


async def install_again(services: Services) -> None:
    """Install what a running revision is served in, from the lock signed with its bundle, each by itself."""
    if services.settings.serving != "local":
        # pods bring theirs from S3
        return
    async with services.database.read_session() as session:
        running = await worklist.running(session)
    tries = await attempts(services.database, JOB, [revision.id for revision, _ in running])
    for revision, deployment in running:
        if revision.bundle is None or not tries.due(revision.id):
            continue
        what = f"libraries of {deployment.model_name} version {revision.version}"
        item = Item(revision.id, what, deployment.tenant)
        async with tries.attempt(item, through=BundleUnavailable):
            try:
                bundle = await anyio.to_thread.run_sync(services.bundles.fetch, revision.bundle)
            except BundleDamaged:
                # built again by another job, with its libraries
                continue
            if await anyio.to_thread.run_sync(named_in, bundle) is None:
                continue
            await services.signer.verify(bundle)
            if await anyio.to_thread.run_sync(provide_again, services.environments, bundle):
                log.warning("lost libraries were installed again", revision=revision.id)


async def collect(services: Services) -> None:
    """Remove libraries that no bundle on this machine names, and that nobody wanted for MLOPS_ENVIRONMENTS_KEEP_HOURS."""
    removed = await anyio.to_thread.run_sync(_collect, services)
    for name in removed:
        log.info("an environment that no bundle names was removed", environment=name)


def _collect(services: Services) -> list[str]:
    kept = users(services.settings.bundle_dir)
    return services.environments.collect(kept, services.settings.environments_keep_hours * 3_600)
