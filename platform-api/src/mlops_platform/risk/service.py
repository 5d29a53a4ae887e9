"""The risk record of a digest: raised at once, lowered only by two people, and every change an audit event.

Locks: the record's row, then rows of the catalogue; the audit tree at the commit.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.policy.definition import RiskLevel
from mlops_platform.risk.interfaces import Holders
from mlops_platform.risk.levels import UNKNOWN, highest, is_higher
from mlops_platform.risk.schemas import Source
from mlops_platform.risk.tables import RiskRecordRow

Actor = Principal | SystemActor


async def level_of(session: ReadSession | Session, digest: str | None) -> RiskLevel:
    """Return the level of exactly these bytes; medium when nobody has classified them."""
    level = await session.scalar(select(RiskRecordRow.level).where(RiskRecordRow.digest == digest))
    return level or UNKNOWN


async def is_recorded(session: ReadSession | Session, digest: str) -> bool:
    """Return whether these bytes have a risk record."""
    return await session.scalar(select(RiskRecordRow.digest).where(RiskRecordRow.digest == digest)) is not None


async def raised(session: ReadSession | Session, agreed: Mapping[str, RiskLevel]) -> dict[str, RiskLevel]:
    """Return the digests whose level is higher now than the one that people agreed to, with the level now.

    `agreed`: the level each digest had when its approval was asked for.
    """
    query = select(RiskRecordRow.digest, RiskRecordRow.level).where(RiskRecordRow.digest.in_(agreed))
    rows = (await session.execute(query)).all()
    return {digest: level for digest, level in rows if is_higher(level, agreed[digest])}


async def classify(
    session: Session,
    holders: Holders,
    *,
    digest: str,
    level: RiskLevel,
    source: Source,
    reason: str,
    actor: Actor,
    tenant: str,
) -> RiskLevel:
    """Say that exactly these bytes are at least this risky, and return their level after it.

    The first word makes the record; a higher one raises it at once; a lower one changes nothing, and neither does 'default':
    that nobody named a level is no statement against one. This is where an assessed questionnaire belongs: its level with
    source 'questionnaire'.
    """
    row, is_new = await locked_record(session, digest, level, source, reason, actor)
    if is_new or (source != "default" and is_higher(level, row.level)):
        await set_level(session, holders, row, level, source, reason, actor, tenant, is_new=is_new)
    else:
        await holders.show(session, digest, row.level)
    return row.level


async def locked_record(
    session: Session, digest: str, level: RiskLevel, source: Source, reason: str, actor: Actor
) -> tuple[RiskRecordRow, bool]:
    """Return the record of a digest, locked until the transaction ends, and whether it was made with these values just now."""
    values = {"level": level, "source": source, "changed_by": _name(actor), "changed_at": now(), "reason": reason}
    made = insert(RiskRecordRow).values(digest=digest, changes=0, **values).on_conflict_do_nothing()
    is_new = (await session.execute(made.returning(RiskRecordRow.digest))).first() is not None
    query = select(RiskRecordRow).where(RiskRecordRow.digest == digest).with_for_update()
    return (await session.execute(query.execution_options(populate_existing=True))).scalar_one(), is_new


async def set_level(
    session: Session,
    holders: Holders,
    row: RiskRecordRow,
    level: RiskLevel,
    source: Source,
    reason: str,
    actor: Actor,
    tenant: str,
    *,
    is_new: bool = False,
) -> None:
    """Set the level of a locked record, show it in the catalogue and record the event, in this order of locks."""
    before = None if is_new else row.level
    row.level, row.source, row.reason = level, source, reason
    row.changed_by, row.changed_at, row.changes = _name(actor), now(), row.changes + 1
    await session.flush()
    await holders.show(session, row.digest, level)
    details = {"from": before, "level": level, "change": row.changes, "source": source, "reason": reason}
    await audit.record(
        session,
        action=Action.RISK_LEVEL_SET,
        actor=actor,
        resource=f"risk:{row.digest}",
        tenant=tenant,
        details=details,
    )


def first_level(declared: RiskLevel, known: Sequence[RiskLevel]) -> RiskLevel:
    """Return the level of a version whose bytes are not known yet: what its tag says, and no less than what is known."""
    return highest((declared, *known))


def _name(actor: Actor) -> str:
    return actor.subject if isinstance(actor, Principal) else f"system:{actor.name}"
