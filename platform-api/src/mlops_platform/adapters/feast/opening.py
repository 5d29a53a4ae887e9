"""Opening a Feast repository as the platform does: whatever its file names, with stores that keep newer values.

`feature_store.yaml` may be a team's own and is never rewritten. Feast's plain `sqlite`, `redis` and `dynamodb` are replaced
by ours in memory, with the same settings and the same layout of data; so is the writer of a registry that is a file.
"""

import os
import warnings
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from mlops_platform.adapters.feast.names import FeastConfigBaseModel, FeatureStore, RepoConfig

_ONLINE = {
    "sqlite": "mlops_platform.adapters.feast.sqlite.NewestSqliteOnlineStore",
    "feast.infra.online_stores.sqlite.SqliteOnlineStore": "mlops_platform.adapters.feast.sqlite.NewestSqliteOnlineStore",
    "redis": "mlops_platform.adapters.feast.redis.NewestRedisOnlineStore",
    "dynamodb": "mlops_platform.adapters.feast.dynamodb.NewestDynamoDBOnlineStore",
}
_OF_FILES = {"file", "dask"}
_REGISTRIES = {
    "": "mlops_platform.adapters.feast.registry.WholeFileRegistryStore",
    "s3": "mlops_platform.adapters.feast.registry_s3.MergingS3RegistryStore",
}


def open_repository(folder: Path) -> FeatureStore:
    """Return the repository of a folder; nothing is connected yet. Raises FeastError, ValueError and OSError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            config = _config(folder)
        except (yaml.YAMLError, TypeError, ValidationError) as error:
            raise ValueError(f"{folder / 'feature_store.yaml'} is no Feast configuration") from error
        if config.online_config is None:
            raise ValueError(f"{folder / 'feature_store.yaml'} has no online store")
        config.online_config = online_settings(config.online_config)
        config.registry_config = registry_settings(config.registry_config)
        return FeatureStore(repo_path=str(folder), config=config)


class CheckedOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]  # Feast ships no hints
    """What Feast's offline store of files takes."""

    type: Literal["mlops_platform.adapters.feast.opening.CheckedOfflineStore"]


def _config(folder: Path) -> RepoConfig:
    """Return what the file says, as Feast reads it. An offline store of files is checked without Dask, and loaded at its first use."""
    stated = yaml.safe_load(os.path.expandvars((folder / "feature_store.yaml").read_text()))
    offline = None
    if isinstance(stated, dict) and isinstance(stated.get("offline_store", {}), dict):
        offline = {"type": "dask", **stated.get("offline_store", {})}
        if offline["type"] in _OF_FILES:
            # Dask and SciPy are 28 MB and a second of processor time in each process, and most of them only read online
            stated = {**stated, "offline_store": {**offline, "type": f"{__name__}.CheckedOfflineStore"}}
    config = RepoConfig(**stated)
    if offline is not None:
        config.offline_config = offline
    config.repo_path = folder
    return config


def keeps_newest(store: FeatureStore) -> bool:
    """Say whether the online store compares event times when it writes; of Feast's others none does."""
    return bool(getattr(store._get_provider().online_store, "keeps_newest", False))  # noqa: SLF001 - Feast's own tools go this way


def registry_file(config: RepoConfig) -> Path | None:
    """Return the registry's file; None when the registry is elsewhere."""
    registry = config.registry
    if registry.registry_type != "file" or "://" in registry.path:
        return None
    path = Path(registry.path)
    return path if path.is_absolute() else Path(config.repo_path) / path


def online_settings(stated: Any) -> Any:
    """Return the online store's settings with our store in place of Feast's."""
    settings = {"type": stated} if isinstance(stated, str) else dict(stated)
    return {**settings, "type": _ONLINE.get(settings.get("type", "sqlite"), settings.get("type"))}


def registry_settings(stated: Any) -> Any:
    """Return the registry's settings with our writer, when it is a file here or on S3.

    A view that is being materialised, or was when somebody died, can be read as before, unless the file says otherwise.
    """
    settings = {"serve_features_while_materializing": True, **({"path": stated} if isinstance(stated, str) else stated)}
    elsewhere = settings.get("registry_type", "file") != "file" or settings.get("registry_store_type")
    scheme, separator, _ = str(settings.get("path", "")).partition("://")
    writer = None if elsewhere else _REGISTRIES.get(scheme if separator else "")
    return {**settings, "registry_store_type": writer} if writer else settings
