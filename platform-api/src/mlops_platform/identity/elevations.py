"""Roles for some hours: taken with a reason, where the settings allow it; asked of the clock each time they would count."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

import structlog
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import Database, Session
from mlops_platform.errors import Conflict, Forbidden, Unavailable
from mlops_platform.identity.elevating import LONGEST_SECONDS, counts, may_take
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.identity.tables import ElevationRow
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.telemetry.items import apart

log = structlog.get_logger(__name__)

_MOST_AT_ONCE = 100


class ElevationRequest(BaseModel):
    """Which role, for how long, and why."""

    role: Role
    seconds: int = Field(3_600, ge=60, le=LONGEST_SECONDS)
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]


class Elevation(BaseModel):
    """A role that its person has until a time."""

    role: Role
    reason: str
    began_at: datetime
    ends_at: datetime


class NotElevatable(Forbidden):
    """No setting lets the caller take this role."""

    title = "You may not take this role"

    def __init__(self, possible: frozenset[Role]) -> None:
        yours = f"you may take: {', '.join(sorted(possible))}" if possible else "you may take none"
        super().__init__(
            f"MLOPS_ELEVATIONS says who may take which role for some hours; {yours}. Ask an administrator."
        )


class HasThisRole(Conflict):
    """The person has the role already, by the token or for some hours."""

    title = "You have this role already"

    def __init__(self) -> None:
        super().__init__("Use it; `mlops whoami` says until when. It can be taken again once it has ended.")


class Elevations:
    """Who has which role for some hours; nobody, while no setting allows it."""

    def __init__(self, database: Database, policy: Mapping[Role, Sequence[Role]]) -> None:
        self._database, self._policy = database, policy

    async def applied(self, principal: Principal) -> Principal:
        """Return the principal with the roles that count now. While the database is away it has the token's only."""
        if not may_take(self._policy, principal.own_roles) or principal.kind != "human":
            return principal
        try:
            taken = frozenset(one.role for one in await self.of(principal)) - principal.own_roles
        except Unavailable:
            log.warning("roles for some hours do not count: the database does not answer")
            return principal
        return replace(principal, roles=principal.own_roles | taken, elevated=taken)

    async def of(self, principal: Principal) -> list[Elevation]:
        """Return the roles that a person has for some hours now: of this team, and only what the settings still allow."""
        possible = may_take(self._policy, principal.own_roles)
        if not possible or principal.kind != "human":
            return []
        mine = ElevationRow.subject == principal.subject, ElevationRow.tenant == principal.tenant
        async with self._database.read_session() as session:
            rows = await session.scalars(select(ElevationRow).where(*mine, ElevationRow.ended_at.is_(None)))
            at = now()
            return [_shown(row) for row in rows if row.role in possible and counts(row.began_at, row.ends_at, at)]

    def possible(self, principal: Principal) -> list[Role]:
        """Return the roles that a person could take, by name, whether or not they have them now."""
        return (
            sorted(may_take(self._policy, principal.own_roles) - principal.own_roles)
            if principal.kind == "human"
            else []
        )

    async def begin(self, caller: Principal, asked: ElevationRequest) -> Elevation:
        """Let a person have a role. Of two at once one is refused. Raises NotElevatable, HasThisRole."""
        possible = may_take(self._policy, caller.own_roles)
        if caller.kind != "human" or asked.role not in possible:
            raise NotElevatable(possible if caller.kind == "human" else frozenset())
        if asked.role in caller.own_roles:
            raise HasThisRole
        at = now()
        async with self._database.session() as session:
            # one that is over and whose end nobody has recorded yet stands in nobody's way
            await _end(session, await _open(session, caller.subject, over_at=at), None, "time")
            values = {
                "id": new_id(),
                "subject": caller.subject,
                "tenant": caller.tenant,
                "role": asked.role.value,
                "reason": asked.reason,
                "began_at": at,
                "ends_at": at + timedelta(seconds=asked.seconds),
            }
            made = insert(ElevationRow).values(**values).on_conflict_do_nothing().returning(ElevationRow)
            row = (await session.scalars(made)).one_or_none()
            if row is None:
                raise HasThisRole
            await _record(session, Action.ELEVATION_BEGUN, caller, row, {"reason": row.reason})
            return _shown(row)


async def end_of_person(session: Session, actor: Principal, subject: str, why: str) -> None:
    """End every role that a person took, and record it; what is over already ended by the clock."""
    await _end(session, await _open(session, subject, over_at=now()), None, "time")
    await _end(session, await _open(session, subject), actor, why)


async def end_those_that_are_over(database: Database) -> None:
    """Record the ends of roles whose time is over, each in its own transaction: they stopped counting by themselves."""
    async with database.read_session() as session:
        over = select(ElevationRow.id).where(ElevationRow.ended_at.is_(None), ElevationRow.ends_at <= now())
        ids = (await session.scalars(over.order_by(ElevationRow.ends_at).limit(_MOST_AT_ONCE))).all()
    for one in ids:
        with apart("ended-elevations", elevation=one):
            async with database.session() as session:
                open_still = select(ElevationRow).where(ElevationRow.id == one, ElevationRow.ended_at.is_(None))
                rows = (await session.scalars(open_still.with_for_update())).all()
                await _end(session, rows, None, "time")


async def _open(session: Session, subject: str, over_at: datetime | None = None) -> list[ElevationRow]:
    query = select(ElevationRow).where(ElevationRow.subject == subject, ElevationRow.ended_at.is_(None))
    if over_at is not None:
        query = query.where(ElevationRow.ends_at <= over_at)
    # one order of locks for everybody, and one recorder of each end
    return list((await session.scalars(query.order_by(ElevationRow.id).with_for_update())).all())


async def _end(session: Session, rows: Sequence[ElevationRow], actor: Principal | None, why: str) -> None:
    for row in rows:
        row.ended_at, row.ended_by = row.ends_at if actor is None else now(), why
        await _record(session, Action.ELEVATION_ENDED, actor or SystemActor("elevations"), row, {"by": why})
    await session.flush()


async def _record(
    session: Session, action: Action, actor: Principal | SystemActor, row: ElevationRow, more: dict[str, str]
) -> None:
    pseudonym = audit.audit_log(session).pseudonym(row.subject)
    details = {"elevation": row.id, "role": row.role, "ends_at": row.ends_at.isoformat(), **more}
    await audit.record(
        session, action=action, actor=actor, resource=f"identity:{pseudonym}", tenant=row.tenant, details=details
    )


def _shown(row: ElevationRow) -> Elevation:
    return Elevation(role=Role(row.role), reason=row.reason, began_at=row.began_at, ends_at=row.ends_at)
