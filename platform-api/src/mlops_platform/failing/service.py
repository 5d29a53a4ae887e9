"""Reading what fails, and having it tried again."""

from sqlalchemy import func, select

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import NotFound
from mlops_platform.failing.attempts import try_again
from mlops_platform.failing.schemas import Due, FailingItem, TryAgain
from mlops_platform.failing.tables import FailingItemRow
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal

_MOST = 500
# no tenant has this name: only who may do it everywhere may do it to what is nobody's
_NOBODY = "\0"


class NotFailing(NotFound):
    """No such item fails now."""

    def __init__(self, wanted: TryAgain) -> None:
        super().__init__(
            f"No item '{wanted.item}' of the job '{wanted.job}' fails now; `mlops jobs failing` lists those that do."
        )


async def failing(session: ReadSession, authorizer: Authorizer, caller: Principal) -> list[FailingItem]:
    """Return the items that fail and that the caller may see, those that failed for good first, then the newest."""
    query = select(FailingItemRow).order_by(FailingItemRow.gave_up.desc(), FailingItemRow.failed_at.desc())
    if not authorizer.allowed(caller, "deployment:read", _NOBODY):
        query = query.where(FailingItemRow.tenant == caller.tenant)
    return [_view(row) for row in (await session.execute(query.limit(_MOST))).scalars()]


async def failed_for_good(session: ReadSession) -> dict[str, int]:
    """Return by job how many items failed for good and are still work."""
    counted = select(FailingItemRow.job, func.count()).where(FailingItemRow.gave_up).group_by(FailingItemRow.job)
    return {row[0]: row[1] for row in (await session.execute(counted)).all()}


async def again(session: Session, authorizer: Authorizer, caller: Principal, wanted: TryAgain) -> Due:
    """Have an item tried at once. Raises NotFailing, also for another team's item, and NotPermitted."""
    key = {"job": wanted.job, "item": wanted.item}
    row = await session.get(FailingItemRow, key, with_for_update=True)
    if row is None or not caller.sees(row.tenant or _NOBODY):
        raise NotFailing(wanted)
    demand(authorizer, caller, "deployment:operate", row.tenant or _NOBODY)
    await audit.record(
        session,
        action=Action.JOB_ITEM_RETRIED,
        actor=caller,
        resource=f"job:{row.job}",
        tenant=row.tenant or caller.tenant,
        details={"item": row.item, "attempts": row.attempts},
    )
    return Due(due_at=await try_again(session, row))


def _view(row: FailingItemRow) -> FailingItem:
    shown = ("job", "item", "what", "tenant", "attempts", "since", "failed_at", "error")
    return FailingItem(
        **{name: getattr(row, name) for name in shown}, next_try_at=None if row.gave_up else row.next_try_at
    )
