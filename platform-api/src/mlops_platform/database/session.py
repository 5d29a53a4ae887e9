"""Sessions. The unit of work ends at the edge: services flush, the request or the job commits, before answering."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, NewType

import orjson
from fastapi import Depends, Request
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from mlops_platform.database.errors import DatabaseUnavailable, ValueNotStorable, meaning
from mlops_platform.database.patience import PatientConnection, be_patient
from mlops_platform.database.watch import watch
from mlops_platform.errors import Unavailable
from mlops_platform.telemetry import metrics

_WRITE, _READ = "write", "read"

# two types, so that a read path cannot be handed to a method that writes
Session = NewType("Session", AsyncSession)
ReadSession = NewType("ReadSession", AsyncSession)


class Database:
    """The pool of connections to PostgreSQL, and the only place where transactions begin and end."""

    def __init__(
        self,
        url: str,
        pool_size: int = 10,
        info: dict[str, Any] | None = None,
        before_commit: Callable[[Session], Awaitable[None]] | None = None,
        after_commit: Callable[[Session], Awaitable[None]] | None = None,
        kept: int | None = None,
    ) -> None:
        """`kept`: how many connections stay open while nobody needs them; None: all of the pool's. `info` is put into every session's `info`; the others are awaited with each session around its commit.

        `before_commit` writes in the same transaction; when it raises, nothing is committed. What is committed is committed:
        `after_commit` must not raise.
        """
        self.url = url
        self._before_commit = before_commit
        self._after_commit = after_commit
        self.engine = _engine(url, pool_size, kept)
        # reads need no transaction: two round trips less for each, and PostgreSQL itself refuses what would write
        self._reading = _engine(
            url, pool_size, kept, "-c default_transaction_read_only=on", isolation_level="AUTOCOMMIT"
        )
        # overflow connections count: a pool at its limit makes requests wait
        for engine, name in ((self.engine, _WRITE), (self._reading, _READ)):
            watch(engine, name, 2 * pool_size)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False, info=info or {})
        self._read_sessions = async_sessionmaker(self._reading, expire_on_commit=False, info=info or {})

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Yield a session that commits when the block ends and rolls back when it raises.

        Raises DatabaseUnavailable when PostgreSQL cannot be reached; then nothing was changed unless the connection
        was lost during COMMIT itself, which PostgreSQL cannot tell apart. Raises ChangesMet, StatementTooSlow,
        DatabaseDiskFull and ValueNotStorable: then nothing was changed.
        """
        try:
            async with self._sessions() as session:
                async with session.begin():
                    yield Session(session)
                    if self._before_commit is not None:
                        await self._before_commit(Session(session))
                if self._after_commit is not None:
                    await self._after_commit(Session(session))
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise _meaning(error, _WRITE) from error
        except DataError as error:
            raise ValueNotStorable from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise _meaning(error, _WRITE) from error
            raise

    @asynccontextmanager
    async def read_session(self) -> AsyncIterator[ReadSession]:
        """Yield a session for reading: each statement sees what was committed before it, and none can write."""
        try:
            async with self._read_sessions() as session:
                yield ReadSession(session)
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise _meaning(error, _READ) from error
        except DataError as error:
            raise ValueNotStorable from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise _meaning(error, _READ) from error
            raise

    async def dispose(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        await self._reading.dispose()


def _meaning(error: BaseException, pool: str) -> Unavailable:
    found = meaning(error)
    if isinstance(found, DatabaseUnavailable):
        metrics.database_unavailable_total.labels(pool).inc()
    return found


def _engine(url: str, pool_size: int, kept: int | None, options: str = "", **extra: Any) -> AsyncEngine:
    stay = min(kept or pool_size, pool_size)
    engine = create_async_engine(
        url,
        pool_size=stay,
        max_overflow=2 * pool_size - stay,
        # a restarted PostgreSQL leaves dead connections in the pool; the ping replaces them before use
        pool_pre_ping=True,
        pool_timeout=5,
        json_deserializer=orjson.loads,
        connect_args={
            "async_creator_fn": PatientConnection.connect,
            "connect_timeout": 5,
            # a peer that vanished without a word is noticed within half a minute, also by who waits for nothing
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": f"-c timezone=UTC -c lock_timeout=10s -c statement_timeout=30s {options}",
        },
        **extra,
    )
    be_patient(engine)
    return engine


async def _session(request: Request) -> AsyncIterator[Session]:
    async with request.app.state.services.database.session() as session:
        yield session


async def _read_session(request: Request) -> AsyncIterator[ReadSession]:
    async with request.app.state.services.database.read_session() as session:
        yield session


# scope="function": the commit happens before the response is sent, so a failed commit cannot be answered with 200
SessionDep = Annotated[Session, Depends(_session, scope="function")]
ReadSessionDep = Annotated[ReadSession, Depends(_read_session, scope="function")]
