"""How many connections a pool opens at a peak, and how many of them stay."""

import asyncio

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from mlops_platform.database.session import Database


async def _at_once(database: Database, count: int) -> int:
    """Hold this many connections at the same time; return how many stay open after it."""
    everybody = asyncio.Barrier(count)

    async def hold() -> None:
        async with database.read_session() as session:
            await session.execute(text("SELECT 1"))
            await everybody.wait()

    await asyncio.gather(*(hold() for _ in range(count)))
    pool = database._reading.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedin()


@pytest.mark.parametrize(("kept", "stay"), [(None, 3), (1, 1), (9, 3)])
async def test_a_peak_opens_twice_the_size_and_what_is_kept_stays(
    database_url: str, kept: int | None, stay: int
) -> None:
    database = Database(database_url, 3, kept=kept)
    try:
        assert await _at_once(database, 6) == stay
    finally:
        await database.dispose()


async def test_the_limit_is_said_by_who_connects(database_url: str) -> None:
    def limit() -> float | None:
        return REGISTRY.get_sample_value("database_pool_limit", {"pool": "read"})

    before = limit()
    database = Database(database_url, 17, kept=1)
    try:
        # a parent that forks has pools that it never uses: those of its children are counted
        assert limit() == before
        await _at_once(database, 1)
        assert limit() == 34
    finally:
        await database.dispose()
