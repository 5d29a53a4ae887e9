"""A workspace in MLflow for each tenant, made when its first member comes."""

import asyncio

import orjson

from mlops_platform.errors import Unavailable
from mlops_platform.mlflow_door.forwarding import whole
from mlops_platform.mlflow_door.interfaces import Outgoing, Upstream
from mlops_platform.mlflow_door.ownership import DEFAULT

_JSON = [("Content-Type", "application/json")]
_NAME = "Default"
_TAKEN = "RESOURCE_ALREADY_EXISTS"


class WorkspaceNotMade(Unavailable):
    """MLflow keeps no workspaces, or did not make this one."""

    title = "MLflow has no workspace for your team"

    def __init__(self, status: int) -> None:
        super().__init__(
            f"MLflow answered {status} when the workspace was to be made; it must run with MLFLOW_ENABLE_WORKSPACES=true. Tell an "
            "administrator.",
            retry_after=30,
        )


class Workspaces:
    """Knows the workspaces that exist, and each one's default experiment."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._defaults: dict[str, str] = {DEFAULT: "0"}
        self._making = asyncio.Lock()

    async def default_experiment(self, workspace: str) -> str:
        """Return the id of the workspace's default experiment, making both when they are missing.

        Raises WorkspaceNotMade and MlflowNotAnswering. Two first members at once make one workspace.
        """
        if (known := self._defaults.get(workspace)) is not None:
            return known
        async with self._making:
            if workspace not in self._defaults:
                self._defaults[workspace] = await self._make(workspace)
        return self._defaults[workspace]

    async def _make(self, workspace: str) -> str:
        body = orjson.dumps({"name": workspace, "description": "made by the platform for the tenant of this name"})
        await self._ask("POST", "/api/3.0/mlflow/workspaces", DEFAULT, body)
        experiment = orjson.dumps({"name": _NAME})
        await self._ask("POST", "/api/2.0/mlflow/experiments/create", workspace, experiment)
        found = await self._ask(
            "GET", f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={_NAME}", workspace, None
        )
        return str(orjson.loads(found)["experiment"]["experiment_id"])

    async def _ask(self, method: str, target: str, workspace: str, body: bytes | None) -> bytes:
        answer = await whole(self._upstream, Outgoing(method, target, workspace, _JSON if body else [], body))
        if answer.status >= 300 and _TAKEN.encode() not in answer.body:  # noqa: PLR2004 - not a success
            raise WorkspaceNotMade(answer.status)
        return answer.body
