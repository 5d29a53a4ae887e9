"""The definitions of a repository, read at one moment, and looking whether others were applied since."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from mlops_platform.adapters.feast.names import FeatureStore, FeatureView, ValueType
from mlops_platform.adapters.feast.newest import in_utc
from mlops_platform.adapters.feast.opening import registry_file
from mlops_platform.features.interfaces import EntityType, View

log = structlog.get_logger(__name__)

# a registry that is a file says by its time whether it changed; others (S3, SQL) are read again, this often at most
_READ_SECONDS = 15.0


@dataclass(frozen=True)
class Definitions:
    """Everything applied, never changed once made: whoever holds it reads one consistent state."""

    views: Mapping[str, View]
    feast_views: Mapping[str, FeatureView]
    entities: list[EntityType]
    key_types: Mapping[str, ValueType]


def read_definitions(store: FeatureStore) -> Definitions:
    """Read the registry. A view that makes no sense is left out and logged; the others stay. Raises FeastError and OSError."""
    # views first: an entity applied in between is one too many, not one too few
    feast_views = {view.name: view for view in store.list_feature_views(allow_cache=False)}
    entities = list(store.list_entities(allow_cache=False))
    key_types = {entity.join_key: entity.value_type for entity in entities}
    views = {}
    for name, view in feast_views.items():
        if unknown := [key for key in view.join_keys if key not in key_types]:
            log.error("a feature view is left out: its entity is not in the registry", view=name, keys=unknown)
            continue
        views[name] = View(
            name=name,
            join_keys={key: key_types[key].name.lower() for key in view.join_keys},
            features={field.name: str(field.dtype) for field in view.features},
            ttl_seconds=view.ttl.total_seconds() if view.ttl else None,
            tenant=view.tags.get("tenant"),
            online=view.online,
            description=view.description or "",
            tags=dict(view.tags),
            owner=view.tags.get("owner_tenant") or None,
        )
    shown = [
        EntityType(entity.name, entity.join_key, entity.value_type.name.lower(), entity.description or "")
        for entity in entities
    ]
    return Definitions(views, {name: feast_views[name] for name in views}, shown, key_types)


class Watched:
    """The definitions of a repository as of the last look. Its Feast store reads the registry and never writes it."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._file = registry_file(store.config)
        self._looking = threading.Lock()
        # before reading, so that what is applied meanwhile is seen by the next look
        self._seen = _state(self._file)
        self.now = read_definitions(store)
        self._read_at = time.monotonic()

    def look(self) -> None:
        """Read the definitions again when others were applied. When that fails, those known stay. Raises FeastError and OSError."""
        with self._looking:
            state = _state(self._file)
            if state == self._seen if self._file else time.monotonic() < self._read_at + _READ_SECONDS:
                return
            self.now = read_definitions(self._store)
            self._seen, self._read_at = state, time.monotonic()

    def materialized(self) -> dict[str, datetime | None]:
        """Return up to when each online view was materialised, as the registry says now. Raises FeastError and OSError."""
        views = self._store.list_feature_views(allow_cache=False)
        ends = {view.name: view.most_recent_end_time for view in views if view.online}
        return {name: in_utc(end) if end is not None else None for name, end in ends.items()}


def _state(file: Path | None) -> tuple[int, int, int] | None:
    try:
        found = file.stat() if file else None
    except FileNotFoundError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
