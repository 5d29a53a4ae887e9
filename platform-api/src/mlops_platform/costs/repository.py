"""Reading and writing costs."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.costs.interfaces import Cost, ProcessUse, Reading, StoredUse
from mlops_platform.costs.tables import CostReadingRow, CostRow
from mlops_platform.database.session import ReadSession, Session

_ONLY = 1
_KEY = ("day", "service", "tenant", "model")


async def add(session: Session, costs: Iterable[Cost]) -> None:
    """Add to what is known of each day and owner."""
    for cost in costs:
        statement = insert(CostRow).values(**asdict(cost))
        await session.execute(
            statement.on_conflict_do_update(index_elements=_KEY, set_={"usd": CostRow.usd + statement.excluded.usd})
        )


async def replace_days(session: Session, since: date, until: date, costs: Iterable[Cost]) -> None:
    """Make these the costs of the days from `since` up to but without `until`."""
    await session.execute(delete(CostRow).where(CostRow.day >= since, CostRow.day < until))
    await add(session, costs)


async def between(session: ReadSession | Session, since: date, until: date) -> list[Cost]:
    """Return the sums per service, tenant and model of some days; `day` of each is the first."""
    query = (
        select(CostRow.service, CostRow.tenant, CostRow.model, func.sum(CostRow.usd))
        .where(CostRow.day >= since, CostRow.day < until)
        .group_by(CostRow.service, CostRow.tenant, CostRow.model)
        .order_by(CostRow.service, CostRow.tenant, CostRow.model)
    )
    return [
        Cost(since, service, tenant, model, Decimal(usd))
        for service, tenant, model, usd in await session.execute(query)
    ]


async def last_reading(session: Session | ReadSession) -> tuple[datetime, str, Reading | None] | None:
    """Return when costs were read last, from where, and the meter's reading; None when they never were."""
    row = await session.get(CostReadingRow, _ONLY)
    if row is None:
        return None
    return row.at, row.source, _reading(row.at, row.reading) if row.reading else None


async def keep_reading(session: Session, at: datetime, source: str, reading: Reading | None) -> None:
    """Remember that costs were read."""
    content: dict[str, Any] = {}
    if reading is not None:
        content = {
            "processes": [asdict(use) for use in reading.processes],
            "stored": [asdict(use) for use in reading.stored],
        }
    values = {"at": at, "source": source, "reading": content}
    await session.execute(
        insert(CostReadingRow).values(id=_ONLY, **values).on_conflict_do_update(index_elements=["id"], set_=values)
    )


def _reading(at: datetime, content: dict[str, Any]) -> Reading:
    processes = tuple(ProcessUse(**use) for use in content["processes"])
    return Reading(at, processes, tuple(StoredUse(**use) for use in content["stored"]))
