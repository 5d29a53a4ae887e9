"""Reviewing access: who can do what, who has not used it for long, and what a reviewer said to it."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from mlops_platform.audit import service as audit
from mlops_platform.audit.acting import last_acts
from mlops_platform.audit.actions import Action
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import Conflict, Forbidden, Invalid
from mlops_platform.identity.authorizer import ACTIONS, Authorizer
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.identity.sign_outs import PersonNotSeen
from mlops_platform.identity.subjects import SubjectNotUsable, normalised
from mlops_platform.identity.tables import AccessReviewRow, PersonRow
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.kit.paging import Page, decode_cursor, encode_cursor

_ACTION = "identity:review"
UNUSED_DAYS = 90
Verdict = Literal["confirm", "mark"]


class Review(BaseModel):
    """What a reviewer said."""

    verdict: Verdict
    reviewer: str
    comment: str
    at: datetime
    still_so: bool
    """Whether the person has the roles and the team that were reviewed."""


class Access(BaseModel):
    """One person's access, as the last token said it."""

    subject: str
    tenant: str
    roles: list[str]
    may: list[str]
    """The actions that the roles permit in the person's team."""
    every_team: bool
    """Whether a role reaches over teams."""
    seen_at: datetime
    """When the person was last here, to the hour."""
    acted_at: datetime | None
    """When the person last did something that the audit log records."""
    unused: bool
    review: Review | None


class ReviewRequest(BaseModel):
    """What a reviewer says of the access they looked at."""

    subject: str = Field(min_length=1, max_length=255)
    roles: list[Role] = Field(max_length=20)
    """The roles that were looked at: others than the person has now are refused."""
    verdict: Verdict
    comment: str = Field("", max_length=2_000)


class OwnAccess(Forbidden):
    """Nobody reviews the own access."""

    title = "Somebody else reviews your access"

    def __init__(self) -> None:
        super().__init__("Ask another reviewer: nobody says of themselves that they need what they may do.")


class AccessChanged(Conflict):
    """The person's roles are others than the reviewer looked at."""

    title = "The roles changed since you looked"

    def __init__(self) -> None:
        super().__init__("Look again (`mlops access review`, or load the page again), and review what is so now.")


class MarkNeedsComment(Invalid):
    """A mark without a word helps nobody."""

    title = "Say why"

    def __init__(self) -> None:
        super().__init__("A comment is needed to mark access: whoever takes it away must know why.")


async def listed(
    session: ReadSession,
    authorizer: Authorizer,
    caller: Principal,
    *,
    unused_days: int = UNUSED_DAYS,
    only_unused: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Access]:
    """Return the people whose access the caller may review, by name. People count who were here once; services are in their file."""
    since = now() - timedelta(days=unused_days)
    query = select(PersonRow).order_by(PersonRow.subject).limit(limit + 1)
    if not authorizer.allowed(caller, _ACTION, f"not {caller.tenant}"):
        query = query.where(PersonRow.tenant == caller.tenant)
    if only_unused:
        query = query.where(PersonRow.seen_at < since)
    if cursor:
        query = query.where(PersonRow.subject > str(decode_cursor(cursor).get("subject", "")))
    rows = (await session.scalars(query)).all()
    shown, names = rows[:limit], [row.subject for row in rows[:limit]]
    acts = await last_acts(session, names)
    newest = (
        select(AccessReviewRow)
        .where(AccessReviewRow.subject.in_(names))
        .ext(distinct_on(AccessReviewRow.subject))
        .order_by(AccessReviewRow.subject, AccessReviewRow.id.desc())
    )
    reviews = {row.subject: row for row in await session.scalars(newest)}
    items = [_access(authorizer, row, since, acts.get(row.subject), reviews.get(row.subject)) for row in shown]
    return Page(items=items, next_cursor=encode_cursor({"subject": names[-1]}) if len(rows) > limit else None)


async def review(session: Session, authorizer: Authorizer, caller: Principal, body: ReviewRequest) -> Review:
    """Record what a reviewer says. Raises PersonNotSeen, NotPermitted, OwnAccess, AccessChanged, MarkNeedsComment.

    A mark takes nothing away: roles are the identity provider's. Of two reviews at once both are kept, and the later one counts.
    """
    try:
        name = normalised(body.subject)
    except SubjectNotUsable as error:
        raise PersonNotSeen from error
    # locked: a token with other roles must not pass between looking and recording
    person = await session.get(PersonRow, name, with_for_update=True)
    if person is None or not caller.sees(person.tenant):
        raise PersonNotSeen
    demand(authorizer, caller, _ACTION, person.tenant)
    if name == caller.subject:
        raise OwnAccess
    if sorted(set(body.roles)) != sorted(person.roles):
        raise AccessChanged
    if body.verdict == "mark" and not body.comment.strip():
        raise MarkNeedsComment
    row = AccessReviewRow(
        id=new_id(),
        subject=name,
        tenant=person.tenant,
        roles=sorted(person.roles),
        verdict=body.verdict,
        comment=body.comment.strip(),
        reviewer=caller.subject,
        at=now(),
    )
    session.add(row)
    await audit.record(
        session,
        action=Action.ACCESS_REVIEWED,
        actor=caller,
        resource=f"identity:{audit.audit_log(session).pseudonym(name)}",
        tenant=person.tenant,
        details={"verdict": body.verdict, "roles": row.roles, "comment": row.comment},
    )
    return _review(row, person)


def _access(
    authorizer: Authorizer, row: PersonRow, since: datetime, acted: datetime | None, found: AccessReviewRow | None
) -> Access:
    roles = frozenset(Role(role) for role in row.roles if role in set(Role))
    person = Principal(row.subject, roles, row.tenant)
    return Access(
        subject=row.subject,
        tenant=row.tenant,
        roles=row.roles,
        may=[action for action in ACTIONS if authorizer.allowed(person, action)],
        every_team=person.company_wide,
        seen_at=row.seen_at,
        acted_at=acted,
        unused=row.seen_at < since,
        review=None if found is None else _review(found, row),
    )


def _review(row: AccessReviewRow, person: PersonRow) -> Review:
    still_so = (row.tenant, sorted(row.roles)) == (person.tenant, sorted(person.roles))
    verdict: Verdict = "confirm" if row.verdict == "confirm" else "mark"
    return Review(verdict=verdict, reviewer=row.reviewer, comment=row.comment, at=row.at, still_so=still_so)
