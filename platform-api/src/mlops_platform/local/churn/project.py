"""The churn project on disk: raw events, feature history, a Feast repository, the online store."""

import json
import shutil
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_platform.kit.clock import now
from mlops_platform.local.churn.events import CUSTOMERS, purchases
from mlops_platform.local.churn.pipeline import FEATURES, history, labels
from mlops_platform.settings import Settings

VIEW = "customer_features"
# features older than this are not served: a customer nobody recomputed for two months is not known any more
TTL = timedelta(days=60)
# the shop's clock: an older preparation is made again, so that "the last 30 days" stays true
_STALE = timedelta(days=14)
_CONFIG = """project: churn
provider: local
registry:
  registry_type: file
  path: data/registry.db
  cache_ttl_seconds: 0
online_store:
  type: sqlite
  path: data/online.db
offline_store:
  type: file
entity_key_serialization_version: 3
"""


def prepare(settings: Settings, progress: Callable[[str], None]) -> None:
    """Make the project unless a fresh one is there. Safe to interrupt: the marker is written last."""
    repo = settings.feast_folder
    marker = repo / "data" / "prepared.json"
    if marker.exists() and now() - datetime.fromisoformat(json.loads(marker.read_text())["end"]) < _STALE:
        progress("the churn project is prepared")
        return
    data = repo / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(_CONFIG)
    end = now().replace(hour=0, minute=0, second=0, microsecond=0)
    events = purchases(end)
    events.to_parquet(data / "purchases.parquet", index=False)
    progress(f"{len(events):,} purchases of {CUSTOMERS:,} customers")
    table = history(events, end, _customers())
    table.to_parquet(data / "customer_features.parquet", index=False)
    progress(f"{len(table):,} rows of feature history")
    _apply(repo, data)
    progress("feature definitions applied")
    _materialize(repo, end)
    marker.write_text(json.dumps({"end": end.isoformat()}))
    progress("features of every customer are online")


def training_set(settings: Settings | None = None) -> pd.DataFrame:
    """Return one row per customer: features as they were at a random moment (point-in-time join) and whether the customer churned.

    Moments lie between 300 and 60 days ago, so that the 60 days after each are known.
    """
    from mlops_platform.adapters.feast.names import FeatureStore

    repo = (settings or Settings()).feast_folder
    marker = json.loads((repo / "data" / "prepared.json").read_text())
    end = datetime.fromisoformat(marker["end"])
    events = pd.read_parquet(repo / "data" / "purchases.parquet")
    days = np.random.default_rng(3).uniform(60, 300, CUSTOMERS)
    moments = pd.DataFrame(
        {
            "customer_id": _customers(),
            "event_timestamp": pd.Timestamp(end) - pd.to_timedelta((days * 86_400).astype("int64"), unit="s"),
        }
    )
    moments["churned"] = labels(events, moments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = FeatureStore(repo_path=str(repo))
        joined = store.get_historical_features(
            entity_df=moments, features=[f"{VIEW}:{name}" for name in FEATURES]
        ).to_df()
    table: pd.DataFrame = joined.dropna().sort_values("customer_id", ignore_index=True)
    return table


def _customers() -> list[str]:
    return [f"customer_{number}" for number in range(CUSTOMERS)]


def _apply(repo: Path, data: Path) -> None:
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

    source = FileSource(
        name="customer_features_history",
        path=str((data / "customer_features.parquet").absolute()),
        timestamp_field="event_timestamp",
    )
    whole = {"total_purchases", "purchases_last_30d"}
    customer = Entity(
        name="customer", join_keys=["customer_id"], value_type=ValueType.STRING, description="A customer of the shop."
    )
    view = FeatureView(
        name=VIEW,
        entities=[customer],
        ttl=TTL,
        schema=[Field(name=name, dtype=Int64 if name in whole else Float64) for name in FEATURES],
        source=PushSource(name="customer_features_push", batch_source=source),
        description="What a customer bought, how much and how recently.",
        tags={"owner": "data-science@company.com"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FeatureStore(repo_path=str(repo)).apply([customer, view])


def _materialize(repo: Path, end: datetime) -> None:
    from mlops_platform.adapters.feast.names import FeatureStore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = FeatureStore(repo_path=str(repo))
        store.materialize(start_date=end - timedelta(days=1), end_date=datetime.now(UTC), feature_views=[VIEW])
