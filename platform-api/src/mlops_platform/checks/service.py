"""Keeping and reading the results of checks."""

from typing import Any

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.checks.schemas import CheckResult, CheckStatus
from mlops_platform.checks.tables import ModelCheckRow
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.kit.clock import now


async def record(
    session: Session,
    name: str,
    version: int,
    check: str,
    status: CheckStatus,
    sentence: str,
    detail: dict[str, Any] | None = None,
) -> None:
    """Keep the result of a check, replacing an earlier one of the same name."""
    values = {"status": status, "sentence": sentence, "detail": detail or {}, "at": now()}
    statement = insert(ModelCheckRow).values(name=name, version=version, check=check, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["name", "version", "check"], set_=values))


async def for_version(session: ReadSession | Session, name: str, version: int) -> list[CheckResult]:
    """Return the newest result of each check of a version, in the order they were made."""
    rows = await session.execute(
        select(ModelCheckRow)
        .where(ModelCheckRow.name == name, ModelCheckRow.version == version)
        .order_by(ModelCheckRow.at)
    )
    return [CheckResult.model_validate(row) for row in rows.scalars()]


def lacks(check: str, name: ColumnElement[str], version: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that a version, by the columns of its name and number, has no result of a check."""
    row = ModelCheckRow
    return ~select(row.check).where(row.name == name, row.version == version, row.check == check).exists()


async def forget(session: Session, name: str, version: int | None = None) -> None:
    """Remove the results of a deleted version (of all versions when None)."""
    statement = delete(ModelCheckRow).where(ModelCheckRow.name == name)
    await session.execute(statement if version is None else statement.where(ModelCheckRow.version == version))
