"""PostgreSQL that stands still, and units of work that meet: every wait ends, and the answer says what happened."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psutil
import pytest
from sqlalchemy import text

from mlops_platform.database.errors import ChangesMet, DatabaseUnavailable, StatementTooSlow
from mlops_platform.database.session import Database
from mlops_platform.kit import deadline
from mlops_platform.local.postgres import EmbeddedPostgres

from ..support.ports import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), free_port(), fsync=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def database(server: EmbeddedPostgres) -> AsyncIterator[Database]:
    database = Database(server.url(), pool_size=2)
    async with database.session() as session:
        await session.execute(text("DROP TABLE IF EXISTS things"))
        await session.execute(text("CREATE TABLE things (id int PRIMARY KEY, value int)"))
        await session.execute(text("INSERT INTO things VALUES (1, 0), (2, 0)"))
    async with database.read_session() as session:
        await session.execute(text("SELECT 1"))
    yield database
    await database.dispose()


@contextmanager
def standing_still(server: EmbeddedPostgres) -> Iterator[None]:
    """Stop the server and every process of its sessions."""
    assert server.process is not None
    everyone = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    for process in everyone:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in everyone:
            os.kill(process.pid, signal.SIGCONT)


async def test_a_server_that_stands_still_hangs_no_unit_of_work(server: EmbeddedPostgres, database: Database) -> None:
    with standing_still(server):
        for opened in (database.session, database.read_session):
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailable):
                async with opened() as session:
                    await session.execute(text("SELECT 1"))
            # four seconds for the pooled connection, five for a new one; without limits it waits as long as the server stands
            assert time.monotonic() - began < 15
    async with database.session() as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_statement_ends_with_the_deadline_of_its_request(server: EmbeddedPostgres, database: Database) -> None:
    async def asks() -> None:
        async with database.session() as session:
            await session.execute(text("SELECT 1"))
            with standing_still(server):
                await session.execute(text("SELECT 1"))

    async def app(*_: object) -> None:
        with pytest.raises(DatabaseUnavailable):
            await asks()
        heard.append(time.monotonic() - began)

    heard: list[float] = []
    began = time.monotonic()

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    async def send(_message: object) -> None:
        """Nobody listens."""

    scope = {"type": "http", "path": "/", "method": "GET"}
    await deadline.Deadlines(app, seconds=1)(scope, receive, send)
    assert heard
    assert heard[0] < 10


async def test_a_deadlock_is_called_one_and_a_later_try_succeeds(database: Database) -> None:
    async def change(first: int, second: int, met: asyncio.Barrier) -> None:
        async with database.session() as session:
            await session.execute(text(f"UPDATE things SET value = value + 1 WHERE id = {first}"))
            await met.wait()
            await session.execute(text(f"UPDATE things SET value = value + 1 WHERE id = {second}"))

    met = asyncio.Barrier(2)
    outcomes = await asyncio.gather(change(1, 2, met), change(2, 1, met), return_exceptions=True)
    assert sorted(type(outcome) for outcome in outcomes if outcome) == [ChangesMet]


async def test_a_lock_that_is_not_given_in_time_is_no_lost_database(database: Database) -> None:
    async def changes() -> None:
        async with database.session() as session:
            await session.execute(text("SET LOCAL lock_timeout = '50ms'"))
            await session.execute(text("UPDATE things SET value = 2 WHERE id = 1"))

    async with database.session() as holder:
        await holder.execute(text("UPDATE things SET value = 1 WHERE id = 1"))
        with pytest.raises(ChangesMet):
            await changes()


async def test_a_statement_over_its_limit_is_called_too_slow(database: Database) -> None:
    async def sleeps() -> None:
        async with database.session() as session:
            await session.execute(text("SET LOCAL statement_timeout = '50ms'"))
            await session.execute(text("SELECT pg_sleep(10)"))

    with pytest.raises(StatementTooSlow):
        await sleeps()


async def test_a_session_that_was_ended_is_a_lost_database(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.session() as session:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    async with database.session() as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
