"""Locks that die with their holder: PostgreSQL advisory locks on a connection of their own."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from mlops_platform.database.session import Database


@asynccontextmanager
async def try_lock(database: Database, name: str) -> AsyncIterator[bool]:
    """Yield whether this process holds the named lock; never waits.

    The lock belongs to the connection, so a killed process releases it at once and the next one heals its work.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    async with database.engine.connect() as connection:
        held = bool((await connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key})).scalar_one())
        # end the transaction: an idle one would hold back vacuum while a long job runs
        await connection.commit()
        try:
            yield held
        finally:
            if held:
                # a lost connection has released the lock already
                with contextlib.suppress(SQLAlchemyError):
                    await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
                    await connection.commit()
