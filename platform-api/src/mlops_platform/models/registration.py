"""Creating and deleting versions, in the registry and in the catalogue.

The registry is called before the commit. If the commit then fails, the registry has done it and the catalogue has not: a
version that was created appears with the next pass of the registry mirror; one that was deleted stays in the catalogue, and
deleting it again succeeds.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from sqlalchemy import delete, func, select, update

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.checks import gates
from mlops_platform.checks import service as checks
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import Conflict, Invalid
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.subjects import same_person
from mlops_platform.models import flavours, mirror, repository
from mlops_platform.models.interfaces import ModelRegistry, NotInRegistry
from mlops_platform.models.schemas import Deleted, RegisterRequest, RegisterResponse
from mlops_platform.models.service import ModelNotFound, get_version
from mlops_platform.models.stages import Stage
from mlops_platform.models.tables import ModelRow, ModelVersionRow

# answers whether a version (any when None) of a model is deployed; the deployments room knows
DeployedCheck = Callable[[ReadSession | Session, str, int | None], Awaitable[bool]]


# what was in production is evidence: its owner alone does not delete it
_GOVERNED: frozenset[Stage] = frozenset({"production", "deprecated", "retired"})


class VersionNumberTaken(Conflict):
    """The registry would give another number."""

    def __init__(self, name: str, asked: str, following: int) -> None:
        super().__init__(
            f"Version {asked} of '{name}' cannot be created: the next number is {following}. Leave 'version' out to take it."
        )


class AnotherTenantsModel(Conflict):
    """The name belongs to another team."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The name '{name}' is taken by another team; choose another name.")


class FlavourNotServed(Invalid):
    """The model is of a kind that no build would take."""

    title = "A model of this flavour is not served"

    def __init__(self, sentence: str) -> None:
        super().__init__(f"{sentence} Nothing was registered.", errors=[{"pointer": "/model_uri", "detail": sentence}])


class StillDeployed(Conflict):
    """A deployed version cannot be deleted."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is deployed; undeploy it first (`mlops deployments undeploy`).")


async def register(
    session: Session, registry: ModelRegistry, caller: Principal, request: RegisterRequest
) -> RegisterResponse:
    """Create a version in the registry and the catalogue, owned by the caller's tenant.

    Raises VersionNumberTaken when a number was asked for that is not the next, AnotherTenantsModel, FlavourNotServed,
    NotInRegistry (the model URI names nothing) and RegistryUnavailable; then nothing was created.
    """
    metadata = request.metadata
    # two registrations of one name wait for each other, so that the promised number is the one given
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(metadata.name, 0))))
    known = await repository.model(session, None, metadata.name)
    if known and known[0].tenant != caller.tenant:
        raise AnotherTenantsModel(metadata.name)
    if metadata.version:
        following = await _next_number(registry, metadata.name)
        if int(metadata.version) != following:
            raise VersionNumberTaken(metadata.name, metadata.version, following)
    tags = {
        **metadata.tags,
        "risk_level": metadata.risk_level,
        "owner": metadata.owner,
        "tenant": caller.tenant,
        "registered_by": caller.subject,
    }
    if request.training_dataset_uri:
        tags["training_dataset_uri"] = request.training_dataset_uri
    content = await registry.description(request.model_uri, tenant=caller.tenant)
    found = flavours.finding(content)
    if found.status == "failed":
        raise FlavourNotServed(found.sentence)
    version = await registry.register(
        metadata.name,
        request.model_uri,
        tenant=caller.tenant,
        tags=tags,
        description=metadata.description,
        model_tags={"owner": metadata.owner, "tenant": caller.tenant},
    )
    await mirror.put_model(session, await registry.get_model(metadata.name))
    parameters = {name: str(value) for name, value in request.parameters.items()}
    await mirror.put_version(
        session,
        replace(version, metrics={**version.metrics, **request.metrics}, params={**version.params, **parameters}),
        {},
        caller,
    )
    if content is not None:
        await checks.record(
            session, version.name, version.version, found.check, found.status, found.sentence, found.detail
        )
    level = await session.scalar(
        select(ModelVersionRow.risk_level).where(
            ModelVersionRow.name == version.name, ModelVersionRow.version == version.version
        )
    )
    await audit.record(
        session,
        action=Action.MODEL_VERSION_REGISTERED,
        actor=caller,
        resource=f"model:{version.name}:{version.version}",
        tenant=caller.tenant,
        details={
            "run_id": version.run_id,
            "source": version.source,
            "risk_level": level,
            "declared": metadata.risk_level,
        },
    )
    message = f"Version {version.version} of {version.name} is registered; deploy it with `mlops deploy {version.name} {version.version} --to staging`."
    return RegisterResponse(
        model_name=version.name, model_version=str(version.version), run_id=version.run_id, message=message
    )


async def _next_number(registry: ModelRegistry, name: str) -> int:
    try:
        return (await registry.get_version(name, None)).version + 1
    except NotInRegistry:
        return 1


async def delete_version(
    session: Session,
    registry: ModelRegistry,
    authorizer: Authorizer,
    caller: Principal,
    name: str,
    version: str,
    deployed: DeployedCheck,
) -> Deleted:
    """Delete a version everywhere; its owner may, until it is in production.

    Raises ModelVersionNotFound, NotPermitted, StillDeployed and RegistryUnavailable.
    """
    view = await get_version(session, caller, name, version)
    own = same_person(view.owner, caller.subject) and view.stage not in _GOVERNED
    demand(authorizer, caller, "model:delete", view.tenant, own=own)
    if await deployed(session, name, view.version):
        raise StillDeployed(f"Version {view.version} of '{name}'")
    await audit.record(
        session,
        action=Action.MODEL_VERSION_DELETED,
        actor=caller,
        resource=f"model:{name}:{view.version}",
        tenant=view.tenant,
        details={"digest": view.digest},
    )
    await checks.forget(session, name, view.version)
    await gates.forget(session, name, view.version)
    await session.execute(
        delete(ModelVersionRow).where(ModelVersionRow.name == name, ModelVersionRow.version == view.version)
    )
    latest = select(func.max(ModelVersionRow.version)).where(ModelVersionRow.name == name).scalar_subquery()
    await session.execute(update(ModelRow).where(ModelRow.name == name).values(latest_version=latest))
    # last, so that a registry that refuses rolls the rest back; deleting twice is fine there
    await registry.delete_version(name, view.version)
    return Deleted(model_name=name, model_version=str(view.version))


async def delete_model(
    session: Session,
    registry: ModelRegistry,
    authorizer: Authorizer,
    caller: Principal,
    name: str,
    deployed: DeployedCheck,
) -> Deleted:
    """Delete a model with all its versions; who owns every one of them may, while none is in production.

    Raises ModelNotFound, NotPermitted, StillDeployed and RegistryUnavailable.
    """
    found = await repository.model(session, caller, name)
    if found is None:
        raise ModelNotFound(name)
    owners, stages = await repository.owners_and_stages(session, name)
    own = all(same_person(owner, caller.subject) for owner in owners) and bool(owners) and stages.isdisjoint(_GOVERNED)
    demand(authorizer, caller, "model:delete", found[0].tenant, own=own)
    if await deployed(session, name, None):
        raise StillDeployed(f"'{name}'")
    await audit.record(
        session, action=Action.MODEL_DELETED, actor=caller, resource=f"model:{name}", tenant=found[0].tenant, details={}
    )
    await checks.forget(session, name)
    await gates.forget(session, name)
    await session.execute(delete(ModelRow).where(ModelRow.name == name))
    await registry.delete_model(name)
    return Deleted(model_name=name, model_version=None)
