"""MLflow 3 as the model registry: aliases and tags, never stages. Its client is blocking, so calls run in threads."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
import requests
import structlog
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry import RegisteredModel as MlflowModel
from mlflow.exceptions import MlflowException

from mlops_platform.models.interfaces import (
    ArtifactsUnavailable,
    ModelRegistry,
    NotInRegistry,
    RegisteredModel,
    RegisteredVersion,
    RegistryRefused,
    RegistryUnavailable,
    SourceNotReadable,
)
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)
Result = TypeVar("Result")
# what a run logs for explanations to be measured against: {"columns": […], "rows": [[…], …]}
SAMPLE = "background.json"
_PAGE = 200
# changes within one millisecond of the last seen one may be seen later
_OVERLAP = timedelta(seconds=2)
_STATUSES: dict[type[Exception], str] = {
    NotInRegistry: "missing",
    RegistryRefused: "refused",
    RegistryUnavailable: "unavailable",
}
_MISSING = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
_REFUSED = {"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE", "BAD_REQUEST", "PERMISSION_DENIED"}


class MlflowRegistry(ModelRegistry):
    """A registry behind an MLflow tracking server's URL."""

    def __init__(self, url: str) -> None:
        # the client reads these; its own defaults retry a dead server for minutes while a person waits
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        self._url = url.rstrip("/")
        self._client = MlflowClient(tracking_uri=self._url, registry_uri=self._url)

    async def ping(self) -> None:
        def health() -> None:
            requests.get(f"{self._url}/health", timeout=2).raise_for_status()

        await self._call("ping", health)

    async def get_model(self, name: str) -> RegisteredModel:
        return _model(await self._call("get_model", lambda: self._client.get_registered_model(name)))

    async def get_version(self, name: str, version: int | None) -> RegisteredVersion:
        def read() -> RegisteredVersion:
            number = version
            if number is None:
                found = self._client.search_model_versions(f"name = '{_quoted(name)}'", 1, ["version_number DESC"])
                if not found:
                    raise NotInRegistry(f"MLflow has no version of a model named '{name}'.")
                number = int(found[0].version)
            entry = self._client.get_model_version(name, str(number))
            return _version(entry, self._client.get_run(entry.run_id) if entry.run_id else None)

        return await self._call("get_version", read)

    async def changed_models(self, since: datetime | None) -> list[RegisteredModel]:
        search = self._client.search_registered_models
        return [_model(entry) for entry in await self._call("changed_models", lambda: _changed(search, since))]

    async def changed_versions(self, since: datetime | None) -> list[RegisteredVersion]:
        search = self._client.search_model_versions
        return [
            _version(entry, None) for entry in await self._call("changed_versions", lambda: _changed(search, since))
        ]

    async def register(
        self, name: str, model_uri: str, *, tags: dict[str, str], description: str, model_tags: dict[str, str]
    ) -> RegisteredVersion:
        def create() -> RegisteredVersion:
            import mlflow

            made = True
            try:
                self._client.create_registered_model(name, tags=model_tags, description=description)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                made = False
            # the module-level function resolves runs:/ and models:/ sources; both URIs are this registry's
            mlflow.set_tracking_uri(self._url)
            try:
                entry = mlflow.register_model(model_uri, name, tags=tags)
            except BaseException:
                if made:
                    self._take_back(name)
                raise
            return _version(entry, self._client.get_run(entry.run_id) if entry.run_id else None)

        return await self._call("register", create)

    def _take_back(self, name: str) -> None:
        """Remove a model that was made a moment ago for a version that was then refused; one with a version stays."""
        try:
            if not self._client.search_model_versions(f"name = '{_quoted(name)}'", 1):
                self._client.delete_registered_model(name)
        except (MlflowException, requests.RequestException) as error:
            # the refusal is what the caller must hear; an empty name is found by the next registration
            log.warning("an empty model stays in MLflow", model=name, cause=repr(error))

    async def set_version_tag(self, name: str, version: int, key: str, value: str) -> None:
        await self._call("set_version_tag", lambda: self._client.set_model_version_tag(name, str(version), key, value))

    async def delete_version(self, name: str, version: int) -> None:
        await self._gone("delete_version", lambda: self._client.delete_model_version(name, str(version)))

    async def delete_model(self, name: str) -> None:
        await self._gone("delete_model", lambda: self._client.delete_registered_model(name))

    async def download(self, name: str, version: int, into: Path) -> Path:
        def fetch() -> Path:
            # the version's own source: a models:/ download would add a file naming the version, and so change the digest
            source = self._client.get_model_version_download_uri(name, str(version))
            try:
                return Path(download_artifacts(artifact_uri=source, dst_path=str(into), tracking_uri=self._url))
            except (MlflowException, requests.RequestException) as error:
                missing = isinstance(error, MlflowException) and error.error_code in _MISSING
                if missing or not self._healthy():
                    raise
                raise SourceNotReadable(name, version, urlsplit(source).scheme) from error
            except Exception as error:
                # MLflow reads each kind of address by another library, and passes on whatever that raises
                log.warning("artifacts not read", model=name, version=version, cause=repr(error))
                raise ArtifactsUnavailable(name, version, urlsplit(source).scheme) from error

        return await self._call("download", fetch)

    async def training_sample(self, name: str, version: int, into: Path) -> Path | None:
        def fetch() -> Path | None:
            run_id = self._client.get_model_version(name, str(version)).run_id
            if not run_id or not any(entry.path == SAMPLE for entry in self._client.list_artifacts(run_id)):
                return None
            into.mkdir(parents=True, exist_ok=True)
            return Path(self._client.download_artifacts(run_id, SAMPLE, str(into)))

        return await self._call("training_sample", fetch)

    async def _known(self, error: MlflowException) -> NotInRegistry | RegistryRefused | RegistryUnavailable:
        if error.error_code in _MISSING:
            return NotInRegistry("MLflow knows no such model, version or run; `mlops models list` shows what there is.")
        refused = RegistryRefused("MLflow does not accept this name, source or tag; check the model URI and try again.")
        if error.error_code in _REFUSED:
            return refused
        # the client has one code for 'cannot connect' and for 'this URI makes no sense': only the server can tell them apart
        return refused if await anyio.to_thread.run_sync(self._healthy) else RegistryUnavailable()

    def _healthy(self) -> bool:
        try:
            return requests.get(f"{self._url}/health", timeout=2).ok
        except requests.RequestException:
            return False

    async def _gone(self, operation: str, delete: Callable[[], None]) -> None:
        try:
            await self._call(operation, delete)
        except NotInRegistry:
            return

    async def _call(self, operation: str, function: Callable[[], Result]) -> Result:
        status, began = "ok", time.perf_counter()
        try:
            return await anyio.to_thread.run_sync(function)
        except (SourceNotReadable, ArtifactsUnavailable):
            status = "refused"
            raise
        except MlflowException as error:
            known = await self._known(error)
            status = _STATUSES[type(known)]
            raise known from error
        except requests.RequestException as error:
            status = "unavailable"
            raise RegistryUnavailable from error
        except BaseException:
            status = "failed"
            raise
        finally:
            metrics.mlflow_requests_total.labels(operation, status).inc()
            metrics.mlflow_request_duration_seconds.labels(operation).observe(time.perf_counter() - began)


def _changed(search: Callable[..., Any], since: datetime | None) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    oldest = (since - _OVERLAP).timestamp() * 1000 if since else 0
    while True:
        page = search(max_results=_PAGE, order_by=["last_updated_timestamp DESC"], page_token=token)
        for entry in page:
            if (entry.last_updated_timestamp or entry.creation_timestamp) < oldest:
                return found
            found.append(entry)
        token = page.token
        if not token:
            return found


def _model(entry: MlflowModel) -> RegisteredModel:
    created = _time(entry.creation_timestamp)
    updated = _time(entry.last_updated_timestamp or entry.creation_timestamp)
    return RegisteredModel(entry.name, entry.description or "", dict(entry.tags), created, updated)


def _version(entry: ModelVersion, run: Run | None) -> RegisteredVersion:
    return RegisteredVersion(
        name=entry.name,
        version=int(entry.version),
        run_id=entry.run_id or None,
        source=entry.source or "",
        status=entry.status,
        description=entry.description or "",
        tags=dict(entry.tags),
        created_at=_time(entry.creation_timestamp),
        updated_at=_time(entry.last_updated_timestamp or entry.creation_timestamp),
        metrics=dict(run.data.metrics) if run else {},
        params=dict(run.data.params) if run else {},
        lineage=_lineage(entry, run),
    )


def _lineage(entry: ModelVersion, run: Run | None) -> dict[str, Any]:
    lineage: dict[str, Any] = {"run_id": entry.run_id or None, "source": entry.source, "model_id": entry.model_id}
    if run:
        tags = run.data.tags
        lineage |= {
            "experiment_id": run.info.experiment_id,
            "run_name": run.info.run_name,
            "user": tags.get("mlflow.user"),
            "code": tags.get("mlflow.source.name"),
            "git_commit": tags.get("mlflow.source.git.commit"),
            "datasets": [
                {"name": used.dataset.name, "digest": used.dataset.digest, "source_type": used.dataset.source_type}
                for used in run.inputs.dataset_inputs
            ],
        }
    if uri := entry.tags.get("training_dataset_uri"):
        lineage["training_dataset_uri"] = uri
    return lineage


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _quoted(name: str) -> str:
    return name.replace("'", "''")
