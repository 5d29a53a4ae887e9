"""The catalogue as the risk room sees it, and how a version's tags become a level: raised at once, never lowered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import Database, ReadSession, Session
from mlops_platform.identity.principal import Principal
from mlops_platform.models.tables import ModelRow, ModelVersionRow
from mlops_platform.policy.definition import RiskLevel
from mlops_platform.risk import service as risk
from mlops_platform.risk.interfaces import Holder, Holders
from mlops_platform.risk.levels import after_declaration, is_higher
from mlops_platform.risk.schemas import Source
from mlops_platform.risk.scoring import declared_level

MIRROR = SystemActor("registry-mirror")


class Catalogue(Holders):
    """Versions by digest."""

    async def of(self, session: ReadSession | Session, digest: str) -> Sequence[Holder]:
        """Return every version with this digest, of every tenant, by name and number."""
        query = select(ModelVersionRow, ModelRow).join(ModelRow, ModelRow.name == ModelVersionRow.name)
        query = query.where(ModelVersionRow.digest == digest).order_by(ModelVersionRow.name, ModelVersionRow.version)
        rows = (await session.execute(query)).all()
        return [Holder(row.name, row.version, model.tenant, _responsible(row, model)) for row, model in rows]

    async def show(self, session: Session, digest: str, level: RiskLevel) -> None:
        """Show this level for every version with the digest; the caller holds the lock of its risk record."""
        held = select(ModelVersionRow.name, ModelVersionRow.version).where(
            ModelVersionRow.digest == digest, ModelVersionRow.risk_level != level
        )
        # in one order, so that two of them never wait for each other
        keys = (await session.execute(held.order_by(ModelVersionRow.name, ModelVersionRow.version))).all()
        for name, version in keys:
            await session.execute(
                update(ModelVersionRow)
                .where(ModelVersionRow.name == name, ModelVersionRow.version == version)
                .values(risk_level=level)
            )


def _responsible(row: ModelVersionRow, model: ModelRow) -> frozenset[str]:
    named = (row.tags.get("owner") or model.owner, row.tags.get("registered_by"))
    return frozenset(name for name in named if name)


@dataclass(frozen=True)
class Declared:
    """What the tags of a version say now, what they said when they were last read, and what that makes of its level."""

    level: RiskLevel
    said: RiskLevel
    is_new: bool = True
    said_before: RiskLevel | None = None
    level_before: RiskLevel | None = None
    digest: str | None = None


async def declared(
    session: Session, name: str, version: int, source: str, said: RiskLevel, tenant: str, actor: Principal | SystemActor
) -> Declared:
    """Return the level of a version whose tags say `said`; its risk record, when its bytes are known, is raised at once.

    A version that is new has at least the level of what was registered from the same source before.
    """
    row = await session.get(ModelVersionRow, (name, version), populate_existing=True)
    if row is None:
        same = select(ModelVersionRow.risk_level).where(ModelVersionRow.source == source).distinct()
        known = list((await session.execute(same)).scalars())
        return Declared(risk.first_level(said, known), said)
    if row.digest is None:
        # locked: its bytes may become known, and classified, at this moment
        await session.refresh(row, with_for_update=True)
    before = row.risk_declared
    if row.digest is None:
        level = after_declaration(row.risk_level, said, before)
        return Declared(level, said, False, before, row.risk_level)
    known_level = await risk.level_of(session, row.digest)
    level = after_declaration(known_level, said, before)
    if is_higher(level, known_level):
        level = await risk.classify(
            session,
            Catalogue(),
            digest=row.digest,
            level=level,
            source="tag",
            reason=f"the tag risk_level of {name} {version} says {said}",
            actor=actor,
            tenant=tenant,
        )
    return Declared(level, said, False, before, known_level, row.digest)


async def record_change(
    session: Session, name: str, version: int, found: Declared, tenant: str, actor: Principal | SystemActor
) -> None:
    """Record what the tags of a known version changed, or tried to change. The record of a digest has its own event."""
    if found.is_new or found.level_before is None or found.said == found.said_before:
        return
    resource = f"model:{name}:{version}"
    if found.digest is None and is_higher(found.level, found.level_before):
        reason = "the tag risk_level was changed"
        details = {"from": found.level_before, "level": found.level, "source": "tag", "reason": reason}
        await audit.record(
            session, action=Action.RISK_LEVEL_SET, actor=actor, resource=resource, tenant=tenant, details=details
        )
    elif is_higher(found.level, found.said):
        ignored = {"level": found.level, "declared": found.said, "digest": found.digest}
        await audit.record(
            session, action=Action.RISK_LOWERING_IGNORED, actor=actor, resource=resource, tenant=tenant, details=ignored
        )


async def declare_again(session: Session, name: str, version: int, said: RiskLevel, warning: str | None) -> None:
    """Take over what the tags of a model say now for one of its versions that has no such tag of its own."""
    row = await session.get(ModelVersionRow, (name, version))
    if row is None:
        return
    tenant = await session.scalar(select(ModelRow.tenant).where(ModelRow.name == name)) or ""
    found = await declared(session, name, version, row.source, said, tenant, MIRROR)
    await session.execute(
        update(ModelVersionRow)
        .where(ModelVersionRow.name == name, ModelVersionRow.version == version)
        .values(risk_level=found.level, risk_declared=said, risk_warning=warning)
    )
    await record_change(session, name, version, found, tenant, MIRROR)


async def declare_versions(database: Database, name: str, model_tags: dict[str, str]) -> None:
    """Take over what the tags of a model say now for each of its versions that has no such tag of its own."""
    said, warning = declared_level({}, model_tags)
    async with database.read_session() as reading:
        numbers = await inheriting(reading, name, said)
    for number in numbers:
        # each by itself: a risk record is locked before an event is written
        async with database.session() as session:
            await declare_again(session, name, number, said, warning)


async def inheriting(session: ReadSession, name: str, said: RiskLevel) -> list[int]:
    """Return the versions of a model that take their level from its tags and were read when those said something else."""
    query = select(ModelVersionRow.version).where(
        ModelVersionRow.name == name,
        ~ModelVersionRow.tags.has_key("risk_level"),
        ModelVersionRow.risk_declared.is_distinct_from(said),
    )
    return list((await session.execute(query.order_by(ModelVersionRow.version))).scalars())


async def levels(session: Session, name: str) -> dict[int, RiskLevel]:
    """Return the level of every version of a model."""
    query = select(ModelVersionRow.version, ModelVersionRow.risk_level).where(ModelVersionRow.name == name)
    return {row.version: row.risk_level for row in await session.execute(query)}


async def keep_levels(session: Session, name: str, before: Mapping[int, RiskLevel]) -> None:
    """Raise each version of a model to the level it had under its name before."""
    now = await levels(session, name)
    for version, level in sorted(before.items()):
        if version in now and is_higher(level, now[version]):
            await session.execute(
                update(ModelVersionRow)
                .where(ModelVersionRow.name == name, ModelVersionRow.version == version)
                .values(risk_level=level)
            )


def source_of(warning: str | None) -> Source:
    """Return where a declared level came from: a warning says that no tag named one."""
    return "tag" if warning is None else "default"
