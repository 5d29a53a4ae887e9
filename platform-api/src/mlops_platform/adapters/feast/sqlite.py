"""Feast's SQLite online store, in which a newer event is never overwritten by an older one.

Feast's own store overwrites blindly and keeps whole seconds. Here one transaction reads what is stored, leaves out what is
older, and writes the rest; event times to the microsecond lie in a table of our own beside Feast's, whose layout stays.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from mlops_platform.adapters.feast.names import (
    SqliteOnlineStore,
    SqliteOnlineStoreConfig,
    compute_table_id,
    serialize_entity_key,
)
from mlops_platform.adapters.feast.newest import Row, in_utc, microseconds, newest_of_each

# another process's batch is waited for this long
_PATIENCE_MILLISECONDS = 30_000
# SQLite takes a bounded number of parameters in one statement
_CHUNK = 500
_TIMES = "mlops_event_times"


def stored_time(stored: float | str | None) -> datetime | None:
    """Return an event time as Feast's SQLite adapters write it: seconds, or ISO text in older stores.

    Feast takes the UTC time for one of the machine's own zone when it makes seconds of it; this is the way back.
    """
    if stored is None:
        return None
    moment = datetime.fromisoformat(stored) if isinstance(stored, str) else datetime.fromtimestamp(stored)  # noqa: DTZ006 - see above
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class NewestSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):  # type: ignore[misc]  # Feast ships no hints
    """What Feast's `sqlite` takes."""

    type: Literal["mlops_platform.adapters.feast.sqlite.NewestSqliteOnlineStore"]


class NewestSqliteOnlineStore(SqliteOnlineStore):  # type: ignore[misc]
    """Keeps the rule of adapters/feast/newest.py, in one transaction per batch."""

    keeps_newest = True

    def __init__(self) -> None:
        super().__init__()
        # Feast has one connection per process, and a connection has one transaction
        self._writing = threading.Lock()

    def _get_conn(self, config: Any) -> sqlite3.Connection:
        fresh = self._conn is None
        connection: sqlite3.Connection = super()._get_conn(config)
        if fresh:
            connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MILLISECONDS}")
        return connection

    def online_write_batch(
        self, config: Any, table: Any, data: Sequence[Row], progress: Callable[[int], Any] | None
    ) -> None:
        """Write each entity's newest row unless a newer event is stored. All of the batch is written, or nothing."""
        name = compute_table_id(config.project, table, config.registry.enable_online_feature_view_versioning)
        version = config.entity_key_serialization_version
        rows = {
            serialize_entity_key(row[0], entity_key_serialization_version=version): row for row in newest_of_each(data)
        }
        with self._writing:
            connection = self._get_conn(config)
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {_TIMES} (view TEXT, entity_key BLOB, event_ts INTEGER, exact INTEGER, "
                    "PRIMARY KEY (view, entity_key)) WITHOUT ROWID"
                )
                stored = _stored(connection, name, list(rows))
                fresh = {key: row for key, row in rows.items() if microseconds(row[2]) >= stored.get(key, _NEVER)}
                connection.executemany(
                    f"INSERT OR REPLACE INTO {_TIMES} (view, entity_key, event_ts, exact) VALUES (?, ?, ?, ?)",  # noqa: S608  # nosec B608 - a constant
                    [(name, key, _seconds(row[2]), microseconds(row[2])) for key, row in fresh.items()],
                )
                # it commits, and with its rows the times above
                super().online_write_batch(config, table, list(fresh.values()), None)
            finally:
                if connection.in_transaction:
                    connection.rollback()
        if progress:
            progress(len(data))


# earlier than any event
_NEVER = -(2**63)


def _seconds(moment: datetime) -> int:
    """Return an event time as Feast's adapter writes it; see `stored_time`."""
    return int(in_utc(moment).replace(tzinfo=None).timestamp())


def _stored(connection: sqlite3.Connection, name: str, keys: Sequence[bytes]) -> dict[bytes, int]:
    """Return the newest event time stored for each entity, in microseconds; entities without one are left out."""
    found: dict[bytes, int] = {}
    quoted = name.replace('"', '""')
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        # an expression, because Feast's converter of the column cannot read the ISO text of older stores
        statement = f'SELECT DISTINCT entity_key, ifnull(event_ts, 0) FROM "{quoted}" WHERE entity_key IN ({marks})'  # noqa: S608  # nosec B608 - a quoted name of a known view
        times = connection.execute(statement, chunk).fetchall()
        exact = {
            key: (seconds, exactly)
            for key, seconds, exactly in connection.execute(
                f"SELECT entity_key, event_ts, exact FROM {_TIMES} WHERE view = ? AND entity_key IN ({marks})",  # noqa: S608  # nosec B608 - a constant
                [name, *chunk],
            )
        }
        for key, seconds in times:
            ours = exact.get(key)
            moment = stored_time(seconds)
            # Feast's own tools write rows too: then the exact time is that of a row that is gone
            at = ours[1] if ours and ours[0] == seconds else microseconds(moment) if moment else _NEVER
            found[key] = max(at, found.get(key, _NEVER))
    return found
