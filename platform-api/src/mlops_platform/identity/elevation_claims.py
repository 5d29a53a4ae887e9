"""What the rows of taken roles say, for the audit log to be compared with: they must follow from its events."""

from datetime import UTC

from sqlalchemy import select

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.interfaces import Claim, RecordedState
from mlops_platform.database.session import ReadSession
from mlops_platform.identity.tables import ElevationRow


class RecordedElevations(RecordedState):
    """Each role for some hours was taken by its person, until the time that was recorded then."""

    actions = frozenset({Action.ELEVATION_BEGUN})

    async def claims(self, session: ReadSession) -> list[Claim]:
        """Return what the rows say."""
        log = audit.audit_log(session)
        return [
            Claim(
                f"{row.subject} has the role {row.role} until {row.ends_at:%Y-%m-%d %H:%M} UTC",
                Action.ELEVATION_BEGUN,
                f"identity:{log.pseudonym(row.subject)}",
                {"elevation": row.id, "role": row.role, "ends_at": row.ends_at.astimezone(UTC).isoformat()},
                person=row.subject,
            )
            for row in (await session.execute(select(ElevationRow))).scalars()
        ]
