"""People the platform has seen: with which roles, in which team, at which verified address. Nobody else can be told anything."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import ARRAY, Text, cast, or_, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import Database, ReadSession, Session
from mlops_platform.errors import Unavailable
from mlops_platform.identity.principal import COMPANY_WIDE, Principal
from mlops_platform.identity.tables import PersonRow
from mlops_platform.kit.clock import now

log = structlog.get_logger(__name__)

# what was noted within an hour is not written again
_FRESH_SECONDS = 3_600.0
_MOST_KNOWN = 10_000
# who has not come for so long has left, as far as the platform can know
_GONE = timedelta(days=90)


@dataclass(frozen=True)
class Person:
    """Somebody who was here."""

    subject: str
    address: str | None
    roles: frozenset[str]
    tenant: str

    def acts_as(self, role: str, tenant: str) -> bool:
        """Return whether the person has this role for that tenant."""
        return role in self.roles and (tenant == self.tenant or role in COMPANY_WIDE)


class People:
    """Notes who comes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[str, tuple[Principal, float]] = {}

    async def seen(self, principal: Principal) -> None:
        """Note a person, at most once an hour as long as nothing changed; programs are not noted.

        Whoever comes is not kept waiting for it: a database that is away is logged.
        """
        if principal.kind != "human":
            return
        known = self._noted.get(principal.subject)
        if known is not None and known[0] == principal and known[1] > time.monotonic():
            return
        if len(self._noted) >= _MOST_KNOWN:
            self._noted.clear()
        self._noted[principal.subject] = (principal, time.monotonic() + _FRESH_SECONDS)
        try:
            async with self._database.session() as session:
                await _note(session, principal)
        except Unavailable:
            self._noted.pop(principal.subject, None)
            log.warning("somebody who came was not noted: the database does not answer")


async def _note(session: Session, principal: Principal) -> None:
    values = {
        # what a person has for some hours is no sign of who should be told, or of who may do what
        "roles": sorted(role.value for role in principal.own_roles),
        "tenant": principal.tenant,
        "seen_at": now(),
    }
    statement = insert(PersonRow).values(subject=principal.subject, address=principal.address, **values)
    # a token without an address takes away none that another token had
    changed = {**values, "address": statement.excluded.address} if principal.address else values
    await session.execute(statement.on_conflict_do_update(index_elements=["subject"], set_=changed))


async def who_may_be_concerned(
    session: ReadSession | Session, roles: Collection[str], people: Collection[str]
) -> list[Person]:
    """Return people who are named, or have one of the roles anywhere, and were here within 90 days."""
    query = select(PersonRow).where(
        PersonRow.seen_at > now() - _GONE,
        or_(PersonRow.subject.in_(list(people)), PersonRow.roles.has_any(cast(sorted(roles), ARRAY(Text)))),
    )
    return [Person(row.subject, row.address, frozenset(row.roles), row.tenant) for row in await session.scalars(query)]


async def address_of(session: ReadSession | Session, subject: str) -> str | None:
    """Return where mail reaches a person, None when no token said so."""
    row = await session.get(PersonRow, subject)
    return None if row is None else row.address
