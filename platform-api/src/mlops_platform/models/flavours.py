"""What kind of model a version is, told when it is registered: from its MLmodel file, before anything of it is downloaded."""

import structlog
from sqlalchemy import select

from mlops_platform.checks import service as checks
from mlops_platform.checks.scoring import Finding
from mlops_platform.dependencies import Services
from mlops_platform.failing.attempts import Item, attempts
from mlops_platform.models.tables import ModelRow, ModelVersionRow
from model_server.formats.artifact import chosen, parsed
from model_server.refusals import Refused

log = structlog.get_logger(__name__)

CHECK = "flavour"
_AT_ONCE = 50


def finding(content: bytes | None) -> Finding:
    """Judge an MLmodel file; None when there is none, which is for the build to judge by the files."""
    if content is None:
        return Finding(CHECK, "warning", "no MLmodel file was found; the build decides by the model's files", {})
    try:
        flavour = chosen(parsed(content))
    except Refused as refusal:
        return Finding(CHECK, "failed", refusal.sentence, {"reason": refusal.code})
    detail = {"flavour": flavour.name, "code": flavour.code}
    if flavour.code == "declared":
        sentence = (
            f"{flavour.name}, with code of its own: it runs in confined processes only, and where the policy allows it"
        )
        return Finding(CHECK, "warning", sentence, detail)
    return Finding(CHECK, "passed", f"{flavour.name} is served", detail)


async def check_new(services: Services) -> None:
    """Check the versions that have no such check: those that came by plain MLflow. One that cannot be read holds up no other.

    Raises RegistryUnavailable; then the next pass begins where this one began.
    """
    line = ModelVersionRow
    query = select(line.name, line.version, ModelRow.tenant).join(ModelRow, ModelRow.name == line.name)
    unchecked = query.where(checks.lacks(CHECK, line.name.expression, line.version.expression))
    async with services.database.read_session() as session:
        rows = (await session.execute(unchecked.order_by(line.created_at.desc()).limit(_AT_ONCE))).all()
    waiting = [(row.name, row.version, row.tenant) for row in rows]
    tries = await attempts(services.database, "flavour-checks")
    for name, version, tenant in waiting:
        item = Item(f"{name}:{version}", f"flavour of {name} version {version}", tenant, ends=True)
        if tries.due(item.id):
            async with tries.attempt(item):
                await _check(services, name, version, tenant)


async def _check(services: Services, name: str, version: int, tenant: str) -> None:
    found = finding(await services.registry.description(f"models:/{name}/{version}", tenant=tenant))
    async with services.database.session() as session:
        # gone meanwhile: its row is what a check belongs to
        if await session.get(ModelVersionRow, (name, version)) is not None:
            await checks.record(session, name, version, found.check, found.status, found.sentence, found.detail)
