"""What the catalogue holds of the registry: whose a name is, which bytes belong to a version. The door of MLflow asks."""

from collections.abc import Sequence

from sqlalchemy import delete, func, or_, select

from mlops_platform.audit.schemas import SystemActor
from mlops_platform.checks import gates
from mlops_platform.checks import service as checks
from mlops_platform.database.session import Database, ReadSession, Session
from mlops_platform.identity.principal import Principal
from mlops_platform.models import classified, mirror
from mlops_platform.models.interfaces import ModelRegistry, NotInRegistry
from mlops_platform.models.tables import ModelRow, ModelVersionRow


async def lock_names(session: Session, *names: str) -> None:
    """Let two changes of one name wait for each other until the transaction ends; names are locked in one order."""
    for name in sorted(set(names)):
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def tenant_of(session: ReadSession | Session, name: str) -> str | None:
    """Return the tenant that owns a name, None when nobody does."""
    return await session.scalar(select(ModelRow.tenant).where(ModelRow.name == name))


async def past_development(session: ReadSession | Session, name: str) -> bool:
    """Return whether a version of the model has left the stage development."""
    query = select(ModelVersionRow.version).where(ModelVersionRow.name == name, ModelVersionRow.stage != "development")
    return (await session.execute(query.limit(1))).first() is not None


async def persons_of(session: ReadSession | Session, name: str, version: int | None) -> set[str]:
    """Return who owns a model (a version) or registered a version of it."""
    query = (
        select(ModelRow.owner, ModelVersionRow.tags["owner"].astext, ModelVersionRow.tags["registered_by"].astext)
        .outerjoin(ModelVersionRow, ModelVersionRow.name == ModelRow.name)
        .where(ModelRow.name == name)
    )
    if version is not None:
        query = query.where(ModelVersionRow.version == version)
    return {person for row in await session.execute(query) for person in row if person}


async def holds_place(session: ReadSession | Session, places: Sequence[str], below: str | None = None) -> bool:
    """Return whether a version's bytes lie at one of these places, or anywhere below one."""
    at = ModelVersionRow.artifact_location
    inside = [] if below is None else [at == below, at.startswith(f"{below}/", autoescape=True)]
    wanted = or_(at.in_(places), *inside)
    return (await session.execute(select(ModelVersionRow.version).where(wanted).limit(1))).first() is not None


async def holds_run(session: ReadSession | Session, run_id: str) -> bool:
    """Return whether a version was registered from a run."""
    query = select(ModelVersionRow.version).where(ModelVersionRow.run_id == run_id)
    return (await session.execute(query.limit(1))).first() is not None


async def holds_logged_model(session: ReadSession | Session, model_id: str) -> bool:
    """Return whether a version was registered from a logged model."""
    query = select(ModelVersionRow.version).where(
        or_(
            ModelVersionRow.source == f"models:/{model_id}",
            ModelVersionRow.lineage["model_id"].astext == model_id,
            ModelVersionRow.artifact_location.contains(f"/models/{model_id}/", autoescape=True),
        )
    )
    return (await session.execute(query.limit(1))).first() is not None


async def copy(
    session: Session,
    registry: ModelRegistry,
    name: str,
    version: int | None,
    actor: Principal | SystemActor = classified.MIRROR,
) -> bool:
    """Make the catalogue equal to the registry for a model, and for one version of it when a number is given.

    A version that a person registers has an event of theirs; give them as `actor`, and there is no second one. Returns False for what the registry does not list as a model: nothing, or a prompt.
    """
    try:
        if version is not None:
            await mirror.copy(session, registry, name, version, actor)
        else:
            await mirror.put_model(session, await registry.get_model(name))
    except NotInRegistry:
        return False
    return True


async def take_over_risk(database: Database, registry: ModelRegistry, name: str) -> None:
    """Let versions that have no risk level of their own follow what the model's tags say in the registry now.

    Each version in a transaction of its own, before the caller's writes an event: that is the order of locks.
    """
    try:
        model = await registry.get_model(name)
    except NotInRegistry:
        return
    await classified.declare_versions(database, name, model.tags)


async def renamed(
    session: Session,
    registry: ModelRegistry,
    name: str,
    new_name: str,
    actor: Principal | SystemActor = classified.MIRROR,
) -> None:
    """Replace a model in the catalogue by the registry's model of its new name, with every version.

    Another name makes nothing less risky: each version keeps at least the level it had.
    """
    levels = await classified.levels(session, name)
    await checks.forget(session, name)
    await gates.forget(session, name)
    await session.execute(delete(ModelRow).where(ModelRow.name == name))
    await copy(session, registry, new_name, None)
    try:
        highest = (await registry.get_version(new_name, None)).version
    except NotInRegistry:
        return
    for number in range(1, highest + 1):
        await copy(session, registry, new_name, number, actor)
    await classified.keep_levels(session, new_name, levels)
