"""Feast as the feature store, for any of its online stores; its definitions are read once, kept in memory and followed."""

import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import anyio
from botocore.exceptions import BotoCoreError, ClientError

from mlops_platform.adapters.feast.definitions import Definitions, Watched
from mlops_platform.adapters.feast.names import EntityKey, FeastConfigError, FeastError
from mlops_platform.adapters.feast.names import FeatureStore as Feast
from mlops_platform.adapters.feast.newest import in_utc
from mlops_platform.adapters.feast.opening import keeps_newest, open_repository
from mlops_platform.adapters.feast.reader import Found, SqliteReader, encoded
from mlops_platform.adapters.feast.rows import entity_keys, feast_rows
from mlops_platform.adapters.feast.values import json_value
from mlops_platform.features.interfaces import (
    EntityType,
    FeatureNotFound,
    FeatureStore,
    FeatureStoreUnavailable,
    FeatureViewNotFound,
    OnlineFeatures,
    OnlineStoreUnordered,
    PushNotPossible,
    Status,
    View,
)
from mlops_platform.kit.clock import now

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Open:
    """An open repository: Feast for the online store, the definitions, and the reader when the store is SQLite."""

    feast: Feast
    definitions: Watched
    sqlite: SqliteReader | None


class FeastStore(FeatureStore):
    """A Feast repository (`feature_store.yaml`). An embedded SQLite store is read in place, others in a thread."""

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._opened: _Open | None = None
        self._opening = threading.Lock()
        # Feast changes the registry it has read: two materialisations at once would share what they write
        self._materializing = threading.Lock()

    def _open(self) -> _Open:
        """Return the open repository, reading its definitions on first use. Raises FeatureStoreUnavailable."""
        if (opened := self._opened) is not None:
            return opened
        with self._opening:
            if self._opened is None:
                self._opened = self._opened_now()
            return self._opened

    def _opened_now(self) -> _Open:
        if not (self._repo / "feature_store.yaml").exists():
            raise FeatureStoreUnavailable
        try:
            feast = open_repository(self._repo)
            definitions = Watched(open_repository(self._repo))
            online = feast.config.online_store
        except _failures(FeastConfigError, ValueError) as error:
            raise FeatureStoreUnavailable from error
        sqlite = None
        if online.type.endswith("SqliteOnlineStore"):
            path = Path(online.path)
            sqlite = SqliteReader(path if path.is_absolute() else self._repo / path, feast.project)
        return _Open(feast, definitions, sqlite)

    async def _call(self, function: Callable[[_Open], Result]) -> Result:
        try:
            return await anyio.to_thread.run_sync(lambda: function(self._open()))
        except _failures() as error:
            raise FeatureStoreUnavailable from error

    async def ping(self) -> None:
        opened = await anyio.to_thread.run_sync(self._open)
        view = next(iter(opened.definitions.now.views.values()), None)
        if view is None:
            return
        if opened.sqlite is not None:
            opened.sqlite.read(view.name, [b""], [])
        else:
            await self._read(opened.definitions.now, view.name, list(view.features)[:1], [EntityKey()])

    async def refresh(self) -> None:
        await self._call(lambda opened: opened.definitions.look())

    async def materialized(self) -> dict[str, datetime | None]:
        return await self._call(lambda opened: opened.definitions.materialized())

    def views(self) -> Mapping[str, View]:
        return self._open().definitions.now.views

    def entities(self) -> list[EntityType]:
        return self._open().definitions.now.entities

    async def online(self, refs: Sequence[tuple[str, str]], keys: Mapping[str, Sequence[Any]]) -> OnlineFeatures:
        opened = self._opened
        if opened is None:
            opened = await anyio.to_thread.run_sync(self._open)
        definitions = opened.definitions.now
        wanted: dict[str, list[str]] = {}
        for view, feature in refs:
            known = definitions.views.get(view)
            if known is None:
                raise FeatureViewNotFound(view)
            if feature not in known.features:
                raise FeatureNotFound(view, feature, list(known.features))
            wanted.setdefault(view, []).append(feature)
        columns: dict[str, list[Any]] = {feature: [] for _, feature in refs}
        statuses: dict[str, list[Status]] = {feature: [] for _, feature in refs}
        timestamps: dict[str, list[datetime | None]] = {feature: [] for _, feature in refs}
        version = opened.feast.config.entity_key_serialization_version
        # views of one entity share their keys
        of_entities: dict[tuple[str, ...], list[EntityKey]] = {}
        stored_keys: dict[tuple[str, ...], list[bytes]] = {}
        for view, features in wanted.items():
            join_keys = tuple(definitions.views[view].join_keys)
            if join_keys not in of_entities:
                of_entities[join_keys] = entity_keys(join_keys, definitions.key_types, keys)
                stored_keys[join_keys] = encoded(of_entities[join_keys], version) if opened.sqlite else []
            if opened.sqlite is not None:
                found = opened.sqlite.read_entities(view, stored_keys[join_keys], features)
            else:
                found = await self._read(definitions, view, features, of_entities[join_keys])
            _fill(found, features, definitions.views[view].ttl_seconds, columns, statuses, timestamps)
        return OnlineFeatures(columns, statuses, timestamps)

    async def _read(
        self, definitions: Definitions, view: str, features: list[str], keys: list[EntityKey]
    ) -> list[Found]:
        definition = definitions.feast_views[view]
        # each entity once: DynamoDB refuses a batch that names one twice
        asked = [key.SerializeToString(deterministic=True) for key in keys]
        distinct = dict(zip(asked, keys, strict=True))

        def read(opened: _Open) -> list[Found]:
            # a list of its own: the Redis store adds names to the one it is given
            answer = opened.feast._get_provider().online_read(  # noqa: SLF001 - Feast's own readers go this way
                opened.feast.config, definition, list(distinct.values()), list(features)
            )
            found = [
                # Redis answers nulls of 1970 for an entity it has never seen
                None
                if values is None or moment is None or moment.timestamp() == 0
                else {name: (value, moment) for name, value in values.items()}
                for moment, values in answer
            ]
            stored = dict(zip(distinct, found, strict=True))
            return [stored[key] for key in asked]

        return await self._call(read)

    async def push(self, view: str, rows: Mapping[str, Sequence[Any]]) -> int:
        def write(opened: _Open) -> int:
            definitions = opened.definitions.now
            definition = definitions.feast_views.get(view)
            if definition is None:
                raise FeatureViewNotFound(view)
            if definition.stream_source is None:
                raise PushNotPossible(f"The view '{view}' has no push source; add one to its definition.")
            _ensure_ordered(opened.feast)
            found = feast_rows(definitions.views[view], definition, definitions.key_types, rows, now())
            # straight to the store: Feast's own push writes to every view of the source, and drops rows of nulls
            opened.feast._get_provider().online_write_batch(opened.feast.config, definition, found, None)  # noqa: SLF001
            return len(found)

        return await self._call(write)

    async def materialize(self, views: Sequence[str] | None, until: datetime) -> list[str]:
        def write(opened: _Open) -> list[str]:
            _ensure_ordered(opened.feast)
            names = list(views) if views is not None else list(opened.definitions.now.views)
            with self._materializing:
                # a store of its own: it writes the registry, from the state it has read
                open_repository(self._repo).materialize_incremental(until, feature_views=names)
            return names

        return await self._call(write)

    async def historical(self, refs: Sequence[str], entity_rows: Any) -> Any:
        return await self._call(
            lambda opened: opened.feast.get_historical_features(entity_df=entity_rows, features=list(refs)).to_df()
        )


def _ensure_ordered(feast: Feast) -> None:
    if not keeps_newest(feast):
        raise OnlineStoreUnordered(feast.config.online_store.type)


def _failures(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What Feast, its registries and its online stores raise when one of them does not answer."""
    # a laptop's SQLite store needs neither Redis nor SQLAlchemy: whether they were loaded is asked when something has failed
    redis, sql = sys.modules.get("redis.exceptions"), sys.modules.get("sqlalchemy.exc")
    theirs = [*([redis.RedisError] if redis else []), *([sql.SQLAlchemyError] if sql else [])]
    return (FeastError, OSError, BotoCoreError, ClientError, sqlite3.Error, *theirs, *others)


def _fill(
    found: list[Found],
    features: list[str],
    ttl_seconds: float | None,
    columns: dict[str, list[Any]],
    statuses: dict[str, list[Status]],
    timestamps: dict[str, list[datetime | None]],
) -> None:
    oldest = now() - timedelta(seconds=ttl_seconds) if ttl_seconds else None
    for feature in features:
        values, states, times = columns[feature], statuses[feature], timestamps[feature]
        for entity in found:
            stored = entity.get(feature) if entity else None
            if stored is None:
                values.append(None)
                states.append("NOT_FOUND")
                times.append(None)
                continue
            value, moment = stored
            # Feast's older stores give times without a zone
            moment = in_utc(moment) if moment is not None else None
            times.append(moment)
            if oldest is not None and moment is not None and moment < oldest:
                values.append(None)
                states.append("OUTSIDE_MAX_AGE")
                continue
            content = json_value(value)
            values.append(content)
            states.append("NULL" if content is None else "PRESENT")
