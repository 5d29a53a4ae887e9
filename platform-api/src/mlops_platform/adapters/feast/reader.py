"""Reading Feast's SQLite online store in place: one statement per view, no response objects.

Feast's own read builds a protobuf answer per value, which is most of its time. The table layout and the key encoding are
Feast's; the contract test compares this reader's answers with Feast's.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_platform.adapters.feast.names import EntityKey, Value, serialize_entity_key
from mlops_platform.adapters.feast.sqlite import stored_time
from mlops_platform.features.interfaces import FeatureStoreUnavailable

# feature name -> (value, event time); None when nothing is stored for the entity
Found = dict[str, tuple[Value, datetime | None]] | None


def encoded(keys: Sequence[EntityKey], version: int) -> list[bytes]:
    """Return entity keys as Feast stores them."""
    return [serialize_entity_key(key, entity_key_serialization_version=version) for key in keys]


class SqliteReader:
    """A read-only connection of this process; SQLite allows writers beside it."""

    def __init__(self, path: Path, project: str) -> None:
        self._path = path
        self._project = project
        self._connection: sqlite3.Connection | None = None

    def read_entities(self, view: str, keys: Sequence[bytes], features: Sequence[str]) -> list[Found]:
        """Return what is stored for each key (see `encoded`), in order. Raises FeatureStoreUnavailable."""
        found: dict[bytes, dict[str, tuple[Value, datetime | None]]] = {}
        # rows written together share their event time: it is parsed once
        moments: dict[float | str | None, datetime | None] = {}
        for key, feature, value, stored in self.read(view, keys, features):
            moment = moments.get(stored)
            if moment is None:
                moment = moments[stored] = stored_time(stored)
            values = found.get(key)
            if values is None:
                values = found[key] = {}
            values[feature] = (Value.FromString(value), moment)
        return [found.get(key) for key in keys]

    def read(self, view: str, keys: Sequence[bytes], features: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return (key, feature, value bytes, event time text) rows."""
        table = f"{self._project}_{view}".replace('"', '""')
        statement = (
            f'SELECT entity_key, feature_name, value, event_ts FROM "{table}" '  # noqa: S608  # nosec B608 - a quoted name of a known view
            f"WHERE entity_key IN ({','.join('?' * len(keys))}) AND feature_name IN ({','.join('?' * len(features))})"
        )
        try:
            if self._connection is None:
                # used from one thread at a time; autocommit, so that each read sees the newest rows
                self._connection = sqlite3.connect(
                    f"file:{self._path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=2
                )
            return self._connection.execute(statement, [*keys, *features]).fetchall()
        except sqlite3.Error as error:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            raise FeatureStoreUnavailable from error
