"""Reading the catalogue. Every query starts from what the caller may see."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, or_, select

from mlops_platform.database.session import ReadSession, Session
from mlops_platform.identity.principal import Principal
from mlops_platform.models.stages import Stage
from mlops_platform.models.tables import ModelRow, ModelVersionRow
from mlops_platform.policy.definition import RiskLevel


def visible_to(caller: Principal | None) -> Select[Any]:
    """Return the models a caller may see (None: the platform itself sees all)."""
    query = select(ModelRow)
    return query if caller is None or caller.company_wide else query.where(ModelRow.tenant == caller.tenant)


def _versions_visible_to(caller: Principal | None) -> Select[ModelVersionRow, ModelRow]:
    query = select(ModelVersionRow, ModelRow).join(ModelRow, ModelRow.name == ModelVersionRow.name)
    return query if caller is None or caller.company_wide else query.where(ModelRow.tenant == caller.tenant)


async def model(
    session: ReadSession | Session, caller: Principal | None, name: str
) -> tuple[ModelRow, ModelVersionRow | None] | None:
    """Return a model and its latest version."""
    latest = and_(ModelVersionRow.name == ModelRow.name, ModelVersionRow.version == ModelRow.latest_version)
    query = (
        visible_to(caller).add_columns(ModelVersionRow).outerjoin(ModelVersionRow, latest).where(ModelRow.name == name)
    )
    row = (await session.execute(query)).one_or_none()
    return (row[0], row[1]) if row else None


async def models(
    session: ReadSession,
    caller: Principal,
    *,
    search: str | None,
    owner: str | None,
    risk_level: str | None,
    stage: str | None,
    tenant: str | None,
    after: str | None,
    limit: int,
) -> list[tuple[ModelRow, ModelVersionRow | None]]:
    """Return models by name, each with its latest version."""
    latest = and_(ModelVersionRow.name == ModelRow.name, ModelVersionRow.version == ModelRow.latest_version)
    query = visible_to(caller).add_columns(ModelVersionRow).outerjoin(ModelVersionRow, latest)
    if search:
        query = query.where(
            or_(
                ModelRow.name.icontains(search, autoescape=True),
                ModelRow.description.icontains(search, autoescape=True),
            )
        )
    if owner:
        query = query.where(ModelRow.owner == owner)
    if tenant:
        query = query.where(ModelRow.tenant == tenant)
    if risk_level:
        query = query.where(ModelVersionRow.risk_level == risk_level)
    if stage:
        query = query.where(ModelVersionRow.stage == stage)
    if after:
        query = query.where(ModelRow.name > after)
    rows = await session.execute(query.order_by(ModelRow.name).limit(limit))
    return [(row[0], row[1]) for row in rows]


async def version(
    session: ReadSession | Session, caller: Principal | None, name: str, number: int | None
) -> tuple[ModelVersionRow, ModelRow] | None:
    """Return a version with its model; None as a number means the latest."""
    query = _versions_visible_to(caller).where(ModelVersionRow.name == name)
    query = query.where(ModelVersionRow.version == (ModelRow.latest_version if number is None else number))
    row = (await session.execute(query)).one_or_none()
    return (row[0], row[1]) if row else None


async def versions(
    session: ReadSession, caller: Principal, name: str, before: int | None, limit: int
) -> Sequence[Row[int, Stage, str, RiskLevel, str | None, datetime, dict[str, str]]]:
    """Return the lines of a model's version list, newest first: only what a line shows, for a version's JSON can be long."""
    line = ModelVersionRow
    query = (
        select(line.version, line.stage, line.status, line.risk_level, line.digest, line.created_at, line.tags)
        .where(line.name == name)
        .where(visible_to(caller).where(ModelRow.name == name).exists())
    )
    if before is not None:
        query = query.where(line.version < before)
    return (await session.execute(query.order_by(line.version.desc()).limit(limit))).all()


async def owners_and_stages(session: ReadSession | Session, name: str) -> tuple[set[str | None], set[str]]:
    """Return who owns the versions of a model (their tag, else the model's), and the stages they are in."""
    query = select(ModelVersionRow.tags["owner"].astext, ModelRow.owner, ModelVersionRow.stage).join(
        ModelRow, ModelRow.name == ModelVersionRow.name
    )
    rows = (await session.execute(query.where(ModelVersionRow.name == name))).all()
    return {own or inherited for own, inherited, _ in rows}, {stage for _, _, stage in rows}
