"""Bytes of a registered version stay: what would overwrite them, delete them or take them out of reach is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

from mlops_platform.database.session import Database
from mlops_platform.mlflow_door.access import Route, canonical
from mlops_platform.mlflow_door.changes import OutsideTheStore
from mlops_platform.mlflow_door.ownership import DEFAULT
from mlops_platform.mlflow_door.places import RegisteredBytes, Writing, and_above, names_of, place_of
from mlops_platform.models import holding

_LOGGED_MODEL = "/api/2.0/mlflow/logged-models/<model_id>"
_UPLOAD = "/api/2.0/mlflow/upload-artifact"


class Protection:
    """Asks the catalogue before something is written to the artifact store."""

    def __init__(self, database: Database, writing: Writing) -> None:
        self._database, self._writing = database, writing

    @asynccontextmanager
    async def write(self, route: Route, tenant: str, path: str, query: str) -> AsyncIterator[None]:
        """Let a request write while the block lasts. Raises RegisteredBytes and PathNotPlain.

        A registration of what is being written meanwhile is refused (registrar.py), so that nothing changes under it.
        """
        place = place_of(canonical(path), tenant)
        if place is not None:
            with self._writing.at(place):
                await self._refuse_place(place, below=route.method == "DELETE")
                yield
            return
        if (route.method, route.template) == ("DELETE", _LOGGED_MODEL):
            await self._refuse_logged_model(path.rsplit("/", 1)[1])
        elif route.template == _UPLOAD:
            for run_id in parse_qs(query).get("run_uuid", []):
                await self._refuse_run(run_id)
        yield

    async def fields(self, tenant: str, fields: dict[str, Any]) -> None:
        """Judge the fields of a request that the door reads. Raises RegisteredBytes and OutsideTheStore."""
        if fields.get("artifact_location"):
            raise OutsideTheStore
        if run_id := fields.get("run_id"):
            await self._refuse_run(str(run_id))
        if experiment := fields.get("experiment_id"):
            folder = str(experiment) if tenant == DEFAULT else f"workspaces/{tenant}/{experiment}"
            await self._refuse_place(folder, below=True)

    async def _refuse_place(self, place: str, *, below: bool) -> None:
        async with self._database.read_session() as session:
            for named in names_of(place):
                above = and_above(named)
                if await holding.holds_place(session, above, above[-1] if below and above else None):
                    raise RegisteredBytes

    async def _refuse_run(self, run_id: str) -> None:
        async with self._database.read_session() as session:
            if await holding.holds_run(session, run_id):
                raise RegisteredBytes

    async def _refuse_logged_model(self, model_id: str) -> None:
        async with self._database.read_session() as session:
            if await holding.holds_logged_model(session, model_id):
                raise RegisteredBytes
