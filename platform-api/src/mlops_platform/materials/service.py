"""What a version is loaded in, from what its build recorded, beside the version that is live."""

from typing import Any

import anyio

from mlops_platform.checks import service as checks
from mlops_platform.checks.schemas import CheckResult
from mlops_platform.database.session import ReadSession
from mlops_platform.deployments import service as deployments
from mlops_platform.environment_locks.advisories import Advisories, AdvisoriesUnreadable
from mlops_platform.environment_locks.difference import changes
from mlops_platform.identity.principal import Principal
from mlops_platform.materials.known import KnownAdvisories
from mlops_platform.materials.schemas import LibraryChange, LibraryView, Materials, VulnerabilityView
from mlops_platform.models import service as models
from mlops_platform.policy.definition import Environment

CHECK = "environment"
_NOT_BUILT = "not recorded yet: the build of this version writes them down; ask for a deployment"
_BUILT_BEFORE = "not recorded: the version was built before this was; its next build writes them down"


async def of_version(
    session: ReadSession,
    known: KnownAdvisories,
    caller: Principal,
    name: str,
    version: str,
    environment: Environment,
) -> Materials:
    """Return the libraries of a version, and how they differ from the one that is live there. Raises as reading a version does."""
    view = await models.get_version(session, caller, name, version)
    found = await _recorded(session, name, view.version)
    live = await deployments.live_version(session, name, environment)
    if live == view.version:
        live = None
    before = None if live is None else await _recorded(session, name, live)
    packages = _packages(found)
    compared = live if before is not None and _packages(before) and packages else None
    records, not_read = await _advisories(known)
    facts = {} if found is None else found.detail
    return Materials(
        model_name=name,
        model_version=view.version,
        digest=view.digest or "",
        kind=facts.get("kind", "unknown"),
        sentence=_NOT_BUILT if found is None else found.sentence if packages else _BUILT_BEFORE,
        environment=facts.get("environment"),
        python=facts.get("python"),
        recorded_at=None if found is None else found.at,
        libraries=[
            LibraryView(name=each, version=number, licence=(facts.get("licences") or {}).get(each))
            for each, number in sorted(packages.items())
        ],
        compared_with=compared,
        changes=[]
        if compared is None
        else [LibraryChange(**vars(each)) for each in changes(_packages(before), packages)],
        vulnerabilities=None if records is None else [VulnerabilityView(**vars(each)) for each in records.of(packages)],
        advisories=None if records is None else records.count,
        not_read=not_read,
    )


async def _advisories(known: KnownAdvisories) -> tuple[Advisories | None, str | None]:
    try:
        return await anyio.to_thread.run_sync(known.get), None
    except AdvisoriesUnreadable as unreadable:
        # said beside the libraries, which are known all the same
        return None, str(unreadable)


async def _recorded(session: ReadSession, name: str, version: int) -> CheckResult | None:
    results = await checks.for_version(session, name, version)
    return next((result for result in results if result.check == CHECK), None)


def _packages(found: CheckResult | None) -> dict[str, Any]:
    return {} if found is None else dict(found.detail.get("packages") or {})
