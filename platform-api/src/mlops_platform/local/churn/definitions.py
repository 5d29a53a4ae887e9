"""What the demo applies to a repository: one entity and one view, and how to tell them from what somebody else made of them."""

import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

from mlops_platform.adapters.feast.names import (
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    Float64,
    Int64,
    PushSource,
    ValueType,
)
from mlops_platform.local.churn.pipeline import FEATURES

VIEW = "customer_features"
ENTITY = "customer"
# features older than this are not served: a customer nobody recomputed for two months is not known any more
TTL = timedelta(days=60)
_WHOLE = frozenset({"total_purchases", "purchases_last_30d"})


def is_free(store: FeatureStore) -> bool:
    """Say whether nothing was applied that the demo does not apply itself."""
    names = {*_names(store.list_entities(allow_cache=False)), *_names(store.list_feature_views(allow_cache=False))}
    others = (
        store.list_on_demand_feature_views(allow_cache=False),
        store.list_stream_feature_views(allow_cache=False),
        store.list_feature_services(),
    )
    return names <= {ENTITY, VIEW, "__dummy"} and not any(others)


def is_applied(store: FeatureStore) -> bool:
    """Say whether the demo's view is there as the demo applies it, but for where its history lies."""
    views = {view.name: view for view in store.list_feature_views(allow_cache=False)}
    found = views.get(VIEW)
    return found is not None and _shape(found) == {field.name: field.dtype for field in _fields()}


def apply(store: FeatureStore, history: str) -> None:
    """Apply the entity and the view over a history; `history` is relative to the repository, so that a home can be moved."""
    source = FileSource(name="customer_features_history", path=history, timestamp_field="event_timestamp")
    customer = Entity(
        name=ENTITY, join_keys=["customer_id"], value_type=ValueType.STRING, description="A customer of the shop."
    )
    view = FeatureView(
        name=VIEW,
        entities=[customer],
        ttl=TTL,
        schema=_fields(),
        source=PushSource(name="customer_features_push", batch_source=source),
        description="What a customer bought, how much and how recently.",
        tags={"owner": "data-science@company.com", "owner_tenant": "default"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.apply([customer, view])


def history_of(store: FeatureStore, repo: Path) -> Path | None:
    """Return where the applied view reads its history."""
    view = store.get_feature_view(VIEW)
    path = getattr(view.batch_source, "path", None)
    return None if path is None else repo / path


def _fields() -> list[Field]:
    return [Field(name=name, dtype=Int64 if name in _WHOLE else Float64) for name in FEATURES]


def _shape(view: FeatureView) -> dict[str, Any]:
    return {field.name: field.dtype for field in view.features}


def _names(found: list[Any]) -> set[str]:
    return {one.name for one in found}
