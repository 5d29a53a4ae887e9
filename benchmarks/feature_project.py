"""A Feast project of 10,000 entities and three views of five features: made once, served by both sides."""

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

ENTITIES = 10_000
FEATURES = [f"view{view}:v{view}_f{index}" for view in range(3) for index in range(5)]
_CONFIGURATION = """project: bench
provider: local
registry: data/registry.db
online_store:
  type: sqlite
  path: data/online.db
entity_key_serialization_version: 3
"""


def make(folder: Path) -> None:
    """Write the project and bring all of it online."""
    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(_CONFIGURATION)
    random = np.random.default_rng(0)
    moment = datetime.now(UTC) - timedelta(hours=1)
    entity = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    views = []
    for view in range(3):
        names = [ref.split(":")[1] for ref in FEATURES if ref.startswith(f"view{view}:")]
        path = folder / "data" / f"view{view}.parquet"
        columns = {name: random.random(ENTITIES) for name in names}
        ids = [f"customer_{number}" for number in range(ENTITIES)]
        pd.DataFrame({"customer_id": ids, "event_timestamp": moment, **columns}).to_parquet(path)
        views.append(
            FeatureView(
                name=f"view{view}",
                entities=[entity],
                ttl=timedelta(days=30),
                schema=[Field(name=name, dtype=Float64) for name in names],
                source=FileSource(path=str(path), timestamp_field="event_timestamp"),
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = FeatureStore(repo_path=str(folder))
        store.apply([entity, *views])
        store.materialize(moment - timedelta(days=1), datetime.now(UTC))
