"""MLflow 3 as the model registry: aliases and tags, never stages. Its client is blocking, so calls run in threads.

A tenant's things are in the MLflow workspace of its name, and a model's name is in one workspace only: the door sees to that
(mlflow_door/changes.py).
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
import mlflow
import requests
import structlog
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException, RestException
from mlflow.utils.workspace_context import ServerWorkspaceContext

from mlops_platform.adapters.mlflow import credentials, failures, sources
from mlops_platform.adapters.mlflow.entries import changed, model_of, version_of
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
_STORE = "mlflow-artifacts:/"
_PROMPT = "mlflow.prompt.is_prompt"
_STATUSES: dict[type[Exception], str] = {
    NotInRegistry: "missing",
    RegistryRefused: "refused",
    RegistryUnavailable: "unavailable",
}
_MISSING = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
_REFUSED = {"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE", "BAD_REQUEST", "PERMISSION_DENIED"}


class MlflowRegistry(ModelRegistry):
    """A registry behind an MLflow tracking server's URL; `secret` is what the server demands, None when it demands none."""

    def __init__(self, url: str, secret: str | None = None) -> None:
        # the client reads these; its own defaults retry a dead server for minutes while a person waits
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        self._url = url.rstrip("/")
        self._client = MlflowClient(tracking_uri=self._url, registry_uri=self._url)
        credentials.give_inner(self._url, secret)
        self._secret = secret
        self._workspaces: dict[str, str] = {}

    async def ping(self) -> None:
        await self._call("ping", lambda: self._health().raise_for_status())

    async def get_model(self, name: str) -> RegisteredModel:
        def read(workspace: str) -> RegisteredModel:
            return model_of(self._client.get_registered_model(name), workspace)

        return await self._call("get_model", lambda: self._at(name, read))

    async def get_version(self, name: str, version: int | None) -> RegisteredVersion:
        def read(_workspace: str) -> RegisteredVersion:
            number = version
            if number is None:
                found = self._client.search_model_versions(f"name = '{_quoted(name)}'", 1, ["version_number DESC"])
                if not found:
                    raise NotInRegistry(f"MLflow has no version of a model named '{name}'.")
                number = int(found[0].version)
            return self._whole(self._client.get_model_version(name, str(number)))

        return await self._call("get_version", lambda: self._at(name, read))

    async def version_of_alias(self, name: str, alias: str) -> int:
        def read(_workspace: str) -> int:
            # by its model: MLflow answers a wrong alias as a wrong parameter, which says nothing of what is missing
            aliases: dict[str, str] = self._client.get_registered_model(name).aliases
            if alias not in aliases:
                raise NotInRegistry(f"MLflow has no alias '{alias}' of a model named '{name}'.")
            return int(aliases[alias])

        return await self._call("version_of_alias", lambda: self._at(name, read))

    async def changed_models(self, since: datetime | None) -> list[RegisteredModel]:
        def read(workspace: str) -> list[RegisteredModel]:
            return [model_of(entry, workspace) for entry in changed(self._client.search_registered_models, since)]

        return await self._call("changed_models", lambda: self._everywhere(read))

    async def changed_versions(self, since: datetime | None) -> list[RegisteredVersion]:
        def read(_workspace: str) -> list[RegisteredVersion]:
            return [version_of(entry, None) for entry in changed(self._client.search_model_versions, since)]

        return await self._call("changed_versions", lambda: self._everywhere(read))

    async def register(
        self,
        name: str,
        model_uri: str,
        *,
        tenant: str,
        tags: dict[str, str],
        description: str,
        model_tags: dict[str, str],
    ) -> RegisteredVersion:
        def create() -> RegisteredVersion:
            sources.require_logged(self._client, model_uri)
            made = True
            try:
                self._client.create_registered_model(name, tags=model_tags, description=description)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                made = False
            self._choose()
            try:
                entry = mlflow.register_model(model_uri, name, tags=tags)
            except Exception:
                # whatever it was, it is raised again
                if made:
                    self._take_back(name)
                raise
            return self._whole(entry)

        def create_there() -> RegisteredVersion:
            with ServerWorkspaceContext(tenant):
                return create()

        return await self._call("register", create_there)

    def _take_back(self, name: str) -> None:
        """Remove a model that was made a moment ago for a version that was then refused; one with a version stays."""
        try:
            if not self._client.search_model_versions(f"name = '{_quoted(name)}'", 1):
                self._client.delete_registered_model(name)
        except (MlflowException, requests.RequestException) as error:
            # the refusal is what the caller must hear; an empty name is found by the next registration
            log.warning("an empty model stays in MLflow", model=name, cause=repr(error))

    async def set_version_tag(self, name: str, version: int, key: str, value: str) -> None:
        def write(_workspace: str) -> None:
            self._client.set_model_version_tag(name, str(version), key, value)

        await self._call("set_version_tag", lambda: self._at(name, write))

    async def delete_version(self, name: str, version: int) -> None:
        def delete(_workspace: str) -> None:
            self._client.delete_model_version(name, str(version))

        await self._gone("delete_version", lambda: self._at(name, delete))

    async def delete_model(self, name: str) -> None:
        def delete(_workspace: str) -> None:
            self._client.delete_registered_model(name)

        await self._gone("delete_model", lambda: self._at(name, delete))

    async def download(self, name: str, version: int, into: Path) -> Path:
        def fetch(_workspace: str) -> Path:
            self._choose()
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

        return await self._call("download", lambda: self._at(name, fetch))

    async def description(self, model_uri: str, *, tenant: str) -> bytes | None:
        def read() -> bytes | None:
            self._choose()
            with ServerWorkspaceContext(tenant), tempfile.TemporaryDirectory(prefix="mlops-mlmodel-") as folder:
                try:
                    address = f"{sources.place_of(self._client, model_uri).rstrip('/')}/MLmodel"
                    return Path(
                        download_artifacts(artifact_uri=address, dst_path=folder, tracking_uri=self._url)
                    ).read_bytes()
                except MlflowException as error:
                    if error.error_code in _MISSING or self._healthy():
                        return None
                    raise
                except requests.RequestException:
                    raise
                except Exception as error:  # noqa: BLE001 - MLflow reads each kind of address by another library
                    log.info("no description of a model was read", cause=repr(error))
                    return None

        return await self._call("description", read)

    async def training_sample(self, name: str, version: int, into: Path) -> Path | None:
        def fetch(_workspace: str) -> Path | None:
            run_id = self._client.get_model_version(name, str(version)).run_id
            if not run_id or not any(entry.path == SAMPLE for entry in self._client.list_artifacts(run_id)):
                return None
            into.mkdir(parents=True, exist_ok=True)
            return Path(self._client.download_artifacts(run_id, SAMPLE, str(into)))

        return await self._call("training_sample", lambda: self._at(name, fetch))

    def _choose(self) -> None:
        """Have this process ask this server what an address (models:/…, runs:/…) leads to: by default MLflow would make itself an
        empty database `mlflow.db` in the working folder, and find nothing in it.
        """
        mlflow.set_tracking_uri(self._url)

    async def _known(self, error: MlflowException) -> NotInRegistry | RegistryRefused | RegistryUnavailable:
        if error.error_code in _MISSING:
            return NotInRegistry("MLflow knows no such model, version or run; `mlops models list` shows what there is.")
        refused = RegistryRefused("MLflow does not accept this name, source or tag; check the model URI and try again.")
        own_failure = isinstance(error, RestException) and failures.its_own(error)
        if error.error_code in _REFUSED and not own_failure:
            return refused
        if own_failure or isinstance(error.__context__, requests.RequestException):
            # the server's own failure (a full disk, a database that is away), not a word on what was asked
            return RegistryUnavailable()
        # the client has one code for 'cannot connect' and for 'this URI makes no sense': only the server can tell them apart
        return refused if await anyio.to_thread.run_sync(self._healthy) else RegistryUnavailable()

    def _health(self) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._secret}"} if self._secret else {}
        return requests.get(f"{self._url}/health", timeout=2, headers=headers)

    def _whole(self, entry: ModelVersion) -> RegisteredVersion:
        run = self._client.get_run(entry.run_id) if entry.run_id else None
        location = self._client.get_model_version_download_uri(entry.name, str(entry.version))
        return replace(version_of(entry, run), artifact_location=_below_the_store(location))

    def _all_workspaces(self) -> list[str]:
        return [workspace.name for workspace in self._client.list_workspaces()]

    def _everywhere(self, read: Callable[[str], list[Result]]) -> list[Result]:
        found: list[Result] = []
        for workspace in self._all_workspaces():
            with ServerWorkspaceContext(workspace):
                found += read(workspace)
        return found

    def _at(self, name: str, function: Callable[[str], Result]) -> Result:
        """Return what the function finds in the workspace that holds the model. Raises NotInRegistry."""
        known = self._workspaces.get(name)
        if known is not None:
            try:
                with ServerWorkspaceContext(known):
                    return function(known)
            except (MlflowException, NotInRegistry) as error:
                # the name may have been deleted, and be another tenant's by now
                if not _missing(error) or self._find(name) == known:
                    raise
        if (workspace := self._find(name)) is not None:
            with ServerWorkspaceContext(workspace):
                return function(workspace)
        raise NotInRegistry(f"MLflow has no model named '{name}'.")

    def _find(self, name: str) -> str | None:
        self._workspaces.pop(name, None)
        for workspace in self._all_workspaces():
            with ServerWorkspaceContext(workspace):
                if self._holds(name):
                    return self._workspaces.setdefault(name, workspace)
        return None

    def _holds(self, name: str) -> bool:
        try:
            return _PROMPT not in self._client.get_registered_model(name).tags
        except MlflowException as error:
            if _missing(error):
                return False
            raise

    def _healthy(self) -> bool:
        try:
            return self._health().ok
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
        except NotInRegistry:
            status = "missing"
            raise
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
        except (Exception, asyncio.CancelledError):
            # not handled here: only counted
            status = "failed"
            raise
        finally:
            metrics.mlflow_requests_total.labels(operation, status).inc()
            metrics.mlflow_request_duration_seconds.labels(operation).observe(time.perf_counter() - began)


def _missing(error: MlflowException | NotInRegistry) -> bool:
    return isinstance(error, NotInRegistry) or error.error_code in _MISSING


def _below_the_store(uri: str) -> str | None:
    return uri.removeprefix(_STORE).strip("/") if uri.startswith(_STORE) else None


def _quoted(name: str) -> str:
    return name.replace("'", "''")
