"""Counting a pool's connections, and the spans of its statements: SQLAlchemy says when either begins and ends."""

import re
import time
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from mlops_platform.database.base import Base
from mlops_platform.telemetry import metrics, spans

_BEGAN = "mlops_statement_began"
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+(\w+)")
_VERBS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"})


def watch(engine: AsyncEngine, pool: str, limit: int) -> None:
    """Show the connections of an engine's pool under the name `pool`, of which it may open `limit`."""
    opened, in_use = metrics.database_connections_total.labels(pool), metrics.database_pool_in_use.labels(pool)
    # counted where it is noticed (session.py); there from the start, so that the first time is an increase
    metrics.database_unavailable_total.labels(pool)
    limits = metrics.database_pool_limit.labels(pool)

    def connected(*_: object) -> None:
        opened.inc()
        # said by who connects: of a parent that opens nothing itself, each forked process has a pool of its own
        limits.set(limit)

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "checkout", lambda *_: in_use.inc())
    event.listen(engine.sync_engine, "checkin", lambda *_: in_use.dec())
    event.listen(engine.sync_engine, "before_cursor_execute", _begin)
    event.listen(engine.sync_engine, "after_cursor_execute", _end)
    event.listen(engine.sync_engine, "handle_error", _fail)


def said_of(statement: str) -> tuple[str, str]:
    """Return a statement's verb and first table, as far as they are names of ours: a statement's text could hold a value."""
    verb = statement.split(None, 1)[0].upper() if statement.strip() else ""
    tables = (name for name in _TABLE.findall(statement) if name in Base.metadata.tables)
    return verb if verb in _VERBS else "other", next(tables, "")


def _begin(connection: Any, _cursor: Any, _statement: str, *_: Any) -> None:
    connection.info[_BEGAN] = time.perf_counter()


def _end(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    _tell(connection, statement, failed=False)


def _fail(context: ExceptionContext) -> None:
    if context.connection is not None and context.statement is not None:
        _tell(context.connection, context.statement, failed=True)


def _tell(connection: Any, statement: str, *, failed: bool) -> None:
    began = connection.info.pop(_BEGAN, None)
    if began is None or not spans.open_span():
        return
    verb, table = said_of(statement)
    facts = {"db_system_name": "postgresql", "db_operation_name": verb} | (
        {"db_collection_name": table} if table else {}
    )
    spans.called(f"{verb} {table}".strip(), time.perf_counter() - began, failed=failed, **facts)
