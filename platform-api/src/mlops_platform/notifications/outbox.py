"""Telling, in the transaction of what happened: what is rolled back was never told, what is committed cannot be lost."""

from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import Session
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.notifications.notice import Notice
from mlops_platform.notifications.tables import NoticeRow

_LONGEST_SENTENCE = 2_000


async def tell(session: Session, notice: Notice, *, once: str | None = None) -> None:
    """Put a notice into the outbox; with `once`, a second one of the same name is none."""
    statement = insert(NoticeRow).values(
        id=new_id(),
        kind=notice.kind.value,
        subject=notice.subject,
        tenant=notice.tenant,
        sentence=notice.sentence[:_LONGEST_SENTENCE],
        page=notice.page,
        audience={
            "roles": sorted({role.value for role in notice.roles}),
            "people": sorted(set(notice.people)),
            "but": sorted(set(notice.but)),
        },
        pages=notice.pages,
        once=once,
        created_at=now(),
        spread_at=None,
        copies=0,
    )
    await session.execute(statement.on_conflict_do_nothing(index_elements=["once"]) if once else statement)
