"""A small Feast repository on disk: one entity, and views over histories that do not have to be there."""

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Int64

NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
SQLITE = "  type: sqlite\n  path: data/online.db\n"


def make(folder: Path, registry: str = "data/registry.db", online: str = SQLITE) -> FeatureStore:
    """Write a repository without views."""
    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(
        f"project: shop\nprovider: local\nregistry: {registry}\nonline_store:\n{online}entity_key_serialization_version: 3\n"
    )
    return FeatureStore(repo_path=str(folder))


def apply(folder: Path, name: str, *features: str) -> FeatureView:
    """Apply a view as a person does, with Feast's own tools, over a history of one row."""
    path = folder / "data" / f"{name}.parquet"
    row = {"number": [1], "event_timestamp": [NOON], **{feature: [1] for feature in features}}
    pd.DataFrame(row).to_parquet(path)
    number = Entity(name="number", join_keys=["number"], value_type=ValueType.INT64)
    source = FileSource(path=str(path), timestamp_field="event_timestamp")
    view = FeatureView(
        name=name,
        entities=[number],
        schema=[Field(name=feature, dtype=Int64) for feature in features],
        source=PushSource(name=f"{name}_push", batch_source=source),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FeatureStore(repo_path=str(folder)).apply([number, view])
    return view
