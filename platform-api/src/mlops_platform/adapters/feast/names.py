"""What the platform uses of Feast, imported in half the time.

Feast has typeguard check its types while it runs: each of its classes is rewritten and compiled at import, two and a half
seconds of processor in every process that starts. typeguard says of itself that production is not the place for it, and our
calls are checked by mypy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typeguard


def _as_it_is(target: Any = None, **_options: Any) -> Any:
    """Stand for `typechecked`, with or without arguments."""
    return _as_it_is if target is None else target


@contextmanager
def _without_checks() -> Iterator[None]:
    checked = typeguard.typechecked
    typeguard.typechecked = _as_it_is
    try:
        yield
    finally:
        typeguard.typechecked = checked


with _without_checks():
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
    from feast.errors import FeastError
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
    from feast.infra.registry.file import FileRegistryStore
    from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value
    from feast.repo_config import FeastConfigBaseModel, FeastConfigError, RepoConfig
    from feast.type_map import feast_value_type_to_python_type
    from feast.types import Float64, Int64
    from feast.value_type import ValueType

__all__ = [
    "Entity",
    "EntityKey",
    "FeastConfigBaseModel",
    "FeastConfigError",
    "FeastError",
    "FeatureStore",
    "FeatureView",
    "Field",
    "FileRegistryStore",
    "FileSource",
    "Float64",
    "Int64",
    "PushSource",
    "RegistryProto",
    "RepoConfig",
    "SqliteOnlineStore",
    "SqliteOnlineStoreConfig",
    "Value",
    "ValueType",
    "compute_table_id",
    "feast_value_type_to_python_type",
    "serialize_entity_key",
]
