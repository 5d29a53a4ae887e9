"""Counting a pool's connections: SQLAlchemy says when one is opened, taken and given back."""

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from mlops_platform.telemetry import metrics


def watch(engine: AsyncEngine, pool: str, limit: int) -> None:
    """Show the connections of an engine's pool under the name `pool`, of which it may open `limit`."""
    opened, in_use = metrics.database_connections_total.labels(pool), metrics.database_pool_in_use.labels(pool)
    # counted where it is noticed (session.py); there from the start, so that the first time is an increase
    metrics.database_unavailable_total.labels(pool)
    metrics.database_pool_limit.labels(pool).set(limit)
    event.listen(engine.sync_engine, "connect", lambda *_: opened.inc())
    event.listen(engine.sync_engine, "checkout", lambda *_: in_use.inc())
    event.listen(engine.sync_engine, "checkin", lambda *_: in_use.dec())
