"""When people last did something that the log records."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select

from mlops_platform.audit.service import audit_log
from mlops_platform.audit.tables import AuditEventRow
from mlops_platform.database.session import ReadSession


async def last_acts(session: ReadSession, subjects: Collection[str]) -> dict[str, datetime]:
    """Return when each of these people last did something; who never did is missing. An erased person's acts are nobody's."""
    names = {audit_log(session).pseudonym(subject): subject for subject in subjects}
    query = select(AuditEventRow.actor, func.max(AuditEventRow.at)).where(AuditEventRow.actor.in_(list(names)))
    return {names[actor]: at for actor, at in (await session.execute(query.group_by(AuditEventRow.actor)))}
