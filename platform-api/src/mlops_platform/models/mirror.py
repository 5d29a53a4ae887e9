"""Keeping the catalogue equal to the registry."""

import math

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import Session
from mlops_platform.identity.principal import Principal
from mlops_platform.models.classified import MIRROR, declared, record_change
from mlops_platform.models.interfaces import ModelRegistry, RegisteredModel, RegisteredVersion
from mlops_platform.models.tables import ModelRow, ModelVersionRow
from mlops_platform.risk.scoring import declared_level


async def put_model(session: Session, model: RegisteredModel) -> None:
    """Insert or update a model. Its tenant is decided once, by who owns it in the registry: a tag moves it to nobody."""
    values = {
        "description": model.description,
        "owner": model.tags.get("owner"),
        "tags": model.tags,
        "updated_at": model.updated_at,
    }
    statement = insert(ModelRow).values(name=model.name, tenant=model.tenant, created_at=model.created_at, **values)
    # an owner named by a version's tag stays when the model itself names none
    kept_owner = func.coalesce(statement.excluded.owner, ModelRow.owner)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={**values, "owner": kept_owner})
    )


async def put_version(
    session: Session, version: RegisteredVersion, model_tags: dict[str, str], actor: Principal | SystemActor = MIRROR
) -> None:
    """Insert or update a version of a model that is in the catalogue; stage and digest are the platform's own and stay.

    Its tags may raise its risk level; that they would lower it is recorded and changes nothing. A version that `actor` did
    not register over the API is recorded as registered when it is first seen.
    """
    said, warning = declared_level(version.tags, model_tags)
    tenant = await session.scalar(select(ModelRow.tenant).where(ModelRow.name == version.name))
    assert tenant is not None, "its model is put first"
    found = await declared(session, version.name, version.version, version.source, said, tenant, actor)
    values = {
        "run_id": version.run_id,
        "source": version.source,
        "status": version.status,
        "description": version.description,
        "risk_level": found.level,
        "risk_declared": said,
        "risk_warning": warning,
        "tags": version.tags,
        # a run may have logged NaN: JSON has no such number, and no gate may be passed by it
        "metrics": {name: value for name, value in version.metrics.items() if math.isfinite(value)},
        "params": version.params,
        "lineage": version.lineage,
        "artifact_location": version.artifact_location,
        "registry_updated_at": version.updated_at,
    }
    statement = insert(ModelVersionRow).values(
        name=version.name, version=version.version, stage="development", created_at=version.created_at, **values
    )
    await session.execute(statement.on_conflict_do_update(index_elements=["name", "version"], set_=values))
    latest = select(func.max(ModelVersionRow.version)).where(ModelVersionRow.name == version.name).scalar_subquery()
    changes: dict[str, object] = {"latest_version": latest}
    if owner := version.tags.get("owner"):
        changes["owner"] = func.coalesce(ModelRow.owner, owner)
    await session.execute(update(ModelRow).where(ModelRow.name == version.name).values(**changes))
    await record_change(session, version.name, version.version, found, tenant, actor)
    if found.is_new and isinstance(actor, SystemActor):
        await audit.record(
            session,
            action=Action.MODEL_VERSION_REGISTERED,
            actor=actor,
            resource=f"model:{version.name}:{version.version}",
            tenant=tenant,
            details={
                "run_id": version.run_id,
                "source": version.source,
                "risk_level": found.level,
                "declared": said if warning is None else None,
                "through": "mlflow",
            },
        )


async def copy(
    session: Session,
    registry: ModelRegistry,
    name: str,
    number: int | None,
    actor: Principal | SystemActor = MIRROR,
) -> int:
    """Copy one version (None: the highest) and its model from the registry; return its number. Raises NotInRegistry.

    `actor` is who changed it: what follows for its risk level is recorded as theirs.
    """
    version = await registry.get_version(name, number)
    model = await registry.get_model(name)
    await put_model(session, model)
    await put_version(session, version, model.tags, actor)
    return version.version
