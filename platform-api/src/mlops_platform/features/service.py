"""Reading features, for those who may."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog

from mlops_platform.errors import Invalid, NotFound
from mlops_platform.features.interfaces import (
    FeatureStore,
    FeatureStoreUnavailable,
    FeatureViewNotFound,
    KeysNotValid,
    OnlineFeatures,
    View,
)
from mlops_platform.features.schemas import (
    EntityList,
    EntitySummary,
    ViewList,
    ViewSummary,
)
from mlops_platform.telemetry import metrics, spans

log = structlog.get_logger(__name__)

MayRead = Callable[[str], bool]


class MalformedFeatureRef(Invalid):
    """The text names no feature."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"'{ref}' is not a feature: write 'view:feature'.")


class AmbiguousFeatureName(Invalid):
    """Two features of one name in one answer."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Two of the asked features are named '{name}'; ask for them in two requests.")


class EntityNotFound(NotFound):
    """The store has no value for an entity, and the caller wants an error then."""

    title = "There is no such entity in the feature store"

    def __init__(self, ids: list[str]) -> None:
        super().__init__(f"No value is stored for: {', '.join(ids[:10])}.")


def visible_view(store: FeatureStore, may_read: MayRead, name: str) -> View:
    """Return a view the caller may see: a shared one, or one of a tenant the caller may read. Raises FeatureViewNotFound."""
    view = store.views().get(name)
    if view is None or not (view.tenant is None or may_read(view.tenant)):
        raise FeatureViewNotFound(name)
    return view


async def retrieve(
    store: FeatureStore,
    may_read: MayRead,
    refs: Sequence[str],
    entity_ids: Sequence[Any],
    entities: Mapping[str, Sequence[Any]] | None = None,
    *,
    missing_is_error: bool = False,
) -> OnlineFeatures:
    """Return the newest values of features for entities; `may_read` says of which tenants the caller may read features.

    Raises MalformedFeatureRef, FeatureViewNotFound, FeatureNotFound, AmbiguousFeatureName, KeysNotValid and, when
    `missing_is_error`, EntityNotFound.
    """
    pairs = []
    for ref in refs:
        view, colon, feature = ref.partition(":")
        if not (view and colon and feature):
            raise MalformedFeatureRef(ref)
        pairs.append((view, feature))
    names = [feature for _, feature in pairs]
    if len(set(names)) != len(names):
        raise AmbiguousFeatureName(next(name for name in names if names.count(name) > 1))
    asked = {view for view, _ in pairs}
    await look_for(store, asked)
    join_keys = {key for name in asked for key in visible_view(store, may_read, name).join_keys}
    found = await _timed(store, pairs, _keys(join_keys, entity_ids, entities))
    if missing_is_error:
        _refuse_missing(found, entity_ids)
    return found


async def look_for(store: FeatureStore, names: Collection[str]) -> None:
    """Look for views that were applied a moment ago. Raises FeatureStoreUnavailable when nobody can say whether they exist."""
    known = store.views()
    if any(name not in known for name in names):
        await store.refresh()


async def _timed(
    store: FeatureStore, pairs: Sequence[tuple[str, str]], keys: Mapping[str, Sequence[Any]]
) -> OnlineFeatures:
    began = time.perf_counter()
    try:
        with spans.calling("feature store"):
            found = await store.online(pairs, keys)
    except FeatureStoreUnavailable:
        metrics.feature_retrieval_failures_total.inc()
        raise
    metrics.feature_retrieval_seconds.observe(time.perf_counter() - began)
    return found


def _keys(
    join_keys: set[str], entity_ids: Sequence[Any], entities: Mapping[str, Sequence[Any]] | None
) -> Mapping[str, Sequence[Any]]:
    """Return one column per join key."""
    if entities:
        if entity_ids:
            raise KeysNotValid("Give either 'entity_ids' or 'entities', not both.")
        if missing := join_keys - entities.keys():
            raise KeysNotValid(
                f"The views are keyed by {', '.join(sorted(join_keys))}; missing: {', '.join(sorted(missing))}."
            )
        if len({len(column) for column in entities.values()}) != 1 or not next(iter(entities.values())):
            raise KeysNotValid("Every column of 'entities' must have the same number of keys, at least one.")
        return entities
    if not entity_ids:
        raise KeysNotValid("'entity_ids' is empty: name at least one entity.")
    if len(join_keys) != 1:
        raise KeysNotValid(f"The views are keyed by {', '.join(sorted(join_keys))}; name each with 'entities'.")
    return {next(iter(join_keys)): entity_ids}


def _refuse_missing(found: OnlineFeatures, entity_ids: Sequence[Any]) -> None:
    statuses = list(found.statuses.values())
    absent = [index for index in range(len(statuses[0])) if any(column[index] == "NOT_FOUND" for column in statuses)]
    if absent:
        raise EntityNotFound([str(entity_ids[index]) if entity_ids else f"row {index}" for index in absent])


async def list_views(store: FeatureStore, may_read: MayRead) -> ViewList:
    """Return the views the caller may see, with those applied a moment ago."""
    await store.refresh()
    return ViewList(
        feature_views=[
            ViewSummary(
                name=view.name,
                entities=list(view.join_keys),
                features=list(view.features),
                types=view.features,
                ttl=view.ttl_seconds,
                tenant=view.tenant,
                writer=view.writer,
                description=view.description,
            )
            for view in store.views().values()
            if view.tenant is None or may_read(view.tenant)
        ]
    )


async def list_entities(store: FeatureStore) -> EntityList:
    """Return the entity types, with those applied a moment ago."""
    await store.refresh()
    return EntityList(
        entities=[
            EntitySummary(
                name=entity.name, join_key=entity.join_key, value_type=entity.value_type, description=entity.description
            )
            for entity in store.entities()
        ]
    )


def provenance(found: OnlineFeatures) -> dict[str, Any]:
    """Return statuses and event timestamps per feature."""
    return {"statuses": found.statuses, "event_timestamps": found.timestamps}


async def follow_definitions(store: FeatureStore, every_seconds: float = 5.0) -> None:
    """Look for definitions applied elsewhere, until cancelled: nobody has to ask for a view that is not known yet.

    While the store cannot be read, the definitions known stay; that is logged when it begins and when it ends.
    """
    failing = False
    while True:
        try:
            await store.refresh()
        except FeatureStoreUnavailable as error:
            if not failing:
                log.warning("feature definitions not read", cause=repr(error.__cause__))
            failing = True
        except Exception:  # a background task's boundary: the next look tries again, what is known stays
            log.exception("feature definitions not read")
            failing = True
        else:
            if failing:
                log.info("feature definitions are read again")
            failing = False
        await asyncio.sleep(every_seconds)
