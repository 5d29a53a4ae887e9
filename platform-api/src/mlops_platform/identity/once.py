"""What counts once: a second use is refused, in whichever process it comes."""

from datetime import UTC, datetime
from hashlib import sha256

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import Session
from mlops_platform.identity.tables import UsedOnceRow
from mlops_platform.kit.clock import now


async def first_use(session: Session, key: str, until: float) -> bool:
    """Return whether this is the first use of the key; remembered until then (Unix seconds), at least."""
    values = {"key_hash": sha256(key.encode()).hexdigest(), "until": datetime.fromtimestamp(until, UTC)}
    statement = insert(UsedOnceRow).values(**values).on_conflict_do_nothing().returning(UsedOnceRow.key_hash)
    return (await session.execute(statement)).first() is not None


async def forget(session: Session) -> None:
    """Remove what would be refused for its age anyway."""
    await session.execute(delete(UsedOnceRow).where(UsedOnceRow.until < now()))
