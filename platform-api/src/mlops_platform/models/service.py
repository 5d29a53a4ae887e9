"""The catalogue: registering, reading, deleting models and versions."""

from sqlalchemy import Update, select, update

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.checks import service as checks
from mlops_platform.checks.card import card
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import Invalid, NotFound
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.paging import Page, decode_cursor, encode_cursor
from mlops_platform.models import mirror, repository
from mlops_platform.models.interfaces import ModelRegistry, NotInRegistry
from mlops_platform.models.schemas import (
    ModelSummary,
    VersionDetail,
    VersionList,
    VersionSummary,
    VersionView,
)
from mlops_platform.models.stages import Stage
from mlops_platform.models.tables import ModelRow, ModelVersionRow

LATEST = "latest"


class ModelNotFound(NotFound):
    """No such model for this caller."""

    title = "There is no such model"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no model named '{name}' that you can see; `mlops models list` shows yours.")


class ModelVersionNotFound(NotFound):
    """No such version for this caller."""

    title = "There is no such model version"

    def __init__(self, name: str, version: str) -> None:
        super().__init__(f"There is no version '{version}' of a model named '{name}' that you can see.")


class NotAVersion(Invalid):
    """The text names no version."""

    def __init__(self, version: str) -> None:
        super().__init__(f"'{version}' is not a version: use a number, or '{LATEST}'.")


def version_number(version: str | int) -> int | None:
    """Return the number a version text names, None for 'latest'. Raises NotAVersion."""
    text = str(version)
    if text == LATEST:
        return None
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 1_000_000_000:  # noqa: PLR2004 - fits the column
        raise NotAVersion(text)
    return int(text)


async def list_models(
    session: ReadSession,
    caller: Principal,
    *,
    search: str | None = None,
    owner: str | None = None,
    risk_level: str | None = None,
    stage: str | None = None,
    tenant: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[ModelSummary]:
    """Return models the caller may see, by name."""
    after = str(decode_cursor(cursor).get("name", "")) if cursor else None
    rows = await repository.models(
        session,
        caller,
        search=search,
        owner=owner,
        risk_level=risk_level,
        stage=stage,
        tenant=tenant,
        after=after,
        limit=limit + 1,
    )
    items = [_summary(model, latest) for model, latest in rows[:limit]]
    return Page(items=items, next_cursor=encode_cursor({"name": items[-1].name}) if len(rows) > limit else None)


async def get_model(session: ReadSession, caller: Principal, name: str) -> ModelSummary:
    """Return a model. Raises ModelNotFound."""
    found = await repository.model(session, caller, name)
    if found is None:
        raise ModelNotFound(name)
    return _summary(*found)


async def list_versions(
    session: ReadSession, caller: Principal, name: str, cursor: str | None = None, limit: int = 50
) -> VersionList:
    """Return a model's versions, newest first. Raises ModelNotFound."""
    before = int(decode_cursor(cursor).get("version", 0)) if cursor else None
    rows = await repository.versions(session, caller, name, before, limit + 1)
    if not rows and await repository.model(session, caller, name) is None:
        raise ModelNotFound(name)
    shown = [
        VersionSummary.model_construct(
            version=str(row.version),
            stage=row.stage,
            status=row.status,
            risk_level=row.risk_level,
            digest=row.digest,
            created_at=row.created_at,
            tags=row.tags,
        )
        for row in rows[:limit]
    ]
    following = encode_cursor({"version": int(shown[-1].version)}) if len(rows) > limit else None
    return VersionList.model_construct(model_name=name, versions=shown, next_cursor=following)


async def get_version(
    session: ReadSession | Session, caller: Principal | None, name: str, version: str | int
) -> VersionView:
    """Return a version ('latest' is the highest). Raises ModelVersionNotFound and NotAVersion."""
    found = await repository.version(session, caller, name, version_number(version))
    if found is None:
        raise ModelVersionNotFound(name, str(version))
    return _view(*found)


async def version_detail(session: ReadSession, caller: Principal, name: str, version: str) -> VersionDetail:
    """Return a version with its checks and its card. Raises ModelVersionNotFound and NotAVersion."""
    view = await get_version(session, caller, name, version)
    results = await checks.for_version(session, name, view.version)
    described = card(
        name=view.model_name,
        version=view.version,
        owner=view.owner,
        description=view.description,
        risk_level=view.risk_level,
        digest=view.digest,
        tags=view.tags,
        metrics=view.metrics,
        lineage=view.lineage,
        checks=results,
    )
    return VersionDetail(**view.model_dump(), checks=results, card=described)


async def ensure_version(
    session: Session, registry: ModelRegistry, caller: Principal | None, name: str, version: str | int
) -> VersionView:
    """Return a version, reading it from the registry first when the catalogue has not seen it (or 'latest' was asked).

    Raises ModelVersionNotFound, NotAVersion and RegistryUnavailable.
    """
    number = version_number(version)
    found = None if number is None else await repository.version(session, caller, name, number)
    if found is None or not found[0].lineage:
        try:
            number = await mirror.copy(session, registry, name, number)
        except NotInRegistry as error:
            raise ModelVersionNotFound(name, str(version)) from error
        found = await repository.version(session, caller, name, number)
    if found is None:
        raise ModelVersionNotFound(name, str(version))
    return _view(*found)


def feature_refs(tags: dict[str, str]) -> list[str]:
    """Return the features a version is served from: its tag `feature_refs`, 'view:feature' separated by commas."""
    return [part.strip() for part in tags.get("feature_refs", "").split(",") if part.strip()]


async def earlier_metrics(session: ReadSession | Session, name: str, version: int) -> dict[str, float] | None:
    """Return the metrics of the version before this one, None when it is the first."""
    query = select(ModelVersionRow.metrics).where(ModelVersionRow.name == name, ModelVersionRow.version < version)
    metrics: dict[str, float] | None = await session.scalar(query.order_by(ModelVersionRow.version.desc()).limit(1))
    return metrics


async def set_stage(
    session: Session,
    name: str,
    version: int,
    stage: Stage,
    actor: Principal | SystemActor,
    tenant: str,
    only_from: Stage | None = None,
) -> None:
    """Move a version to a lifecycle stage (only from the given one when named), with an audit event when that is a change."""
    current = await session.scalar(
        select(ModelVersionRow.stage).where(ModelVersionRow.name == name, ModelVersionRow.version == version)
    )
    if current == stage or (only_from is not None and current != only_from):
        return
    await session.execute(_this(name, version).values(stage=stage))
    await audit.record(
        session,
        action=Action.MODEL_STAGE_CHANGED,
        actor=actor,
        resource=f"model:{name}:{version}",
        tenant=tenant,
        details={"from": current, "to": stage},
    )


async def set_input_schema(session: Session, name: str, version: int, schema: list[dict[str, object]]) -> None:
    """Keep the input schema the build found."""
    await session.execute(_this(name, version).values(input_schema=schema))


def _this(name: str, version: int) -> Update:
    return update(ModelVersionRow).where(ModelVersionRow.name == name, ModelVersionRow.version == version)


def _summary(model: ModelRow, latest: ModelVersionRow | None) -> ModelSummary:
    return ModelSummary.model_construct(
        name=model.name,
        tenant=model.tenant,
        owner=model.owner,
        description=model.description,
        tags=model.tags,
        latest_version=model.latest_version,
        risk_level=latest.risk_level if latest else None,
        stage=latest.stage if latest else None,
        created_at=model.created_at,
        updated_at=model.updated_at,
    )


def _view(row: ModelVersionRow, model: ModelRow) -> VersionView:
    return VersionView.model_construct(
        model_name=row.name,
        version=row.version,
        tenant=model.tenant,
        owner=row.tags.get("owner") or model.owner,
        risk_level=row.risk_level,
        risk_warning=row.risk_warning,
        stage=row.stage,
        status=row.status,
        digest=row.digest,
        run_id=row.run_id,
        source=row.source,
        description=row.description or model.description,
        tags=row.tags,
        metrics=row.metrics,
        params=row.params,
        input_schema=row.input_schema,
        lineage=row.lineage,
        created_at=row.created_at,
    )
