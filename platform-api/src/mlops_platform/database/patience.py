"""Connections that do not wait for ever: PostgreSQL's own limits hold only while it runs.

A server that stands still, or a network that drops packets, answers nothing: neither `statement_timeout` nor a broken
connection ends the wait.
"""

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from mlops_platform.kit.deadline import remaining

RV = TypeVar("RV")

# beyond `statement_timeout`: a server that runs ends the statement itself
STATEMENT_SECONDS = 35.0
# for the question whether a pooled connection still lives
_PING_SECONDS = 4.0


class PatientConnection(psycopg.AsyncConnection[Any]):
    """A connection whose every wait ends: then it is closed, and OperationalError is raised."""

    patience_seconds = STATEMENT_SECONDS

    async def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:  # noqa: ASYNC109 - psycopg's own
        """Wait as psycopg does, no longer than this connection's patience and the deadline of the request."""
        limit = remaining(self.patience_seconds)
        try:
            return await super().wait(gen, interval, limit if timeout is None else min(limit, timeout))
        except psycopg.OperationalError:
            if timeout is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # it said nothing: what it says later would answer another question
                self.pgconn.finish()
            raise


def be_patient(engine: AsyncEngine) -> None:
    """Have the pool's question to a connection that waited in it answered within seconds."""

    def waits_in_pool(connection: Any, _record: Any) -> None:
        if connection is not None:
            connection.driver_connection.patience_seconds = _PING_SECONDS

    def is_used(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.driver_connection.patience_seconds = STATEMENT_SECONDS

    event.listen(engine.sync_engine, "checkin", waits_in_pool)
    event.listen(engine.sync_engine, "checkout", is_used)
