"""Feast as the feature store, for any of its online stores; its definitions are read once and kept in memory."""

import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pandas as pd
from botocore.exceptions import BotoCoreError, ClientError

from mlops_platform.adapters.feast.names import (
    EntityKey,
    FeastConfigError,
    FeastError,
    FeatureView,
    PushMode,
    Value,
    ValueType,
)
from mlops_platform.adapters.feast.names import FeatureStore as Feast
from mlops_platform.adapters.feast.reader import Found, SqliteReader, encoded
from mlops_platform.features.interfaces import (
    EntityType,
    FeatureNotFound,
    FeatureStore,
    FeatureStoreUnavailable,
    FeatureViewNotFound,
    KeysNotValid,
    OnlineFeatures,
    PushNotPossible,
    Status,
    View,
)
from mlops_platform.kit.clock import now

# how long definitions applied elsewhere may stay unseen
_LOOK_SECONDS = 5.0
Result = TypeVar("Result")
_TEXT = {ValueType.STRING, ValueType.UNKNOWN}
_WHOLE = {ValueType.INT32, ValueType.INT64}


class FeastStore(FeatureStore):
    """A Feast repository (`feature_store.yaml`). An embedded SQLite store is read in place, others in a thread."""

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._store: Feast | None = None
        self._views: dict[str, View] = {}
        self._definitions: dict[str, FeatureView] = {}
        self._entities: list[EntityType] = []
        self._key_types: dict[str, ValueType] = {}
        self._sqlite: SqliteReader | None = None
        self._applied = 0.0
        self._look_after = 0.0

    def _open(self) -> Feast:
        """Return the open repository, reading its definitions on first use. Raises FeatureStoreUnavailable."""
        if self._store is None:
            if not (self._repo / "feature_store.yaml").exists():
                raise FeatureStoreUnavailable
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    store = Feast(repo_path=str(self._repo))
                    self._read_definitions(store)
            except _failures(FeastConfigError, ValueError) as error:
                raise FeatureStoreUnavailable from error
            self._store, self._applied = store, self._applied_at()
            online = store.config.online_store
            if online.type == "sqlite":
                path = Path(online.path)
                self._sqlite = SqliteReader(path if path.is_absolute() else self._repo / path, store.project)
        return self._store

    def _read_definitions(self, store: Feast) -> None:
        entities = {entity.name: entity for entity in store.list_entities(allow_cache=False)}
        self._entities = [
            EntityType(entity.name, entity.join_key, entity.value_type.name.lower(), entity.description or "")
            for entity in entities.values()
        ]
        self._key_types = {entity.join_key: entity.value_type for entity in entities.values()}
        definitions = {view.name: view for view in store.list_feature_views(allow_cache=False)}
        self._views = {
            name: View(
                name=name,
                join_keys={key: self._key_types[key].name.lower() for key in view.join_keys},
                features={field.name: str(field.dtype) for field in view.features},
                ttl_seconds=view.ttl.total_seconds() if view.ttl else None,
                tenant=view.tags.get("tenant"),
                online=view.online,
                description=view.description or "",
                tags=dict(view.tags),
            )
            for name, view in definitions.items()
        }
        self._definitions = definitions

    async def _call(self, function: Callable[[Feast], Result]) -> Result:
        try:
            return await anyio.to_thread.run_sync(lambda: function(self._open()))
        except _failures() as error:
            raise FeatureStoreUnavailable from error

    async def ping(self) -> None:
        await anyio.to_thread.run_sync(self._open)
        view = next(iter(self._views.values()), None)
        if view is None:
            return
        if self._sqlite is not None:
            self._sqlite.read(view.name, [b""], [])
        else:
            await self._read(view.name, list(view.features)[:1], [EntityKey()])

    async def refresh(self) -> None:
        await self._call(self._read_definitions)

    async def materialized(self) -> dict[str, datetime | None]:
        def read(feast: Feast) -> dict[str, datetime | None]:
            views = feast.list_feature_views(allow_cache=False)
            return {view.name: _zoned(view.most_recent_end_time) for view in views if view.online}

        return await self._call(read)

    def views(self) -> dict[str, View]:
        self._open()
        return self._views

    def entities(self) -> list[EntityType]:
        self._open()
        return self._entities

    async def _follow_definitions(self) -> None:
        """Read the definitions again when somebody applied others; a look at the registry file every few seconds tells."""
        self._look_after = time.monotonic() + _LOOK_SECONDS
        applied = self._applied_at()
        if applied != self._applied:
            await self.refresh()
            self._applied = applied

    def _applied_at(self) -> float:
        registry = self._repo / "data" / "registry.db"
        return registry.stat().st_mtime if registry.exists() else 0.0

    async def online(self, refs: Sequence[tuple[str, str]], keys: Mapping[str, Sequence[Any]]) -> OnlineFeatures:
        if self._store is None:
            await anyio.to_thread.run_sync(self._open)
        if time.monotonic() > self._look_after:
            await self._follow_definitions()
        wanted: dict[str, list[str]] = {}
        for view, feature in refs:
            known = self._views.get(view)
            if known is None:
                raise FeatureViewNotFound(view)
            if feature not in known.features:
                raise FeatureNotFound(view, feature, list(known.features))
            wanted.setdefault(view, []).append(feature)
        columns: dict[str, list[Any]] = {feature: [] for _, feature in refs}
        statuses: dict[str, list[Status]] = {feature: [] for _, feature in refs}
        timestamps: dict[str, list[datetime | None]] = {feature: [] for _, feature in refs}
        assert self._store is not None
        version = self._store.config.entity_key_serialization_version
        # views of one entity share their keys
        entity_keys: dict[tuple[str, ...], list[EntityKey]] = {}
        stored_keys: dict[tuple[str, ...], list[bytes]] = {}
        for view, features in wanted.items():
            join_keys = tuple(self._views[view].join_keys)
            if join_keys not in entity_keys:
                entity_keys[join_keys] = self._entity_keys(join_keys, keys)
                stored_keys[join_keys] = encoded(entity_keys[join_keys], version) if self._sqlite else []
            if self._sqlite is not None:
                found = self._sqlite.read_entities(view, stored_keys[join_keys], features)
            else:
                found = await self._read(view, features, entity_keys[join_keys])
            _fill(found, features, self._views[view].ttl_seconds, columns, statuses, timestamps)
        return OnlineFeatures(columns, statuses, timestamps)

    async def _read(self, view: str, features: list[str], entity_keys: list[EntityKey]) -> list[Found]:
        definition = self._definitions[view]
        # each entity once: DynamoDB refuses a batch that names one twice
        asked = [key.SerializeToString(deterministic=True) for key in entity_keys]
        distinct = dict(zip(asked, entity_keys, strict=True))

        def read(feast: Feast) -> list[Found]:
            # a list of its own: the Redis store adds names to the one it is given
            answer = feast._get_provider().online_read(  # noqa: SLF001 - Feast's own readers go this way
                feast.config, definition, list(distinct.values()), list(features)
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

    def _entity_keys(self, join_keys: tuple[str, ...], keys: Mapping[str, Sequence[Any]]) -> list[EntityKey]:
        rows = zip(*(self._typed(key, keys[key]) for key in join_keys), strict=True)
        return [EntityKey(join_keys=join_keys, entity_values=values) for values in rows]

    def _typed(self, key: str, values: Sequence[Any]) -> list[Value]:
        """Return the keys as Feast values. Raises KeysNotValid for a key of the wrong type."""
        kind = self._key_types[key]
        if kind in _TEXT:
            if not all(isinstance(value, str) for value in values):
                raise KeysNotValid(f"'{key}' is text; put the ids in quotes.")
            return [Value(string_val=value) for value in values]
        try:
            numbers = [int(value) for value in values]
        except ValueError as error:
            raise KeysNotValid(f"'{key}' is a whole number.") from error
        if kind not in _WHOLE:
            raise KeysNotValid(f"'{key}' is of type {kind.name.lower()}, which cannot be a key here.")
        return [Value(int32_val=number) if kind is ValueType.INT32 else Value(int64_val=number) for number in numbers]

    async def push(self, view: str, rows: Mapping[str, Sequence[Any]]) -> int:
        def write(feast: Feast) -> int:
            definition = self._definitions.get(view)
            if definition is None:
                raise FeatureViewNotFound(view)
            if definition.stream_source is None:
                raise PushNotPossible(f"The view '{view}' has no push source; add one to its definition.")
            table = self._table(view, rows)
            feast.push(definition.stream_source.name, table, to=PushMode.ONLINE)
            return len(table)

        return await self._call(write)

    def _table(self, view: str, rows: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
        known = self._views[view]
        needed = {*known.join_keys, *known.features}
        if missing := needed - rows.keys():
            raise KeysNotValid(f"The view '{view}' needs these columns too: {', '.join(sorted(missing))}.")
        if extra := rows.keys() - needed - {"event_timestamp"}:
            raise KeysNotValid(f"The view '{view}' has no columns named: {', '.join(sorted(extra))}.")
        table = pd.DataFrame({name: list(column) for name, column in rows.items()})
        try:
            times = table["event_timestamp"] if "event_timestamp" in table else [now()] * len(table)
            table["event_timestamp"] = pd.to_datetime(times, utc=True)
            for name, kind in known.features.items():
                if kind != "String":
                    table[name] = pd.to_numeric(table[name])
        except (ValueError, TypeError) as error:
            raise KeysNotValid(
                "A column has a value of the wrong type; numbers and RFC 3339 times are expected."
            ) from error
        return table

    async def materialize(self, views: Sequence[str] | None, until: datetime) -> list[str]:
        names = list(views) if views is not None else list(self.views())
        await self._call(lambda feast: feast.materialize_incremental(until, feature_views=names))
        return names

    async def historical(self, refs: Sequence[str], entity_rows: Any) -> Any:
        return await self._call(
            lambda feast: feast.get_historical_features(entity_df=entity_rows, features=list(refs)).to_df()
        )


def _failures(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """What Feast, its registries and its online stores raise when one of them does not answer."""
    # a laptop's SQLite store needs no Redis client: whether one was loaded is asked when something has failed
    client = sys.modules.get("redis.exceptions")
    theirs = (client.RedisError,) if client else ()
    return (FeastError, OSError, BotoCoreError, ClientError, *theirs, *others)


def _zoned(moment: datetime | None) -> datetime | None:
    # Feast's older stores give times without a zone: they are UTC
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


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
            moment = _zoned(moment)
            kind = value.WhichOneof("val")
            times.append(moment)
            if oldest is not None and moment is not None and moment < oldest:
                values.append(None)
                states.append("OUTSIDE_MAX_AGE")
            elif kind is None or kind == "null_val":
                values.append(None)
                states.append("NULL")
            else:
                content = getattr(value, kind)
                values.append(list(content.val) if kind.endswith("list_val") else content)
                states.append("PRESENT")
