"""A feature store in memory: what was written is what is read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlops_platform.features.interfaces import EntityType, FeatureStore, OnlineFeatures, View


def view(name: str, *, tenant: str | None = None, owner: str | None = None) -> View:
    """Return a view of one feature, `value`, keyed by `customer`."""
    return View(name, {"customer": "string"}, {"value": "Float64"}, None, tenant, True, "", {}, owner)


class RememberedFeatures(FeatureStore):
    """Views as given; every write is remembered."""

    def __init__(self, *views: View) -> None:
        self._views = {one.name: one for one in views}
        self.values: dict[tuple[str, Any], Any] = {}
        self.materialised: list[str] = []

    async def ping(self) -> None:
        return

    def views(self) -> Mapping[str, View]:
        return self._views

    def entities(self) -> list[EntityType]:
        return []

    async def refresh(self) -> None:
        return

    async def materialized(self) -> dict[str, datetime | None]:
        return {}

    async def online(self, refs: Sequence[tuple[str, str]], keys: Mapping[str, Sequence[Any]]) -> OnlineFeatures:
        columns = {feature: [self.values.get((name, key)) for key in keys["customer"]] for name, feature in refs}
        count = len(keys["customer"])
        return OnlineFeatures(
            columns,
            {name: ["PRESENT"] * count for name in columns},
            {name: [None] * count for name in columns},
        )

    async def push(self, view: str, rows: Mapping[str, Sequence[Any]]) -> int:
        for key, value in zip(rows["customer"], rows["value"], strict=True):
            self.values[view, key] = value
        return len(rows["customer"])

    async def materialize(self, views: Sequence[str] | None, until: datetime) -> list[str]:
        self.materialised += list(views or ())
        return list(views or ())

    async def historical(self, refs: Sequence[str], entity_rows: Any) -> Any:
        raise AssertionError("no case here asks for the past")
